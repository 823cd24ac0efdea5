#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run one guest of guests/ with `xenopus run` and judge what it printed.

check.py verdict XENOPUS GUEST   no FAIL line, a summary with at least one passed and none failed, exit status 0
check.py crash XENOPUS GUEST     one crash line, exit status 1, the process in order (no sanitizer, no abort)

Exit status: 0 right, 1 wrong, 77 (skipped) without a usable /dev/kvm.
"""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../boot'))
import boot  # noqa: E402

TIMEOUT = 100
# Of a guest with little memory, so that many can be tested at once.
OPTIONS = ['--memory', '64']
# Some have a subject that needs more.
MORE = {'conformance-smp': ['--vcpus', '4'], 'conformance-stale': ['--vcpus', '4'],
        'conformance-reuse': ['--vcpus', '2'],
        'hostile-chaos': ['--vcpus', '4', '--pcpus', '2', '--audit', '401'],
        'hostile-storm': ['--vcpus', '4', '--pcpus', '2', '--audit', '401']}
BROKEN = re.compile(r'(Address|Leak|Thread)Sanitizer|runtime error:|assertion|Assertion|: BUG\b|Aborted|mm audit|panic')


def text_of(done):
    """The console, then the hypervisor's lines: two streams, each in order."""
    return b'\n'.join(part or b'' for part in (done.stdout, done.stderr)).decode(errors='replace').replace('\r', '')


def run(xenopus, guest, home='kvm'):
    try:
        # Any ELF file is an initrd to those that look at it; the guest is one.
        done = subprocess.run([xenopus, 'run', f'--home={home}', *OPTIONS, *MORE.get(os.path.basename(guest), []),
                               '--initrd', guest, guest],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired as late:
        return None, text_of(late)
    return done.returncode, text_of(done)


def wrong_verdict(status, text, known=()):
    """known: cases that fail for reasons that are none of ours"""
    failed = [line[5:] for line in text.splitlines() if line.startswith('FAIL ')]
    ours = [line for line in failed if not any(line.startswith(f'{case}:') for case in known)]
    if ours:
        return f'{len(ours)} cases failed'
    summary = re.search(r'^(\w+): (\d+) passed, (\d+) failed$', text, re.M)
    if not summary:
        return 'no summary line'
    passed = len(re.findall(r'^ok \w+: ', text, re.M))
    if int(summary[2]) < 1 or int(summary[2]) != passed or int(summary[3]) != len(failed):
        return f'the summary says {summary[0]!r} of {passed} ok and {len(failed)} FAIL lines'
    return None if status == 0 else f'exit status {status}, not 0'


def wrong_crash(status, text):
    if re.search(r'^FAIL ', text, re.M):
        return 'the guest lives on'
    crashes = re.findall(r'^.*\bcrash.*$', text, re.M | re.I)
    if not crashes:
        return 'no line says that the domain crashed'
    if text.count('crashed by vcpu') > 1:
        return 'more than one crash report'
    return None if status == 1 else f'exit status {status}, not 1'


def judge(mode, status, text, known=()):
    """What is wrong, or None."""
    if status is None:
        return f'still running after {TIMEOUT} s'
    if status < 0 or BROKEN.search(text):
        return f'the hypervisor is not in order (status {status})'
    return wrong_verdict(status, text, known) if mode == 'verdict' else wrong_crash(status, text)


def main():
    mode, xenopus, guest = sys.argv[1:]
    boot.require_kvm()
    status, text = run(xenopus, guest)
    print(text)
    why = judge(mode, status, text)
    if why:
        print(f'{os.path.basename(guest)}: {why}')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
