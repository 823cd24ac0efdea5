#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The image with debug assertions on: guests of our own, on one processor and on four, with the frame table audited
every few hypercalls; and a domain that starts again and again.

test_debug.py IMAGE WORKER GUEST...
"""

import os
import re
import sys
import tempfile

import metal

# pv-l1tf refuses entries that are not present but name a frame, of which one guest makes some.
WORDS = 'log-level=warn audit=7 check-tables pv-l1tf=off'
# What the assertions say when they fail; an image without them would prove nothing.
ASSERTION = b'taken out of order'


def wrong(run):
    if 'panic' in run.text:
        return 'the hypervisor panicked'
    if not re.search(r'^\w+: [1-9][0-9]* passed, 0 failed$', run.text, re.M):
        return 'no good summary'
    return None if run.status == 0 else f'status {run.status}, not 0'


def restarts(image, place, worker):
    """Domains are built and destroyed on one processor while others run."""
    bundle = os.path.join(place, 'phoenix')
    metal.make_bundle(bundle, worker, memory=8, arguments=['reboot'])
    with metal.Session(bundle, f'{WORDS} on-reboot=domain', image=image, options=['-smp', '4']) as machine:
        for n in range(5):
            if not machine.wait_for(r'^worker: 2048 pages'):
                return f'only {n} starts\n{machine.text}'
        return 'a panic\n' + machine.text if 'panic' in machine.text else None


def main():
    image, worker, *guests = sys.argv[1:]
    metal.skip_without_qemu()
    bad = 0
    with open(image, 'rb') as f:
        if ASSERTION not in f.read():
            print('FAIL the image has no debug assertions')
            return 1
    with tempfile.TemporaryDirectory() as place:
        bundle = os.path.join(place, 'bundle')
        for guest in guests:
            metal.make_bundle(bundle, guest, memory=16)
            for processors in 1, 4:
                run = metal.boot(bundle, WORDS, memory=48, image=image, options=['-smp', str(processors)])
                why = wrong(run)
                name = f'{os.path.basename(guest)}, {processors} processors'
                print(f'FAIL {name}: {why}\n{run.text}' if why else f'ok {name}')
                bad += bool(why)
        why = restarts(image, place, worker)
        print(f'FAIL restarts: {why}' if why else 'ok restarts')
        bad += bool(why)
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
