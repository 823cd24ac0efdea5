#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`xenopus run` as a program: what it refuses and how, closed standard files, the kernel cache.

usage: test_command.py CASE, one of: refusals, closed_files, cache. The guest is a small one of our own.
"""

import gzip
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../boot'))
import boot  # noqa: E402

GUEST = os.environ.get('XENOPUS_GUEST', '')


def start(arguments, **how):
    how.setdefault('stdin', subprocess.DEVNULL)
    return subprocess.run([boot.xenopus(), 'run', *arguments], capture_output=True, timeout=60,
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


def closed_files(verdict):
    """The machine's own files must not get the numbers of standard input and output."""
    for closed in ([0], [1], [2], [0, 1, 2]):
        words = ' '.join(f'{fd}{"<" if fd == 0 else ">"}&-' for fd in closed)
        done = subprocess.run(['sh', '-c', f'exec "$@" {words}', 'sh', boot.xenopus(), 'run', GUEST],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
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
    boot.require_kvm()
    verdict = boot.Verdict()
    globals()[sys.argv[1]](verdict)
    verdict.finish()


if __name__ == '__main__':
    main()
