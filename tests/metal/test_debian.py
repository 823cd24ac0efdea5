#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's stock kernel on bare metal: a shell on the serial line does what is typed (its self-check: tests/compare).

test_debian.py INITRAMFS
"""

import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'boot'))

import boot  # noqa: E402
import metal  # noqa: E402

CASES = {
    # What is typed while the firmware still has the line may be lost: the newlines.
    'shell': ([], b'\n\necho typed $((6*7))\nexit\n'),
}


def wrong(name, run):
    if name == 'shell' and not re.search(r'^typed 42$', run.text, re.M):
        return 'the shell did not answer'
    return None if run.status == 0 else f'status {run.status}, not 0'


def main():
    metal.skip_without_qemu()
    kernel, bad = boot.kernel(), 0
    with tempfile.TemporaryDirectory() as place:
        bundle = os.path.join(place, 'bundle')
        for name, (words, typed) in CASES.items():
            metal.make_bundle(bundle, kernel, memory=256, initrd=sys.argv[1],
                              arguments=['console=hvc0', 'quiet', *words])
            run = metal.boot(bundle, memory=512, limit=420, typed=typed)
            why = wrong(name, run)
            print(f'FAIL {name}: {why}\n{run.text}' if why else f'ok {name}')
            bad += bool(why)
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
