#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the conformance kernels on Xen itself: the judge of what they expect.

    run.py [--xen FILE] GUEST...

Each GUEST boots as the initial domain of Xen in QEMU's emulation (no KVM needed), with itself as its initrd, and its
verdict lines are read from the serial line. FILE is the hypervisor out of Debian's package, unpacked; without it the
package is fetched with `apt-get download` into ~/.cache/xenopus. Needs qemu-system-x86.

The emulated CPU is not right in everything. What it gets wrong, and no hypervisor can mend, is listed in
EMULATOR and does not count; everything else that fails here is an error in the kernel that expects it.

Exit status: 0 all as expected, 1 something failed, 77 Xen or QEMU is missing.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'tools'))

from xen_package import fetch_xen  # noqa: E402

TIMEOUT = 120

# QEMU's TCG: int n reports an error code of n*16+2, the stack segment raises #GP, SSE exceptions do not trap.
EMULATOR = {
    'traps: the same by rsp is #SS(0)',
    'traps: an unmasked SSE exception is #XM',
    'traps: int 0x81 arrives behind it',
    'traps: int through a DPL 0 gate is #GP(vector)',
    'traps: int without a handler is #GP(vector)',
    'user: int 0x81 too',
    'user: int through a DPL 0 gate is #GP(vector)',
}


def verdicts(xen, guest):
    """The guest's own lines, up to its end or TIMEOUT."""
    command = ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'Haswell,-hle,-rtm', '-m', '256', '-display', 'none',
               '-nodefaults', '-serial', 'stdio', '-no-reboot', '-kernel', str(xen), '-initrd', f'{guest},{guest}',
               '-append', 'console=com1 com1=115200,8n1 dom0_mem=64M dom0_max_vcpus=1 noreboot=1']
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as qemu:
        timer = threading.Timer(TIMEOUT, qemu.kill)
        timer.start()
        for raw in qemu.stdout:
            line = raw.decode(errors='replace').strip()
            if line.startswith(('ok ', 'FAIL ', 'skip ')):
                yield line
            elif line.endswith(' failed') and ' passed, ' in line:
                yield line
                break
        qemu.kill()
        timer.cancel()


def judge(xen, guest):
    wrong = excused = passed = 0
    summary = None
    for line in verdicts(xen, guest):
        if line.startswith('ok '):
            passed += 1
        elif line.startswith('FAIL '):
            if any(line.startswith(f'FAIL {known}:') for known in EMULATOR):
                excused += 1
            else:
                wrong += 1
                print(f'  {line}')
        elif not line.startswith('skip '):
            summary = line
    print(f'{pathlib.Path(guest).name}: {passed} as Xen does it, {wrong} not, {excused} the emulator cannot show'
          f'{"" if summary else "; no summary line"}', flush=True)
    return not wrong and summary is not None


def main():
    parser = argparse.ArgumentParser(description='Run conformance kernels on Xen in QEMU.')
    parser.add_argument('--xen', help='the unpacked hypervisor')
    parser.add_argument('guest', nargs='+')
    args = parser.parse_args()
    if not shutil.which('qemu-system-x86_64'):
        print('skipped: qemu-system-x86_64 is not installed (package qemu-system-x86)')
        return 77
    try:
        xen = args.xen or fetch_xen()
    except OSError as err:
        print(f'skipped: {err}')
        return 77
    results = [judge(xen, guest) for guest in args.guest]
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
