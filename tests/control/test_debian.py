#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Debian kernel in a served machine: console, balloon, CPU hot plug, core file, reboot and shutdown on request.

If there are crash(8) and, told by XENOPUS_VMLINUX, the kernel with its debug information, crash opens the core file.
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


def dump_core(verdict, machine):
    core = machine.path('core')
    verdict.check(machine.verb('dump-core', 'deb', core).returncode == 0, 'dump-core')
    for line in core_file.problems(core, 2, machine.json('list', 'deb')[0]['memory_kib'] >> 2):
        verdict.check(False, line)
    vmlinux = os.environ.get('XENOPUS_VMLINUX')
    if vmlinux and shutil.which('crash'):
        shown = subprocess.run(['crash', '-s', vmlinux, core], input=b'sys\nbt -a\nlog\n', capture_output=True,
                               check=False).stdout.decode(errors='replace')
        for words in ('RELEASE: ', '#0 [', 'Hypervisor detected: Xen PV'):
            verdict.check(words in shown, f'crash: no {words}: {shown[:2000]}')
    os.unlink(core)


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
        dump_core(verdict, machine)
        machine.verb('sysrq', 'deb', 'h')
        machine.verb('trigger', 'deb', 'nmi', '0')
        console.type('sleep 1; echo $(dmesg | grep -c "sysrq: HELP") keys, $(dmesg | grep -c "NMI received") NMI')
        verdict.check(console.expect('1 keys, 1 NMI'), 'no magic key or no NMI')
        verdict.check(machine.verb('reboot', '-w', 'deb').returncode == 0, 'reboot')
        verdict.check(console.expect('A shell of the guest'), 'no shell after the reboot')
        verdict.check(machine.verb('domid', 'deb').out == '2\n', 'not a new domain')
        console.close()
        verdict.check(machine.end(120) == 0, 'the machine did not end well')
        verdict.check('did not shut down' not in machine.log_text(), 'the domain did not shut down')
    verdict.finish()


if __name__ == '__main__':
    main()
