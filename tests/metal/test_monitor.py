#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The monitor on the serial line: xl's verbs, its editing, what it refuses; and under guests that storm on several
processors.

test_monitor.py small WORKER | test_monitor.py storm WORKER IMAGE | test_monitor.py debian INITRAMFS
"""

import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'boot'))

import boot  # noqa: E402
import metal  # noqa: E402

SWITCH = '\x01\x01\x01'
PROMPT = r'xenopus> '
MONITOR = 'goes to the hypervisor.*'
LIST = r'^Name +ID +Mem VCPUs\tState\tTime\(s\)$'


class Talk:
    """What is said to the monitor, and what it must answer; the first that it does not ends it all."""

    def __init__(self, machine):
        self.machine = machine
        self.said = 0

    def expect(self, what, *answers, limit=60):
        for answer in answers:
            if not self.machine.wait_for(answer, limit):
                raise AssertionError(f'{what!r} was not answered by {answer!r}')

    def ready(self):
        """The last command has ended: there is a new prompt with nothing behind it."""
        self.expect('the last command', PROMPT + r'\Z')

    def type(self, text, *answers, limit=60):
        self.machine.type(text)
        self.expect(text, *answers, limit=limit)

    def command(self, line, *answers, silent=False):
        """A line at the prompt; silent: nothing but the next prompt comes of it."""
        self.ready()
        begin = len(self.machine.text)
        self.type(line + '\r', *answers)
        if silent:
            self.machine.read_to = begin
            self.expect(line, '^' + PROMPT + r'\Z')
            came = self.machine.text[begin:].split('\n', 1)[1]
            lines = [text for text in came.split('\n') if not re.match(r'(xenopus> *)? *(\(|xenopus> |$)', text)]
            if lines:
                raise AssertionError(f'{line!r} was answered: {lines}')
            self.machine.read_to = begin
        self.said += 1

    def open(self):
        """To the hypervisor, past all domains."""
        for _ in range(70):
            self.machine.type(SWITCH)
            found = self.machine.wait_for(r'what is typed goes to (domain|the hypervisor)')
            if found and found[1] == 'the hypervisor':
                self.type('\r', '^' + PROMPT)
                self.machine.read_to -= len('xenopus> ')
                return
        raise AssertionError('Ctrl-A does not reach the hypervisor')


def row(name, state, number=r'\d+', mem=r'\d+', vcpus=1):
    return fr'^{name} +{number} +{mem} +{vcpus} +{state} +\d+\.\d$'


def looks(t):
    # On a busy machine the last one may still be about to wait.
    for _ in range(100):
        t.command('list', LIST)
        if t.machine.wait_for(r'^three +3 +16 +1 +(\S+)')[1] == '-b----':
            break
    t.command('list', LIST, row('one', '-b----', 1, 16), row('two', '-b----', 2, 16), row('three', '-b----', 3, 16))
    t.command('list two', LIST, row('two', '-b----', 2, 16))
    t.command('list 3', LIST, row('three', '-b----', 3, 16))
    t.command('vcpu-list', r'^Name +ID +VCPU +CPU State +Time\(s\) Affinity \(Hard / Soft\)$',
              r'^one +1 +0 +[01] +-b- +\d+\.\d +all / all$', r'^three +3 +0 +[01] +-b- ')
    t.command('uptime one', r'^Name +ID Uptime$', r'^one +1 +0:\d\d:\d\d$')
    t.command('info', r'^nr_domains +: 3$', r'^nr_cpus +: 2$', r'^home +: on bare metal$', r'^xenopus_version +: ')
    t.command('dmesg', r'^\[[0-9.]+\] started by multiboot1')
    t.command('dmesg -x', r'^dmesg has no option -x')
    t.command('dmesg -c', r'^\[[0-9.]+\] started by multiboot1')
    t.command('dmesg', silent=True)
    t.command('top', r'^3 domains, \d+ MiB of 255 MiB free, 2 CPUs$', r'^NAME +ID STATE', r'^one +1 blocked ')
    t.command('debug-keys A', r'^frame table audit: 0 violations$')
    t.command('debug-keys qd', r'^d1 one: running', r'^CPU 0: cr0 0x')
    t.command('domid two', '^2$')
    t.command('domname 2', '^two$')
    t.command('help', r'^console DOMAIN: ', r'^vcpu-set DOMAIN N: ')
    t.command('help list', r'^list \[DOMAIN\.\.\.\]: ')
    t.command('help vcpu-s', r'^vcpu-set DOMAIN N: ')
    t.command('li three 1', LIST + r'\n' + row('three', '-b----', 3, 16) + r'\n' + row('one', '-b----', 1, 16) + r'\n' + PROMPT)
    t.machine.read_to -= len('xenopus> ')
    t.command('up one three', r'^Name +ID Uptime\n^one +1 +0:\d\d:\d\d\n^three +3 +0:')
    t.command('vcpu-l two one', r'^Name +ID +VCPU', r'^two +2 +0 ', r'^one +1 +0 ')
    t.command('reb', 'an argument is missing: reboot ')


def edits(t):
    """Backspace, Ctrl-U, Ctrl-C, arrows; more than a line holds."""
    t.command('lisx\bt', LIST)
    t.command('lisxy\x7f\x7ft', LIST)
    t.command('destroy one\x15list', LIST, row('one', '-b----', 1))
    t.ready()
    t.type('destroy one\x03', r'\^C$')
    t.command('\x1b[A\x1bOBli\x1b[3~st', LIST)
    t.command('  list   one  ', LIST, row('one', '-b----'))
    t.command('x' * 300, 'there is no verb x{127}; help')
    t.command(' '.join('abcdefghijklmnopqrstuvwxyz'), '^too many words$')
    t.command('', silent=True)


def acts(t):
    t.command('pause one', silent=True)
    t.command('list one', row('one', '--p---'))
    t.command('vcpu-list one', r'^one +1 +0 +[01] +--- ')
    t.command('unpause one', silent=True)
    t.command('list one', row('one', '-b----'))
    t.command('rename one eins', silent=True)
    t.command('domid eins', '^1$')
    t.command('rename eins one', silent=True)
    t.command('vcpu-pin two all 1', silent=True)
    t.command('vcpu-list two', r'^two +2 +0 +1 +-b- +\d+\.\d +1 / all$')
    t.command('vcpu-pin two 0 all', silent=True)
    t.command('sched-bvt -d two -w 512 -c 50 -W on -o 1000 -l 2000 -u 3000', silent=True)
    t.command('sched-bvt', r'^Name +ID Weight Warp', r'^one +1 +256 +off +0 +0 +0 +0$',
              r'^two +2 +512 +on +1000 +2000 +3000 +50$')
    t.command('sched-bvt -d two -w 100', silent=True)
    t.command('sched-bvt -d two', r'^two +2 +100 +on +1000 +2000 +3000 +50$')
    t.command('mem-max two 32', silent=True)
    t.command('mem-set two 24', silent=True)
    t.command('debug-keys q', r'^d2 two: running, 4096 of at most 8192 pages')
    t.command('sysrq two h', silent=True)


REFUSED = {
    'frobnicate': 'there is no verb frobnicate; help lists',
    'list four': 'there is no domain four$',
    'list 99999999999999999999': 'there is no domain 9+$',
    'list one four two': 'there is no domain four$',
    'd': 'several verbs begin with d; help lists them$',
    'vcpu one': 'several verbs begin with vcpu; help',
    'help x': 'there is no verb x; help',
    'dump-core one': 'dump-core: on bare metal there is no disk for a core file',
    'list ' + 'one ' * 17: 'too many words$',
    'destroy': 'an argument is missing: destroy DOMAIN$',
    'destroy nobody': 'there is no domain nobody$',
    'domid 1': 'there is no domain 1$',
    'domname one': "'one' is no id: give a number$",
    'pause -1': 'there is no domain -1$',
    'rename one two': 'a domain two exists already',
    'rename one 17': 'the name 17 is a number',
    'rename one a/b': "a domain's name has neither slashes",
    'rename one ' + 'n' * 64: "a domain's name has 1 to 63 bytes",
    'mem-set one much': "memory of 'much': give MiB",
    'mem-set one 2k': "memory of '2k' is less than a page",
    'mem-set one 17': 'domain one may not have so much: mem-max sets how much',
    'mem-max one 99999999t': "memory of '99999999t': give MiB",
    'vcpu-set one 0': "'0' virtual CPUs: give 1 to 64",
    'vcpu-set one 2': 'domain one has 1 virtual CPUs: give at most that',
    'vcpu-pin one 7 0': 'domain one has no virtual CPU 7',
    'vcpu-pin one x 0': "virtual CPU 'x': give 0 to 63, or all",
    'vcpu-pin one 0 5-7': 'this machine has none of the physical CPUs 5-7: it has 0 to 1',
    'vcpu-pin one 0 3-1': 'cpus of "3-1": give numbers and ranges',
    'sched-bvt -w 3': 'say which domain, with -d',
    'sched-bvt -d one -w 0': 'weight 0 is out of range',
    'sched-bvt -d one -w x': "weight of 'x': give a number",
    'sched-bvt -d one -W maybe': "warp 'maybe': give on or off",
    'sched-bvt -d one -v 5 -w 1': 'domain one has no virtual CPU 5',
    'sched-bvt -d': '-d is not followed by anything',
    'sched-bvt -z 1': 'there is no option -z',
    'sched-credit': "this machine's scheduler is bvt, not credit: use sched-bvt",
    'sysrq one help': "a SysRq key is one character, not 'help'",
    'trigger one reset': 'trigger must be nmi',
    'trigger one nmi 9': 'domain one has no virtual CPU 9',
    'debug-keys ?': r'there is no key \?',
    'create one': r'domain one is there already, as domain one \(1\)',
    'create nobody': 'no boot bundle has a domain nobody',
}


def refuses(t):
    for line, answer in REFUSED.items():
        t.command(line, '^.*' + answer)
    t.command('list', row('one', '-b----', 1, 16), row('two', '-b----', 2, 16), row('three', '-b----', 3, 16))
    t.command('sched-bvt -d one', r'^one +1 +256 +off +0 +0 +0 +0$')


def lives(t):
    """Destroyed and created, by hand and by themselves; the machine stays as long as the prompt is open."""
    t.command('debug-keys m', r'^(\d+) frames of')
    free = t.machine.text[:t.machine.read_to].rsplit('\n', 1)[1].split()[0]
    for _ in range(5):
        t.command('destroy two', silent=True)
        t.command('create two', r'\(two\) worker: type$')
    t.command('debug-keys m', f'^{free} frames of')
    t.command('destroy 1', silent=True)
    t.command('list', LIST, row('two', '-b----'), row('three', '-b----'))
    t.command('console three', '^.xenopus. what is typed goes to domain three$')
    t.type('end\r', 'goes to domain two$', r'^\(xenopus\) domain three stopped: poweroff$')
    t.open()
    t.command('list', LIST, row('two', '-b----') + r'\n' + PROMPT)
    t.machine.read_to -= len('xenopus> ')
    t.command('destroy two', silent=True)
    t.command('list', LIST + r'\n' + PROMPT)
    t.machine.read_to -= len('xenopus> ')
    t.command('create three', r'\(three\) worker: type$')
    t.command('debug-keys A', r'^frame table audit: 0 violations$')
    t.ready()
    t.type('\x04', 'the monitor is closed; keys are the hypervisor')
    t.type('t', r'^\(xenopus\) up \d+ ms')
    t.type(':', '^' + PROMPT)
    t.machine.read_to -= len('xenopus> ')
    t.command('destroy three', silent=True)
    t.ready()
    t.machine.type('exit\r')


def small(place, worker):
    bundles = [os.path.join(place, name) for name in ('one', 'two', 'three')]
    for bundle in bundles:
        metal.make_bundle(bundle, worker, memory=16, name=os.path.basename(bundle), arguments=['echo'])
    with metal.Session(','.join(bundles), 'keep-bundles', image=os.environ['XENOPUS_MULTIBOOT1'],
                       options=['-smp', '2']) as machine:
        t = Talk(machine)
        try:
            for _ in bundles:
                t.expect('start', r'worker: type$')
            t.open()
            for part in looks, edits, acts, refuses, lives:
                part(t)
                print(f'ok {part.__name__}: {t.said} commands so far')
            status = machine.end()
            if status != 0:
                raise AssertionError(f'the machine ended with {status}')
        except AssertionError as why:
            return f'{why}\n{machine.text}'
    # Without the word there is nothing to create from, and the machine says so.
    with metal.Session(bundles[0]) as machine:
        t = Talk(machine)
        try:
            t.expect('start', r'worker: type$')
            t.open()
            t.command('create one', 'the boot bundles are not in memory any more: start the machine with keep-bundles')
            t.command('shutdown one', silent=True)
        except AssertionError as why:
            return f'{why}\n{machine.text}'
    return None


# Each of them while three guests storm on three processors; more than one round, as chance has a say in it.
STORMY = [
    'list', 'vcpu-list', 'pause a', 'top', 'vcpu-pin a all 2', 'unpause a', 'vcpu-pin b all 0-1',
    'sched-bvt -d c -w 99', 'sched-bvt -d b -c 30', 'rename c d', 'info', 'debug-keys q', 'debug-keys 0', 'mem-max a 20',
    'vcpu-pin a all all', 'sched-bvt -d b -c 0', 'rename d c', 'debug-keys A', 'debug-keys s', 'uptime', 'destroy a',
    'list', 'create a', 'pause b', 'trigger b nmi', 'destroy b', 'create b',
]
ROUNDS = 5


def storm(place, worker, image):
    bundles = [os.path.join(place, name) for name in 'abc']
    for bundle in bundles:
        metal.make_bundle(bundle, worker, memory=16, name=os.path.basename(bundle), arguments=['obey'])
    every = os.path.join(place, 'all')
    subprocess.run([os.environ['XENOPUS_BUNDLE_JOIN'], '-o', every, *bundles], check=True)
    with metal.Session(every, 'keep-bundles', image=image, options=['-smp', '3']) as machine:
        t = Talk(machine)
        try:
            for _ in bundles:
                t.expect('start', 'ok worker: there is memory')
            t.open()
            for _ in range(ROUNDS):
                for name in 'abc':
                    t.command(f'console {name}', f'goes to domain {name}$')
                    t.machine.type('storm\r')
                    t.open()
                for line in STORMY:
                    t.command(line)
                # It has no handler for that, so it stops by itself, while it storms.
                t.command('trigger c nmi', 'domain c stopped: poweroff$')
                t.command('create c', silent=True)
            t.command('list', row('a', '......'), row('b', '......'), row('c', '......'))
            t.command('debug-keys A', r'^frame table audit: 0 violations$')
            for name in 'abc':
                t.command(f'destroy {name}', silent=True)
            t.ready()
            t.machine.type('exit\r')
            if machine.end() != 0 or re.search(r'\(xenopus\) .*(panic|crash|[ab] stopped)', machine.text):
                raise AssertionError('the machine did not end well')
        except AssertionError as why:
            return f'{why}\n{machine.text}'
    print(f'ok storm: {t.said} commands')
    return None


def shown(t):
    """What `list` says domain deb has: MiB and virtual CPUs."""
    row_of_deb = r'^deb +1 +(\d+) +(\d+)'
    t.command('list deb', row_of_deb + ' ')
    return [int(number) for number in re.findall(row_of_deb, t.machine.text, re.M)[-1]]


def memory_of(t, mib, limit=90):
    """Until the balloon has it there."""
    for _ in range(limit):
        found = shown(t)[0]
        if abs(found - mib) <= 1:
            return
        t.machine.read_for(1)
    raise AssertionError(f'the balloon has brought it to {found} MiB, not {mib}')


def at_the_console(t, line, answer):
    t.command('console deb', 'goes to domain deb$')
    t.type(line + '\r', answer, limit=120)
    t.open()


def debian(place, initramfs):
    bundle = os.path.join(place, 'deb')
    metal.make_bundle(bundle, boot.kernel(), memory=160, initrd=initramfs, name='deb', vcpus=2,
                      arguments=['console=hvc0', 'quiet', 'xenopus.mode=shell'])
    with metal.Session(bundle, memory=512, options=['-smp', '2']) as machine:
        t = Talk(machine)
        try:
            t.expect('boot', 'A shell of the guest', limit=300)
            t.open()
            at_the_console(t, 'echo has $(nproc) CPU', '^has 2 CPU$')
            t.command('vcpu-set deb 1', silent=True)
            at_the_console(t, 'while [ $(nproc) != 1 ]; do sleep 1; done; echo now $(nproc) CPU', '^now 1 CPU$')
            t.command('vcpu-list deb', r'^deb +1 +0 +[01] ', r'^deb +1 +1 +- +--p ')
            t.command('vcpu-set deb 2', silent=True)
            at_the_console(t, 'while ! echo 1 > /sys/devices/system/cpu/cpu1/online; do sleep 1; done; '
                           'echo again $(nproc) CPU', '^again 2 CPU$')
            t.command('mem-set deb 120', silent=True)
            memory_of(t, 120)
            t.command('mem-set deb 160', silent=True)
            memory_of(t, 160)
            t.command('sysrq deb h', silent=True)
            t.command('trigger deb nmi 0', silent=True)
            at_the_console(t, 'sleep 2; echo $(dmesg | grep -c "sysrq: HELP") keys, $(dmesg | grep -c "NMI received") '
                           'NMI', '^1 keys, 1 NMI$')
            t.command('debug-keys A', r'^frame table audit: 0 violations$')
            t.command('shutdown deb', silent=True)
            t.expect('shutdown', 'domain deb stopped: poweroff', limit=120)
            t.machine.type('\x04')
            if machine.end() != 0:
                raise AssertionError('the machine did not end well')
        except AssertionError as why:
            return f'{why}\n{machine.text}'
    print(f'ok debian: {t.said} commands')
    return None


def main():
    metal.skip_without_qemu()
    with tempfile.TemporaryDirectory() as place:
        why = {'small': small, 'storm': storm, 'debian': debian}[sys.argv[1]](place, *sys.argv[2:])
    if why:
        print('FAIL ' + why)
    return bool(why)


if __name__ == '__main__':
    sys.exit(main())
