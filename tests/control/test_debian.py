#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Debian kernel in a served machine: console, balloon, CPU hot plug, core files, reboot and shutdown on request.

If there are crash(8) and the kernel with its debug information (XENOPUS_VMLINUX, or where Debian's -dbg package has it), crash
opens the core files: of a domain that runs, of one that is paused, and of one that panicked.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest.mock

import core_file
import served
from served import boot


class Console:
    """`xenopus console` with pipes."""

    def __init__(self, machine):
        self.process = subprocess.Popen([boot.xenopus(), 'console', '--socket', machine.socket, 'deb'],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.text = ''

    def expect(self, words, seconds=300):
        deadline = time.monotonic() + seconds
        while words not in self.text:
            line = self.process.stdout.readline().decode(errors='replace')
            if not line or time.monotonic() > deadline:
                print(f"FAIL '{words}' did not come; the last was {self.text[-300:]!r}")
                return False
            print('guest: ' + line.rstrip())
            self.text += line
        self.text = self.text.split(words, 1)[1]
        return True

    def type(self, text):
        self.process.stdin.write(text.encode() + b'\n')
        self.process.stdin.flush()

    def close(self):
        self.process.terminate()
        self.process.wait()


def wait_memory(machine, low, high, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        mib = machine.json('list', 'deb')[0]['memory_kib'] >> 10
        if low <= mib <= high:
            return True
        time.sleep(0.5)
    print(f'{mib} MiB, not {low} to {high}')
    return False


def crash_shows(verdict, kernel, core, *wanted):
    """What crash(8) says about the file; without crash or the kernel's symbols, nothing."""
    release = os.path.basename(os.path.realpath(kernel)).removeprefix('vmlinuz-')
    vmlinux = os.environ.get('XENOPUS_VMLINUX', f'/usr/lib/debug/boot/vmlinux-{release}')
    if not shutil.which('crash') or not os.path.exists(vmlinux):
        print(f'crash(8) or {vmlinux} is not there: only the structure of the core file is checked')
        return
    said = subprocess.run(['crash', '--version'], capture_output=True, check=False).stdout
    version = re.search(rb'crash (\d+)\.(\d+)\.(\d+)', said)
    # Older ones do not find the tasks of kernels in which struct pid ends in numbers[].
    tasks = [r'\[kthreadd\]', r'\[xenwatch\]'] if version and [*map(int, version.groups())] >= [8, 0, 4] else []
    shown = subprocess.run(['crash', '-s', vmlinux, core], input=b'sys\nbt -a\nps\nkmem -i\nlog\n', capture_output=True,
                           check=False).stdout.decode(errors='replace')
    for words in ('RELEASE: ' + re.escape(release), r'#0 \[', r'TOTAL MEM +[1-9]', 'Hypervisor detected: Xen PV', *tasks, *wanted):
        verdict.check(re.search(words, shown), f'crash: no {words}: {shown[:2000]}')


def dump_core(verdict, machine, kernel, *wanted, vcpus=2, paused=False):
    core = machine.path('core')
    if paused:
        machine.verb('pause', 'deb')
    verdict.check(machine.verb('dump-core', 'deb', core).returncode == 0, 'dump-core')
    verdict.check((machine.states()['deb'] == 'paused') == paused, 'dump-core left it paused, or not')
    for line in core_file.problems(core, vcpus, machine.json('list', 'deb')[0]['memory_kib'] >> 2, 2):
        verdict.check(False, line)
    crash_shows(verdict, kernel, core, *wanted)
    if paused:
        machine.verb('unpause', 'deb')
    os.unlink(core)


def panicked(verdict, machine, kernel):
    """A kernel that finds no root file system has left its core file when it is gone."""
    verdict.check(machine.create('bad', 'on_crash = "coredump-destroy"', 'vcpus = 2', kernel=kernel, memory=96,
                                 arguments='console=hvc0 quiet').returncode == 0, 'create a kernel without a root')
    verdict.check(machine.wait_state('bad', None, 200), 'no panic without a root file system')
    cores = [n for n in os.listdir(machine.path('crash')) if n.startswith('bad') and n.endswith('.core')]
    verdict.check(len(cores) == 1, f'core files of a panic: {cores}')
    for core in cores:
        for line in core_file.problems(os.path.join(machine.path('crash'), core), 2, None, 2):
            verdict.check(False, line)
        crash_shows(verdict, kernel, os.path.join(machine.path('crash'), core),
                    r'PANIC: "Kernel panic - not syncing: VFS: Unable to mount root fs', r'\] panic at', r'\] mount_block_root at')


def many_at_once(verdict, kernel):
    """Twelve domains asked for at once, and the kernel not unpacked yet: it is not unpacked twelve times side by side."""
    with served.Machine(memory=64) as machine:
        client = served.Client(machine)
        client.socket.settimeout(300)
        for n in range(12):
            # Too much memory, which is said when the kernel has been looked at.
            client.send(json.dumps({'jsonrpc': '2.0', 'id': n, 'method': 'domain.create', 'params': {
                'name': f'deb{n}', 'kernel': kernel, 'memory': 160}}).encode() + b'\n')
        for _ in range(12):
            verdict.check('memory' in client.message()['error']['message'], 'not refused for its memory')
        with open(f'/proc/{machine.process.pid}/status', encoding='ascii') as file:
            peak = int(re.search(r'VmHWM:\s+(\d+)', file.read())[1]) >> 10
        print(f'twelve kernels: {peak} MiB at most')
        if os.environ.get('XENOPUS_SANITIZE', 'none') == 'none':
            verdict.check(peak < 600, f'loading took {peak} MiB')


def main():
    boot.require_kvm()
    kernel = boot.kernel()
    verdict = boot.Verdict()
    with tempfile.TemporaryDirectory() as cache, unittest.mock.patch.dict(os.environ, XENOPUS_CACHE_DIR=cache):
        many_at_once(verdict, kernel)
    with served.Machine(memory=512, options=['--pcpus', '2', '--grace', '90']) as machine:
        config = machine.config('deb', f'ramdisk = "{boot.initramfs()}"', 'vcpus = 1', 'maxvcpus = 2', 'maxmem = 224',
                                kernel=kernel, memory=160, arguments='console=hvc0 quiet xenopus.mode=shell')
        began = time.monotonic()
        verdict.check(machine.verb('create', config).returncode == 0, 'create')
        console = Console(machine)
        verdict.check(console.expect('A shell of the guest'), 'no shell')
        print(f'a shell after {time.monotonic() - began:.1f} s')
        console.type('echo has $(nproc) CPU')
        verdict.check(console.expect('has 1 CPU\r\n'), 'not one CPU')
        machine.verb('vcpu-set', 'deb', '2')
        time.sleep(2)
        console.type('echo 1 > /sys/devices/system/cpu/cpu1/online; echo has $(nproc) CPU')
        verdict.check(console.expect('has 2 CPU\r\n'), 'not two CPUs')
        verdict.check(machine.json('list', 'deb')[0]['vcpus'] == 2, 'not two CPUs in the list')
        machine.verb('vcpu-set', 'deb', '1')
        time.sleep(3)
        console.type('echo has $(nproc) CPU')
        verdict.check(console.expect('has 1 CPU\r\n'), 'the second CPU is still there')
        machine.verb('mem-set', 'deb', '120')
        verdict.check(wait_memory(machine, 119, 121), 'the balloon does not grow')
        machine.verb('mem-set', 'deb', '160')
        verdict.check(wait_memory(machine, 159, 161), 'the balloon does not shrink')
        verdict.check('audit: 0 violations' in machine.verb('debug-keys', 'A').out, 'audit')
        dump_core(verdict, machine, kernel)
        dump_core(verdict, machine, kernel, paused=True)
        panicked(verdict, machine, kernel)  # domain 2
        machine.verb('sysrq', 'deb', 'h')
        machine.verb('trigger', 'deb', 'nmi', '0')
        console.type('sleep 1; echo $(dmesg | grep -c "sysrq: HELP") keys, $(dmesg | grep -c "NMI received") NMI')
        verdict.check(console.expect('1 keys, 1 NMI'), 'no magic key or no NMI')
        verdict.check(machine.verb('reboot', '-w', 'deb').returncode == 0, 'reboot')
        verdict.check(console.expect('A shell of the guest'), 'no shell after the reboot')
        verdict.check(machine.verb('domid', 'deb').out == '3\n', 'not a new domain')
        console.close()
        verdict.check(machine.end(120) == 0, 'the machine did not end well')
        verdict.check('did not shut down' not in machine.log_text(), 'the domain did not shut down')
    verdict.finish()


if __name__ == '__main__':
    main()
