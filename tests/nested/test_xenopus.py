#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Xenopus under kvm-amd in the emulated machine: guests of our own, or the stock Debian kernel.

usage: test_xenopus.py XENOPUS conformance NAME=FILE...
       test_xenopus.py XENOPUS debian INITRAMFS
"""

import re
import sys

import nested

SUMMARY = re.compile(r'.*: (\d+) passed, (\d+) failed$')


def conformance(xenopus, guests):
    files = {'/bin/xenopus': xenopus}
    jobs = []
    for guest in guests:
        name, _, path = guest.partition('=')
        files[f'/guests/{name}'] = path
        jobs.append((name, 120, f'xenopus run --memory 32 /guests/{name}'))
    return files, jobs


def debian(xenopus, initramfs):
    kernel, _ = nested.kernel_files()
    files = {'/bin/xenopus': xenopus, '/vmlinuz': kernel, '/initramfs': initramfs}
    run = 'xenopus run --memory 256 --initrd /initramfs /vmlinuz -- console=hvc0 quiet'
    return files, [('selfcheck', 900, run + ' xenopus.mode=check'),
                   ('vload', 300, run + ' xenopus.mode=load xenopus.seconds=10')]


def good(name, result):
    """Exit status 0 and a summary line with something passed and nothing failed or wrong."""
    if result.status != 0:
        return f'status {result.status}'
    for line in reversed(result.lines):
        found = SUMMARY.match(line)
        if found:
            return None if int(found[1]) and not int(found[2]) else line
        found = re.match(r'xenopus-vload: (\d+) rounds, (\d+) wrong$', line)
        if found:
            return None if int(found[1]) and not int(found[2]) else line
    return 'no summary line'


def main():
    xenopus, kind = sys.argv[1:3]
    if kind == 'conformance':
        files, jobs = conformance(xenopus, sys.argv[3:])
    else:
        files, jobs = debian(xenopus, sys.argv[3])
    results = nested.run(files, jobs, memory=1024, limit=1500)
    failed = 0
    for name, result in results.items():
        why = good(name, result)
        failed += why is not None
        print(f'FAIL {name}: {why}' if why else f'ok {name}')
    print(f'{len(results) - failed} passed, {failed} failed')
    return 1 if failed or not results else 0


if __name__ == '__main__':
    sys.exit(main())
