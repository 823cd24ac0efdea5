#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""gdb and tools/gdb/xenopus.py: started under gdb, attached to while a guest runs, and on bare metal.

usage: test_gdb.py CASE, one of: constants, started, core_file, attached, metal
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../boot'))
import boot  # noqa: E402
import transcript  # noqa: E402

SCRIPT = os.path.join(boot.TREE, 'tools/gdb/xenopus.py')
DOCUMENT = os.path.join(boot.TREE, 'docs/debugging.md')
MARK = 'xenopus-test-mark'

# A leak checker cannot work in a traced process.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS='detect_leaks=0', LSAN_OPTIONS='detect_leaks=0')


class Gdb:
    """One batch run of gdb: the answer to every command, in order."""

    def __init__(self, commands, how, limit=120, first=False):
        words = ['gdb', '-q', '-nx', '-batch', '-iex', 'set debuginfod enabled off',
                 '-ex', 'set width 0', '-ex', 'set pagination off']
        if first:  # what to connect to comes before the commands
            words, how = words + how, []
        for command in commands:
            words += ['-ex', f'echo {MARK}\\n', '-ex', command.replace('tools/gdb/xenopus.py', SCRIPT)]
        words += ['-ex', f'echo {MARK}\\n']
        done = subprocess.run(words + how, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=ENVIRONMENT, timeout=limit, check=False)
        self.text = done.stdout.decode(errors='replace')
        # The guest's own output may stand before a mark, on the same line.
        parts = self.text.split(f'{MARK}\n')
        self.answers = [part.splitlines() for part in parts[1:-1]]
        self.commands = commands

    def show(self):
        for command, answer in zip(self.commands, self.answers):
            print(f'(gdb) {command}')
            for line in answer:
                print(line)

    def answer(self, command):
        return '\n'.join(self.answers[self.commands.index(command)])


def check_session(verdict, session, gdb):
    """Every answer has the shape that the document tells."""
    verdict.check(len(gdb.answers) == len(session),
                  f'{len(gdb.answers)} answers to {len(session)} commands: {gdb.text[-1000:]}')
    for (command, told), seen in zip(session, gdb.answers):
        right = transcript.compare(told, seen)
        verdict.check(right, f"'{command}': the document tells\n" + '\n'.join(told) + '\nseen was\n'
                      + '\n'.join(seen) if not right else command)


def constants(verdict):
    """What the script knows by heart is what the headers say."""
    with open(SCRIPT, encoding='utf-8') as file:
        table = re.search(r'^CONSTANTS = (\{.*?^\})', file.read(), re.S | re.M)[1]
    for path, values in eval(table).items():  # a literal of our own tree
        with open(os.path.join(boot.TREE, path), encoding='utf-8') as file:
            header = file.read()
        for name, value in values.items():
            found = re.search(rf'#define {name}[\s\\]+(?:\w+\()?(0x[0-9a-f]+|\d+)', header)
            verdict.check(found and int(found[1], 0) == value, f'{name} in {path}')


def first_words(path, count):
    """The first 64-bit words of an ELF image's first loadable segment, and their virtual address."""
    with open(path, 'rb') as file:
        elf = file.read()

    def number(at, size):
        return int.from_bytes(elf[at:at + size], 'little')
    for i in range(number(56, 2)):
        header = number(32, 8) + i * number(54, 2)
        if number(header, 4) == 1:
            start, va = number(header + 8, 8), number(header + 16, 8)
            return va, [number(start + 8 * n, 8) for n in range(count)]
    raise ValueError(f'{path} has nothing to load')


def started(verdict):
    """gdb --args: stop inside a hypercall of a known guest, look around, go on to the end."""
    guest = os.environ['XENOPUS_GUEST']
    session = transcript.read(DOCUMENT)['started']
    run = ['--args', boot.xenopus(), 'run', guest]
    gdb = Gdb([command for command, _ in session], run)
    gdb.show()
    check_session(verdict, session, gdb)

    # What the document cannot tell: whether the numbers are right.
    va, words = first_words(guest, 4)
    questions = ['source tools/gdb/xenopus.py', 'tbreak evtchn_bind_ipi', 'run', 'xenopus vcpus',
                 f'xenopus memory {va:#x} 4', f'xenopus walk d1v0 {va:#x}', 'xenopus walk d1v0 0',
                 'xenopus walk 0xffff808000000000', 'xenopus frame 0', 'xenopus frame 0x7fffffff',
                 'xenopus vcpus d9', 'xenopus walk', 'xenopus walk d1v3 0', 'xenopus stats d1', 'xenopus log',
                 'print nr_frames', 'kill']
    gdb = Gdb(questions, run)
    gdb.show()
    said = gdb.answer('xenopus vcpus')
    verdict.check(re.search(r'rax 0{14}20 ', said), 'rax is not the number of event_channel_op')
    verdict.check(re.search(r'rdi 0{15}7 ', said), 'rdi is not the number of bind_ipi')
    verdict.check('kernel mode' in said and 'trapped on pcpu 0' in said, 'state of the virtual CPU')
    seen = re.findall(r'\b[0-9a-f]{16}\b', gdb.answer(f'xenopus memory {va:#x} 4'))
    verdict.check([int(word, 16) for word in seen[1:]] == words, 'the words are not those of the image')
    said = gdb.answer(f'xenopus walk d1v0 {va:#x}')
    leaf = re.search(r'L1\[\d+\] ([0-9a-f]{16})', said)
    machine = re.search(r'machine address (0x[0-9a-f]+), pfn (0x[0-9a-f]+)', said)
    verdict.check(leaf and machine and int(leaf[1], 16) >> 12 == int(machine[1], 16) >> 12,
                  'the walk does not end where its last entry points')
    verdict.check(machine and int(machine[2], 16) == (va & 0x7fffffff) >> 12, 'pfn of the image')
    verdict.check('not mapped' in gdb.answer('xenopus walk d1v0 0'), 'address 0 is mapped')
    verdict.check('heap' in gdb.answer('xenopus walk 0xffff808000000000'), 'the M2P table')
    verdict.check('reserved' in gdb.answer('xenopus frame 0'), 'frame 0')
    verdict.check('there is no machine frame' in gdb.answer('xenopus frame 0x7fffffff'), 'no such frame')
    verdict.check("no domain 'd9'" in gdb.answer('xenopus vcpus d9'), 'no such domain')
    verdict.check('an address is missing' in gdb.answer('xenopus walk'), 'no address')
    verdict.check("no virtual CPU 'd1v3'" in gdb.answer('xenopus walk d1v3 0'), 'no such virtual CPU')
    verdict.check(re.search(r'set_trap_table +[1-9]', gdb.answer('xenopus stats d1')), 'statistics')
    verdict.check(re.search(r'^\[[0-9]+\.[0-9]{3}\] \S', gdb.answer('xenopus log'), re.M), 'the log')
    verdict.check('Traceback' not in gdb.text and 'Python Exception' not in gdb.text, 'an error in Python')


def core_file(verdict):
    """Of a process that is gone a core file tells the same as the process did."""
    with tempfile.TemporaryDirectory() as top:
        core = os.path.join(top, 'core')
        questions = ['xenopus domains', 'xenopus vcpus', 'xenopus walk rip', 'xenopus memory rip 4',
                     'xenopus events', 'xenopus stats']
        source = 'source tools/gdb/xenopus.py'
        gdb = Gdb([source, 'tbreak evtchn_bind_ipi', 'run', *questions, f'gcore {core}', 'kill'],
                  ['--args', boot.xenopus(), 'run', '-m', '16',
                   os.environ['XENOPUS_GUEST']])
        verdict.check(os.path.exists(core), f'no core file: {gdb.text[-500:]}')
        post_mortem = Gdb([source, *questions], [boot.xenopus(), core])
    post_mortem.show()
    for question in questions:
        verdict.check('d1' in gdb.answer(question) or 'rip' in question, f'no answer to {question}')
        verdict.check(post_mortem.answer(question) == gdb.answer(question),
                      f"'{question}': of the process it was\n{gdb.answer(question)}")


class Guest:
    """The Debian kernel with a shell, its console on pipes."""

    def __init__(self):
        self.log = tempfile.TemporaryFile()
        words = boot.command(['console=hvc0', 'quiet'], mode='shell')
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=self.log,
                                        stderr=subprocess.STDOUT, env=ENVIRONMENT)

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors='replace')

    def wait_for(self, text, limit=120):
        deadline = time.monotonic() + limit
        while text not in self.output():
            if time.monotonic() > deadline or self.process.poll() is not None:
                return False
            time.sleep(0.2)
        return True

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait(self, limit=60):
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return None


def may_attach():
    try:
        with open('/proc/sys/kernel/yama/ptrace_scope', encoding='ascii') as file:
            return file.read().strip() == '0' or os.geteuid() == 0
    except OSError:
        return True


def attached(verdict):
    """gdb -p: a guest that idles, the same one computing, and afterwards it goes on."""
    if not may_attach():
        boot.skip('no right to attach to a process (kernel.yama.ptrace_scope)')
    session = transcript.read(DOCUMENT)['attached']
    guest = Guest()
    try:
        up = verdict.check(guest.wait_for("A shell of the guest"), f'no shell: {guest.output()[-500:]}')
        if not up:
            return
        guest.type('echo pro"mpt"\n')
        verdict.check(guest.wait_for('\nprompt'), 'the shell does not answer')
        time.sleep(1)  # for it to become idle
        process = ['-p', str(guest.process.pid)]
        gdb = Gdb([command for command, _ in session], process)
        gdb.show()
        check_session(verdict, session, gdb)

        # Not the shell itself: when Ctrl-C takes busybox 1.35's out of such a loop, it waits for a lock of its C library
        # for ever one time in a hundred, on any kernel.
        guest.type('echo go"ing"; sh -c "while :; do :; done"\n')
        verdict.check(guest.wait_for('\ngoing'), 'the shell does not answer after gdb left')
        time.sleep(0.5)
        source = 'source tools/gdb/xenopus.py'
        # The loop is in user mode nearly always; a timer tick may be hit now and then.
        for _ in range(5):
            gdb = Gdb([source, 'xenopus vcpus', 'xenopus walk rip', 'xenopus memory rsp 2'], process)
            gdb.show()
            if 'user mode' in gdb.answer('xenopus vcpus'):
                break
        said = gdb.answer('xenopus vcpus')
        verdict.check(re.search(r'd1v0: (running|trapped|in the gate) on pcpu 0; user mode', said),
                      'a computing guest is not told so')
        verdict.check('machine address' in gdb.answer('xenopus walk rip'), 'rip is not mapped')
        verdict.check('not mapped' not in gdb.answer('xenopus memory rsp 2'), 'no stack')
        guest.type('\x03\nexit\n')
        status = guest.wait()
        verdict.check(status == 0, f'status {status} after gdb was there and the guest powered off; it said '
                      f'{guest.output()[-300:]!r}')
    finally:
        if guest.process.poll() is None:
            guest.process.send_signal(signal.SIGKILL)
            guest.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def metal(verdict):
    """The bare-metal image behind QEMU's gdb port: same commands, same answers, but for how it starts; then it goes on."""
    session, hosted = (transcript.read(DOCUMENT)[name] for name in ('metal', 'started'))
    image, port = os.environ['XENOPUS_ELF'], free_port()
    # All that the hosted home answers, at the same place.
    place = [command for command, _ in session].index('xenopus domains')
    session[place:place] = [(command, told) for command, told in hosted if command.startswith('xenopus ')]
    commands = [command.replace('1234', str(port)) for command, _ in session]
    words = [boot.xenopus(), 'run', '--home=metal', f'--gdb={port}', '--paused', os.environ['XENOPUS_GUEST']]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        try:
            line = run.stderr.readline().decode()
            print(line)
            verdict.check(f'gdb {image}' in line and str(port) in line, 'no line about gdb')
            for _ in range(100):  # QEMU has been started; soon it listens
                with socket.socket() as probe:
                    listens = probe.connect_ex(('127.0.0.1', port)) == 0
                if listens:
                    break
                time.sleep(0.1)
            gdb = Gdb(commands, [image], first=True)
            said = run.communicate(timeout=60)[0].decode()
        finally:
            run.kill()
    gdb.show()
    check_session(verdict, session, gdb)
    verdict.check(run.returncode == 0 and ' passed, 0 failed' in said, f'the machine did not go on: {said}')


def main():
    if sys.argv[1] not in ('constants', 'metal'):
        boot.require_kvm()
    if sys.argv[1] != 'constants':
        if not shutil.which('gdb'):
            boot.skip('there is no gdb; tools/check installs it')
    if sys.argv[1] == 'metal' and not shutil.which('qemu-system-x86_64'):
        boot.skip('there is no qemu-system-x86_64; tools/check installs it')
    verdict = boot.Verdict()
    globals()[sys.argv[1]](verdict)
    verdict.finish()


if __name__ == '__main__':
    main()
