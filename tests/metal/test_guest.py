#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run one guest of guests/ on bare metal (QEMU's TCG) and judge what it printed, as tests/conformance does for the
hosted home.

test_guest.py verdict GUEST   no FAIL line but those below, a summary that agrees, the machine powers off
test_guest.py crash GUEST     one crash line, the hypervisor in order
"""

import os
import re
import sys
import tempfile

import metal

# What QEMU's TCG gets wrong about processors; nothing a hypervisor could mend.
EMULATOR = {
    'traps: the same by rsp is #SS(0)': 'a stack address that is not canonical raises #GP',
    'traps: a jump to nowhere is #GP': 'a jump to an address that is not canonical raises #PF',
    'traps: an unmasked SSE exception is #XM': 'SSE exceptions are not raised',
}


def wrong_verdict(run):
    failed = [line[5:] for line in run.text.splitlines() if line.startswith('FAIL ')]
    for line in failed:
        if not any(line.startswith(known + ':') for known in EMULATOR):
            return f'failed: {line}'
    summary = re.search(r'^(\w+): (\d+) passed, (\d+) failed$', run.text, re.M)
    if not summary:
        return 'no summary line'
    passed = len(re.findall(r'^ok \w+: ', run.text, re.M))
    if int(summary[2]) < 1 or int(summary[2]) != passed or int(summary[3]) != len(failed):
        return f'the summary says {summary[0]!r} of {passed} ok and {len(failed)} FAIL lines'
    return None if run.status == 0 else f'status {run.status}, not 0'


def wrong_crash(run):
    if re.search(r'^FAIL ', run.text, re.M):
        return 'the guest lives on'
    if run.text.count('crashed by vcpu') > 1:
        return 'more than one crash report'
    if not re.search(r'domain \S+ stopped: crash$', run.text, re.M):
        return 'no line says that the domain crashed'
    return None if run.status == 1 else f'status {run.status}, not 1'


def main():
    mode, guest = sys.argv[1:]
    metal.skip_without_qemu()
    with tempfile.TemporaryDirectory() as place:
        bundle = os.path.join(place, 'bundle')
        metal.make_bundle(bundle, guest)
        run = metal.boot(bundle)
    print(run.text)
    if run.status is None:
        why = 'still running'
    elif 'panic' in run.text:
        why = 'the hypervisor panicked'
    else:
        why = wrong_verdict(run) if mode == 'verdict' else wrong_crash(run)
    if why:
        print(f'{os.path.basename(guest)}: {why}')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
