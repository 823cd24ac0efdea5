#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`xenopus run` as a program: what it refuses and how, closed standard files, the kernel cache, --stats, hosts without KVM.

usage: test_command.py HOME CASE; HOME is kvm or metal, CASE one of the functions below whose name is in CASES. The guest is a
small one of our own.
"""

import gzip
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../boot'))
import boot  # noqa: E402

GUEST = os.environ.get('XENOPUS_GUEST', '')
CRASHER = os.environ.get('XENOPUS_CRASHER', '')


def start(arguments, **how):
    how.setdefault('stdin', subprocess.DEVNULL)
    home = [] if any(word.startswith('--home') for word in arguments) else [f'--home={boot.home()}']
    return subprocess.run([boot.xenopus(), 'run', *home, *arguments], capture_output=True, timeout=60,
                          check=False, **how)


def refused(verdict, name, arguments, status, *words, **how):
    """One line that has all of the words, nothing on standard output, the status, and soon."""
    began = time.monotonic()
    done = start(arguments, **how)
    lines = done.stderr.decode(errors='replace').split('\n')[:-1]
    print(f'{name}: status {done.returncode}: {" | ".join(lines)}')
    verdict.check(done.returncode == status, f'{name}: status {done.returncode}, not {status}')
    verdict.check(len(lines) == 1 and lines[0].startswith('xenopus: '), f'{name}: not one line')
    verdict.check(all(word in lines[0] for word in words), f'{name}: the line has not all of {words}')
    verdict.check(all(c >= ' ' for c in lines[0]), f'{name}: control characters')
    verdict.check(not done.stdout, f'{name}: something on standard output')
    verdict.check(time.monotonic() - began < 20, f'{name}: it took too long')


def reachable_for_all(path):
    parents = os.path.realpath(path).split('/')
    return all(os.stat('/'.join(parents[:i + 1]) or '/').st_mode & 1 for i in range(len(parents)))


def refusals(verdict):
    with tempfile.TemporaryDirectory() as top:
        def path(name):
            return os.path.join(top, name)
        os.mkfifo(path('fifo'))
        for name, size in (('empty', 0), ('byte', 1), ('disk', 1 << 40), ('big', 1 << 30)):
            with open(path(name), 'wb') as file:
                os.truncate(file.fileno(), size)

        refused(verdict, 'empty name of kernel', [''], 2, 'kernel')
        refused(verdict, 'empty name of initrd', ['--initrd=', GUEST], 2, 'initrd')
        refused(verdict, 'too much memory', ['-m', '256001', GUEST], 2, '256000')
        if os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') < 200 << 30:
            refused(verdict, 'more memory than the host has', ['-m', '256000', GUEST], 1, '--memory')
        refused(verdict, 'too little memory', ['-m', '1', GUEST], 1, 'memory', 'at least')
        for memory in ('', 'much', '-5', '5T', '2GB', '0x100'):
            refused(verdict, f"memory '{memory}'", [f'--memory={memory}', GUEST], 2, f"'{memory}'", 'MiB')
        refused(verdict, 'memory that wraps around', ['-m', '99999999999999999G', GUEST], 2, '256000')
        refused(verdict, 'virtual CPUs', ['-c', '65', GUEST], 2, '64')
        refused(verdict, 'control characters', ['no\nsuch\033[1mfile'], 1, 'no?such?[1mfile', 'check the path')
        refused(verdict, 'a disk as kernel', [path('disk')], 1, 'disk', 'vmlinuz')
        refused(verdict, 'a fifo as kernel', [path('fifo')], 1, 'regular file')
        refused(verdict, 'a directory as initrd', ['-i', top, GUEST], 1, 'directory', 'initrd')
        refused(verdict, 'a fifo as initrd', ['-i', path('fifo'), GUEST], 1, 'regular file')
        refused(verdict, 'an empty initrd', ['-i', path('empty'), GUEST], 1, 'empty', '--initrd')
        refused(verdict, 'no such initrd', ['-i', path('none'), GUEST], 1, 'none', 'check the path')
        refused(verdict, 'initrd larger than memory', ['-i', path('big'), GUEST], 1, '1024 MiB')
        refused(verdict, 'long kernel arguments', [GUEST, '--', 'x' * 5000], 1, '5000')
        refused(verdict, 'no such home', ['--home=moon', GUEST], 2, 'moon', 'metal')
        refused(verdict, 'a port that is none', ['--gdb=70000', GUEST], 2, '70000', '65535')
        refused(verdict, 'waiting for nobody', ['--paused', GUEST], 2, '--gdb')
        if boot.home() == 'metal':
            metal_refusals(verdict, path)
            return
        refused(verdict, 'waiting for gdb', ['--gdb', '--paused', GUEST], 2, 'gdb --args')
        refused(verdict, 'no KVM', ['--kvm', path('none'), GUEST], 1, 'KVM', 'load')
        refused(verdict, 'a KVM that is none', ['--kvm', '/dev/null', GUEST], 1, '/dev/null', '/dev/kvm')
        refused(verdict, 'a file as KVM', ['--kvm', path('byte'), GUEST], 1, 'byte', '/dev/kvm')
        refused(verdict, 'a directory as KVM', ['--kvm', top, GUEST], 1, 'directory', '/dev/kvm')
        refused(verdict, 'a fifo as KVM', ['--kvm', path('fifo'), GUEST], 1, 'fifo', '/dev/kvm')
        # Root may become somebody who may do less, if that one may run the program at all.
        if os.geteuid() == 0 and reachable_for_all(boot.xenopus()):
            os.chmod(top, 0o755)
            with open(GUEST, 'rb') as source, open(path('kernel'), 'wb') as copy:
                copy.write(source.read())
            nobody = {'user': 65534, 'group': 65534, 'extra_groups': []}
            os.chmod(path('byte'), 0o600)
            refused(verdict, 'a KVM for others', ['--kvm', path('byte'), path('kernel')], 1, 'group', **nobody)
            refused(verdict, 'an initrd for others', ['-i', path('byte'), path('kernel')], 1,
                    'permissions', **nobody)


def metal_refusals(verdict, path):
    def without(**environment):
        return dict(os.environ, **environment)
    refused(verdict, 'no QEMU', [GUEST], 1, 'apt-get install qemu-system-x86', env=without(XENOPUS_QEMU=path('none')))
    refused(verdict, 'no image', [GUEST], 1, 'not run', path('none'), env=without(XENOPUS_ELF=path('none')))
    refused(verdict, 'an image that is none', [GUEST], 1, 'not run', env=without(XENOPUS_ELF=path('byte')))
    refused(verdict, 'an emulator that is none', [GUEST], 1, 'not run', env=without(XENOPUS_QEMU='false'))
    refused(verdict, 'a KVM for metal', ['--kvm=/dev/kvm', GUEST], 2, '--home=kvm')
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = start([f'--gdb={port}', GUEST])
        print(done.stderr.decode())
        verdict.check(done.returncode == 1 and b'in use' in done.stderr, 'a port that is taken')


def stats(verdict):
    """The same tables in every home."""
    def tables(home):
        done = start(['--stats', f'--home={home}', GUEST])
        text = done.stderr.decode()
        print(f'--- {home}: status {done.returncode}\n{text}')
        verdict.check(done.returncode == 0, f'{home}: status {done.returncode}')
        verdict.check('frame table audit: 0 violations' in text, f'{home}: no audit, or a bad one')
        verdict.check(re.search(r'to first guest instruction: [1-9]', text), f'{home}: no times')
        table = re.search(r'^domain 1 .*?\nhypercalls .*?\n(?=[\w-]+ to )', text, re.S | re.M)
        if not verdict.check(table, f'{home}: no tables'):
            return [], {}
        lines = table[0].splitlines()
        return [line for line in lines if line[0] != ' '], dict(re.findall(r'^  (\w+) +(\d+) ', table[0], re.M))
    headings, rows = tables('metal')
    verdict.check(len(headings) == 4, f'headings: {headings}')
    verdict.check(rows.get('set_trap_table') == '32' and int(rows.get('console_io', 0)) > 10, 'wrong counts')
    if boot.kvm_usable():
        hosted_headings, hosted = tables('kvm')
        verdict.check(headings == hosted_headings, 'other headings')
        # What is printed depends on the host, and what the gate of bare metal finishes by itself is counted elsewhere.
        differ = {'console_io', 'all', 'iret', 'stack_switch', 'set_segment_base'}
        verdict.check(all(rows[name] == hosted[name] for name in rows.keys() & hosted.keys() - differ),
                      f'other counts: {rows}, {hosted}')


def statuses(verdict):
    """A crash is status 1 with the reason as the last line; Ctrl-] and signals are in tests/boot."""
    done = start([CRASHER])
    lines = done.stderr.decode().splitlines()
    print(done.returncode, *lines, sep='\n')
    verdict.check(done.returncode == 1, f'status {done.returncode}')
    verdict.check(lines and re.fullmatch(r'xenopus: domain \S+ stopped: crash', lines[-1]), 'the last line')
    verdict.check(sum('crashed by vcpu' in line for line in lines) == 1, 'not one crash report')
    before = set(os.listdir(tempfile.gettempdir()))
    quick = time.monotonic()
    done = start(['--memory=1g', GUEST])
    print(f'{time.monotonic() - quick:.1f} s')
    verdict.check(done.returncode == 0 and b' 0 failed' in done.stdout, f'status {done.returncode}')
    verdict.check(not any('bundle' in name for name in set(os.listdir(tempfile.gettempdir())) - before),
                  'a bundle is left behind')


def config(verdict):
    """A file of xl's instead of a kernel: options win over it, what is wrong in it is told with its line."""
    with tempfile.TemporaryDirectory() as top:
        path = os.path.join(top, 'domain.cfg')

        def write(*lines):
            with open(path, 'w', encoding='ascii') as file:
                file.write('\n'.join(lines) + '\n')
        good = ['# a domain', 'name = "of-file"', f'kernel = "{GUEST}"', 'memory = 80', 'extra = "one two"']
        write(*good)
        for options, words in (([], ['of-file', '80 MiB']), (['-n', 'other', '-m', '90M'], ['other', '90 MiB'])):
            done = start([*options, '-l', 'info', path, '--', 'three'])
            text = done.stderr.decode()
            print(text)
            verdict.check(done.returncode == 0 and b' 0 failed' in done.stdout, f'status {done.returncode}')
            if boot.home() == 'metal':
                verdict.check(f'for {words[1]} of domain' in text, 'not the memory')
                verdict.check(f'domain {words[0]} stopped' in text, 'not the name')
        write(*good, 'on_poweroff = "destroy"' if boot.home() == 'metal' else 'on_poweroff = "restart"', 'frobnicate = 7')
        done = start([path])
        lines = [line for line in done.stderr.decode().splitlines() if line.startswith('xenopus: ')]
        print(*lines, sep='\n')
        verdict.check(done.returncode == 0 and len(lines) == (1 if boot.home() == 'metal' else 2), 'not a line for each key without effect')
        verdict.check(any(':7: frobnicate' in line for line in lines), 'an unknown key')
        if boot.home() == 'kvm':
            verdict.check(any('on_poweroff' in line and 'create' in line for line in lines), 'a key for create')
        if boot.home() == 'metal':
            write(*good, 'on_poweroff = "coredump-restart"')
            refused(verdict, 'a core file where there is no disk', [path], 2, 'on-poweroff', 'no disk')
            write(*good, 'on_poweroff = "preserve"')
            with subprocess.Popen([boot.xenopus(), 'run', '--home=metal', path], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as kept:
                said = b''
                while b' 0 failed' not in said:
                    piece = os.read(kept.stdout.fileno(), 65536)
                    if not piece:
                        break
                    said += piece
                time.sleep(3)
                verdict.check(kept.poll() is None, 'on_poweroff of the file has no effect')
                kept.terminate()
                kept.terminate()
                verdict.check(kept.wait(30) == 128 + 15, f'status {kept.returncode} after two signals')
        write(*good, 'builder = "hvm"')
        refused(verdict, 'a key that cannot work', [path], 1, f'{path}:6:', 'builder')
        write(good[1])
        refused(verdict, 'a file without a kernel', [path], 1, path, 'kernel')
        write(*good, 'memory = [')
        refused(verdict, 'a file that is none', [path], 1, path)
        refused(verdict, 'no such file', [path + 'x.cfg'], 1, 'x.cfg')


def without_kvm(verdict):
    """Where /dev/kvm is hidden or none, the same command does it on bare metal, and says so in one line."""
    if os.geteuid() or subprocess.run(['unshare', '-m', 'true'], check=False).returncode:
        boot.skip('only root can hide /dev/kvm')
    hidden = 'mount --bind "$1" /dev/kvm && shift && exec "$@"'
    if not os.path.exists('/dev/kvm'):
        hidden = 'shift && exec "$@"'
    with tempfile.NamedTemporaryFile() as file:
        for what in ('/dev/null', file.name):
            done = subprocess.run(['unshare', '-m', 'sh', '-c', hidden, 'sh', what, boot.xenopus(), 'run', GUEST],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
            lines = [line for line in done.stderr.decode().splitlines() if line.startswith('xenopus: ')]
            print(done.returncode, *lines, sep='\n')
            verdict.check(done.returncode == 0 and b' 0 failed' in done.stdout, f'status {done.returncode}')
            verdict.check(len(lines) == 1 and '--home=metal' in lines[0] and '/dev/kvm' in lines[0], 'not one line')


def closed_files(verdict):
    """The machine's own files must not get the numbers of standard input and output."""
    for closed in ([0], [1], [2], [0, 1, 2]):
        words = ' '.join(f'{fd}{"<" if fd == 0 else ">"}&-' for fd in closed)
        done = subprocess.run(['sh', '-c', f'exec "$@" {words}', 'sh', boot.xenopus(), 'run',
                               f'--home={boot.home()}', GUEST], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              check=False)
        print(f'closed {closed}: status {done.returncode}')
        verdict.check(done.returncode == 0, f'closed {closed}: status {done.returncode}')
        verdict.check((b' 0 failed' in done.stdout) == (1 not in closed), f'closed {closed}: console')


def cache(verdict):
    """-v says miss, then hit; the entry is private; --no-cache leaves it alone; a broken one does no harm."""
    with tempfile.TemporaryDirectory() as top:
        kernel = os.path.join(top, 'kernel.gz')
        home = os.path.join(top, 'cache')
        entries = os.path.join(home, 'kernels')
        with open(GUEST, 'rb') as source, gzip.open(kernel, 'wb') as packed:
            packed.write(source.read())

        def run(name, *options, directory=home, says=None):
            done = start([*options, '-v', kernel], env=dict(os.environ, XENOPUS_CACHE_DIR=directory))
            lines = [line for line in done.stderr.decode().splitlines() if 'kernel cache' in line]
            print(f'{name}: status {done.returncode}: {lines}')
            verdict.check(done.returncode == 0 and b' 0 failed' in done.stdout, f'{name}: no good run')
            verdict.check(len(lines) == (says is not None) and all(says in line for line in lines),
                          f"{name}: not '{says}'")

        run('without a cache', '--no-cache')
        verdict.check(not os.path.exists(home), '--no-cache made a directory')
        run('the first time', says='miss')
        verdict.check(len(os.listdir(entries)) == 1, 'not one entry')
        verdict.check(os.stat(entries).st_mode & 0o777 == 0o700, 'the directory is not private')
        run('the second time', says='hit')
        entry = os.path.join(entries, os.listdir(entries)[0])
        with open(entry, 'r+b') as file:
            file.seek(-1, os.SEEK_END)
            file.write(b'\xa5')
        run('a damaged entry', says='miss')
        run('and again', says='hit')
        os.chmod(entries, 0o777)
        run('a directory open to all', says='not used')
        run('no directory possible', directory='/dev/null/nowhere', says='not used')


def main():
    os.environ['XENOPUS_HOME'], case = sys.argv[1:]
    boot.require_home()
    verdict = boot.Verdict()
    CASES[case](verdict)
    verdict.finish()


CASES = {function.__name__: function for function in (refusals, closed_files, cache, stats, statuses, config, without_kvm)}

if __name__ == '__main__':
    main()
