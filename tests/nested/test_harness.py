#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The emulated machine works, and tells success from failure and from never ending.

usage: test_harness.py KVM-PROBE
"""

import sys

import nested


def main():
    files = {'/bin/kvm-probe': sys.argv[1]}
    jobs = [('probe', 60, 'kvm-probe'), ('failure', 10, 'false'), ('endless', 2, 'sleep 100')]
    results = nested.run(files, jobs, memory=512)
    wrong = []
    if results['probe'].status != 0 or 'kvm-probe: ok' not in results['probe'].lines:
        wrong.append('KVM does not work in the emulated machine')
    if results['failure'].status != 1:
        wrong.append('a failing command was not noticed')
    if results['endless'].status in (0, None):
        wrong.append('a command without end was not noticed')
    for what in wrong:
        print(f'FAIL {what}')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
