#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""stress-ng on Debian's stock kernel with more virtual CPUs than physical ones, everything verified.

usage: test_stress.py CASE [VCPUS [IMAGE]], CASE one of the functions below.

Each group of classes gets XENOPUS_STRESS_SECONDS (2); XENOPUS_STRESS_GROUPS replaces the list of groups.
stress-ng comes out of Debian's package (tools/stress_package.py).
"""

import os
import re
import shutil
import sys
import tempfile
import threading
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
for directory in 'tests/control', 'tests/metal', 'tools':
    sys.path.insert(0, os.path.join(TREE, directory))

import served  # noqa: E402
import stress_package  # noqa: E402
import test_monitor  # noqa: E402
from metal import Session, make_bundle, skip_without_qemu  # noqa: E402
from served import boot  # noqa: E402

SECONDS = int(os.environ.get('XENOPUS_STRESS_SECONDS', '2'))
# Those that touch what is shared between virtual CPUs go first, each alone; the rest at once. The threads are membarrier's:
# stress-ng 0.15's pthread does not wait for the thread it makes last when the time is over then, and that one reads what
# was on the first one's stack.
GROUPS = os.environ.get('XENOPUS_STRESS_GROUPS') or 'tlb-shootdown,fork,vm+mmap,futex+switch+membarrier,cpu+signal+timer,accounts'
# For a guest whose CPUs and memory come and go meanwhile: no account of time, which is of CPUs that stay.
CHANGING = os.environ.get('XENOPUS_STRESS_GROUPS') or 'tlb-shootdown+vm,fork+futex+mmap,membarrier+switch+cpu'
AUDIT = 'frame table audit: 0 violations'
MEMORY = 320


def archive(place):
    """Our initramfs with stress-ng behind it."""
    path = os.path.join(place, 'stress.cpio')
    with open(path, 'wb') as out:
        for part in boot.initramfs(), stress_package.fetch_stress():
            with open(part, 'rb') as file:
                shutil.copyfileobj(file, out)
    return path


def arguments(groups):
    return ['console=hvc0', 'quiet', 'xenopus.mode=stress', f'xenopus.seconds={SECONDS}', f'xenopus.topics={groups}']


def limit(groups):
    """Long enough for a busy machine, and for an emulated one."""
    return 400 + 20 * SECONDS * len(groups.split(','))


def judge(verdict, lines, vcpus, groups):
    summary = next((line for line in lines if line.startswith('xenopus-stress: ')), '')
    # Beside the groups: the clocks, the kernel's messages.
    wanted = len(groups.split(',')) + 2
    verdict.check(f'xenopus-init: {vcpus} CPUs' in lines, f'not {vcpus} CPUs')
    failures = [line for line in lines if line.startswith('FAIL ')]
    verdict.check(summary == f'xenopus-stress: {wanted} passed, 0 failed', f"summary line: '{summary}' {failures}")


def direct(verdict, where, vcpus):
    with tempfile.TemporaryDirectory() as place:
        words = [boot.xenopus(), 'run', f'--home={where}', '--stats', '--pcpus', '2', '--vcpus', str(vcpus), '--memory',
                 str(MEMORY), '--initrd', archive(place), boot.kernel(), '--', *arguments(GROUPS)]
        run = boot.boot(words, limit=limit(GROUPS))
    verdict.check(run.status == 0, f'exit status {run.status}')
    judge(verdict, run.lines, vcpus, GROUPS)
    verdict.check(any(line.endswith(AUDIT) for line in run.lines + run.errors), 'the frame table')


def hosted(verdict, vcpus=4):
    """Nothing but stress, then the frame table is looked at."""
    boot.require_kvm()
    direct(verdict, 'kvm', int(vcpus))


def metal(verdict, vcpus=4):
    """The same on bare metal, each of whose processors is a thread of QEMU's."""
    if not shutil.which('qemu-system-x86_64'):
        boot.skip('no qemu-system-x86_64; tools/check installs it')
    direct(verdict, 'metal', int(vcpus))


class Guest:
    """What the guest says, read as it comes."""

    def __init__(self, client):
        self.socket = client.socket
        self.socket.settimeout(None)
        self.lines = []
        self.thread = threading.Thread(target=self.read, args=[client.rest])
        self.thread.start()

    def read(self, rest):
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b''
            if not data:
                return
            *lines, rest = (rest + data).split(b'\n')
            for line in lines:
                self.lines.append(line.decode(errors='replace').rstrip('\r'))
                print(f'guest: {self.lines[-1]}', flush=True)

    def wait_for(self, start, seconds):
        end = time.monotonic() + seconds
        while not any(line.startswith(start) for line in self.lines):
            if time.monotonic() > end or not self.thread.is_alive():
                return False
            time.sleep(0.2)
        return True


def changes(done, change, vcpus, seconds):
    """CPUs and memory come and go until the guest has done its work. change() says what there is, MiB and CPUs, and then
    asks for a change, which takes the guest a while.
    """
    end = time.monotonic() + seconds
    seen = []
    while not done(2) and time.monotonic() < end:
        rounds = len(seen)
        # Never the same pair twice running.
        seen.append(change(1 + rounds * 3 % vcpus, MEMORY - 24 * (rounds % 4)))
    memory, cpus = zip(*seen) if seen else ((), ())
    print(f'{len(seen)} changes, memory {sorted(set(memory))} MiB, CPUs {sorted(set(cpus))}')
    return len(set(memory)) > 1 and (len(set(cpus)) > 1 or vcpus == 1)


def changing(verdict, vcpus=4):
    """CPU hot plug and the balloon while stress-ng runs, with a look at the frame table each time."""
    boot.require_kvm()
    vcpus = int(vcpus)
    with served.Machine(memory=MEMORY + 128, options=['--pcpus', '2', '--grace', '90']) as machine:
        config = machine.config('deb', f'ramdisk = "{archive(machine.top.name)}"', f'vcpus = {vcpus}', f'maxmem = {MEMORY}',
                                'on_poweroff = "preserve"', kernel=boot.kernel(), memory=MEMORY,
                                arguments=' '.join(arguments(CHANGING)))
        verdict.check(machine.verb('create', config).returncode == 0, 'create')
        client = served.Client(machine)
        verdict.check(client.call('domain.console', domain='deb').get('result') is True, 'no console')
        guest = Guest(client)

        def done(seconds):
            return guest.wait_for('xenopus-stress: ', seconds) or not guest.thread.is_alive()

        def change(some, mib):
            row = machine.json('list', 'deb')[0]
            verdict.check(machine.verb('vcpu-set', 'deb', str(some)).returncode == 0, f'vcpu-set {some}')
            verdict.check(machine.verb('mem-set', 'deb', str(mib)).returncode == 0, f'mem-set {mib}')
            verdict.check(AUDIT in machine.verb('debug-keys', 'A').out, 'the frame table, while the guest runs')
            return row['memory_kib'] >> 10, row['vcpus']

        if verdict.check(guest.wait_for(f'xenopus-init: {vcpus} CPUs', 300), 'init did not start'):
            verdict.check(changes(done, change, vcpus, limit(CHANGING)), 'nothing changed while it ran')
        judge(verdict, guest.lines, vcpus, CHANGING)
        verdict.check(machine.wait_state('deb', 'shutdown', 60), 'no power-off')
        verdict.check(AUDIT in machine.verb('debug-keys', 'A').out, 'the frame table')
        machine.verb('destroy', 'deb')
        verdict.check(AUDIT in machine.verb('debug-keys', 'A').out, 'the frame table without the domain')
        client.close()
        verdict.check(machine.end(120) == 0, 'the machine did not end well')
        guest.thread.join(10)


def monitor(verdict, vcpus=2, image=None):
    """The same on bare metal, by its monitor on the serial line. image: one with the debug assertions on."""
    skip_without_qemu()
    vcpus = int(vcpus)
    with tempfile.TemporaryDirectory() as place:
        bundle = os.path.join(place, 'deb')
        make_bundle(bundle, boot.kernel(), memory=MEMORY, initrd=archive(place), name='deb', vcpus=vcpus,
                          arguments=arguments(CHANGING))
        with Session(bundle, image=image, memory=MEMORY + 192, options=['-smp', '2']) as machine:
            talk = test_monitor.Talk(machine)

            def done(seconds):
                machine.read_for(seconds)
                return 'xenopus-stress: ' in machine.text

            def change(some, mib):
                there = test_monitor.shown(talk)
                talk.command(f'vcpu-set deb {some}', silent=True)
                talk.command(f'mem-set deb {mib}', silent=True)
                talk.command('debug-keys A', f'^{AUDIT}$')
                return there

            try:
                talk.expect('boot', f'xenopus-init: {vcpus} CPUs', limit=600)
                talk.open()
                verdict.check(changes(done, change, vcpus, limit(CHANGING)), 'nothing changed while it ran')
                talk.expect('the end', 'domain deb stopped: poweroff', limit=60)
                talk.command('debug-keys A', f'^{AUDIT}$')
                talk.ready()
                machine.type('exit\r')
                verdict.check(machine.end() == 0, 'the machine did not end well')
            except AssertionError as why:
                verdict.check(False, why)
            print(machine.text)
            # Behind what was being typed.
            judge(verdict, [re.sub(r'^.*\(deb\) ', '', line) for line in machine.text.split('\n')], vcpus, CHANGING)


def main():
    try:
        stress_package.fetch_stress()
    except OSError as problem:
        boot.skip(problem)
    verdict = boot.Verdict()
    globals()[sys.argv[1]](verdict, *sys.argv[2:])
    verdict.finish()


if __name__ == '__main__':
    main()
