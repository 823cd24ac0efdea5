#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Machines of many sizes and kinds: from 128 MiB to 16 GiB, with 1 to 8 processors, with this clock and that, filled by
one guest; guests that ask to be started again, and one that is stopped for what it does beside one that is not.

test_machines.py WORKER CRASHER
"""

import os
import re
import sys
import tempfile

import metal

SIZES = [128, 1024, 4096, 16384]
PROCESSORS = [2, 8]
# What of the machine's clocks there is, and which is measured by then.
CLOCKS = {
    'HPET': [],
    'ACPI timer': ['-machine', 'hpet=off'],
}
# Of a machine of 512 MiB; beside it are the image, the first MiB, the frame table (4 MiB) and the M2P (1 MiB).
LARGE = 496


class Judge:
    def __init__(self):
        self.bad = 0

    def __call__(self, name, run, *patterns, status=0):
        missing = [p for p in patterns if not re.search(p, run.text, re.M)]
        if run.status == status and not missing:
            print(f'ok {name}')
            return
        print(f'FAIL {name}: status {run.status}, no {missing}\n{run.text}')
        self.bad += 1


def sizes(judge, bundle):
    for size in SIZES:
        run = metal.boot(bundle, memory=size)
        judge(f'{size} MiB', run, r'^worker: 1 passed, 0 failed$', r'started by PVH: [0-9]+ MiB')
        last = int(re.search(r'PVH: ([0-9]+) MiB|$', run.text)[1] or 0)
        # Beyond 3 GiB the rest of the memory begins at 4 GiB.
        want = size if size <= 3072 else size + 1024
        if not want - 1 <= last <= want:
            print(f'FAIL {size} MiB: the last frame is at {last} MiB, not {want}')
            judge.bad += 1


def without_acpi(judge, bundle):
    """Neither HPET nor ACPI, so no way to power off either: it says so and stays."""
    with metal.Session(bundle, options=['-machine', 'hpet=off,acpi=off']) as machine:
        for line in ("serial line's interrupt: old controller", 'clocks measured by the PIT$', '^worker: 1 passed',
                     'the machine does not power off'):
            if not machine.wait_for(line):
                print(f'FAIL without ACPI: no {line!r}\n{machine.text}')
                judge.bad += 1
                return
    print('ok without ACPI')


def restarts(judge, place, worker):
    bundle = os.path.join(place, 'reboot')
    metal.make_bundle(bundle, worker, memory=16, arguments=['reboot'], name='phoenix')
    judge('on-reboot=stop', metal.boot(bundle), r'domain phoenix stopped: reboot')
    judge('on-reboot=machine', metal.boot(bundle, 'on-reboot=machine'), r'domain phoenix restarts the machine')
    with metal.Session(bundle, 'on-reboot=domain') as machine:
        for n in range(4):
            if not machine.wait_for(r'^worker: 4096 pages.*$') or not machine.wait_for('phoenix starts again'):
                print(f'FAIL on-reboot=domain: only {n} times\n{machine.text}')
                judge.bad += 1
                return
    print('ok on-reboot=domain')


def beside(judge, place, worker, crasher):
    """A return that faults in ring 0 ends the domain that asked for it, whichever comes first, and nothing else."""
    bundles = {name: os.path.join(place, name) for name in ('crasher', 'good')}
    metal.make_bundle(bundles['crasher'], crasher, memory=16, name='crasher')
    metal.make_bundle(bundles['good'], worker, memory=64, name='good', arguments=['touch'])
    for order in ('crasher', 'good'), ('good', 'crasher'):
        run = metal.boot(','.join(bundles[name] for name in order), image=os.environ['XENOPUS_MULTIBOOT1'])
        judge(f'{order[0]} and {order[1]}', run, 'domain crasher stopped: crash$', 'domain good stopped: poweroff$',
              r'worker: [0-9]+ of 16384 pages touched, 0 words wrong', 'worker: 1 passed, 0 failed$', status=1)


def main():
    worker = sys.argv[1]
    metal.skip_without_qemu()
    judge = Judge()
    with tempfile.TemporaryDirectory() as place:
        small, large = os.path.join(place, 'small'), os.path.join(place, 'large')
        metal.make_bundle(small, worker, memory=16)
        metal.make_bundle(large, worker, memory=LARGE, arguments=['touch'])
        sizes(judge, small)
        for n in PROCESSORS:
            judge(f'{n} processors', metal.boot(small, 'check-tables', options=['-smp', str(n)]),
                  r'^worker: 1 passed, 0 failed$', f'{n} of {n} processors$', 'page tables: .* 0 wrong$')
        for xpti in 'on', 'off':
            judge(f'page tables, xpti={xpti}', metal.boot(small, f'check-tables xpti={xpti}'),
                  r'page tables: [0-9]{3,} entries, [0-9]+ of them in guests. tables, 0 wrong$')
        for clock, options in CLOCKS.items():
            judge(f'clock: {clock}', metal.boot(small, options=options), f'clocks measured by the {clock}$',
                  r'worker: 1 passed')
        without_acpi(judge, small)
        judge('a guest that fills the machine', metal.boot(large, memory=512),
              r'worker: [0-9]{6} of [0-9]{6} pages touched, 0 words wrong')
        restarts(judge, place, worker)
        beside(judge, place, worker, sys.argv[2])
    return bool(judge.bad)


if __name__ == '__main__':
    sys.exit(main())
