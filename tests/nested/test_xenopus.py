#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Xenopus under kvm-amd in the emulated machine: guests of our own, or the stock Debian kernel.

usage: test_xenopus.py XENOPUS conformance VERDICT:NAME=FILE...
       test_xenopus.py XENOPUS several VERDICT:NAME=FILE...	(machine, Xenopus and guests with two processors)
       test_xenopus.py XENOPUS shadow VERDICT:NAME=FILE...	(the same, and kvm-amd shadows page tables)
       test_xenopus.py XENOPUS debian INITRAMFS
"""

import os
import re
import sys
import tempfile

import nested

sys.path.insert(1, os.path.join(nested.TREE, 'tests/conformance'))
import check  # pylint: disable=wrong-import-position # the judge of the same guests on this host


def conformance(xenopus, guests, more=()):
    """guests: VERDICT:NAME=FILE, the verdict being what check.py calls it; more: options."""
    files = {'/bin/xenopus': xenopus}
    jobs, modes = [], {}
    for guest in guests:
        mode, name, path = re.fullmatch(r'(\w+):([^=]+)=(.*)', guest).groups()
        files[f'/guests/{name}'] = path
        jobs.append((name, 120, f'xenopus run -v {" ".join([*check.OPTIONS, *more])} /guests/{name} -- emulated-cpu'))
        modes[name] = mode
    return files, jobs, modes


def debian(xenopus, initramfs, scratch):
    """The kernel goes in unpacked: that it comes as a bzImage is for the tests on the host."""
    kernel, _ = nested.kernel_files()
    files = {'/bin/xenopus': xenopus, '/initramfs': initramfs,
             '/vmlinux': nested.uncompressed(kernel, scratch)}
    run = 'xenopus run --memory 256 --initrd /initramfs /vmlinux -- console=hvc0 quiet'
    return files, [('debian', 900, run + ' xenopus.mode=check,load xenopus.scale=8 xenopus.seconds=5')]


def wrong_guest(mode, result):
    """What check.py has against a guest of ours, or None."""
    return check.judge(mode, result.status, '\n'.join(result.lines))


def wrong_debian(result):
    """Exit status 0 and two summaries with something done and nothing failed or wrong, or what is not so."""
    if result.status != 0:
        return f'status {result.status}'
    for what in ('selfcheck', 'vload'):
        found = re.search(rf'^xenopus-{what}: (\d+) \w+, (\d+) \w+$', '\n'.join(result.lines), re.M)
        if not found:
            return f'no summary line of the {what}'
        if not int(found[1]) or int(found[2]):
            return found[0]
    return None


def main():
    xenopus, kind = sys.argv[1:3]
    with tempfile.TemporaryDirectory(prefix='xenopus-nested-') as scratch:
        modes = {}
        if kind == 'conformance':
            files, jobs, modes = conformance(xenopus, sys.argv[3:])
        elif kind in ('several', 'shadow'):
            files, jobs, modes = conformance(xenopus, sys.argv[3:], ['--pcpus', '2', '--vcpus', '2'])
        else:
            files, jobs = debian(xenopus, sys.argv[3], scratch)
        results = nested.run(files, jobs, memory=1024, limit=1500, cpus=2 if kind in ('several', 'shadow') else 1,
                             options='npt=0' if kind == 'shadow' else '')
    if kind == 'shadow' and not any(': shadows page tables; SYSCALL enters ring 0;' in line
                                    for result in results.values() for line in result.lines):
        print('FAIL: kvm-amd does not shadow page tables')
        return 1
    failed = 0
    for name, result in results.items():
        why = wrong_guest(modes[name], result) if modes else wrong_debian(result)
        failed += why is not None
        print(f'FAIL {name}: {why}' if why else f'ok {name}')
    print(f'{len(results) - failed} passed, {failed} failed')
    return 1 if failed or not results else 0


if __name__ == '__main__':
    sys.exit(main())
