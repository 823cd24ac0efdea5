#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The stock Debian kernel boots, checks itself, computes right, and powers off.

usage: test_debian.py CASE, one of the functions below.
"""

import re
import sys

import boot

SMP_TOPICS = 'fork-exec,fork-tree,copy-on-write,mmap,mprotect,pipes,thread-mutex,thread-futex'


def first_line(verdict):
    """Nothing but console=hvc0: up to the first line of init, end-of-file to the shell, power-off."""
    run = boot.boot(boot.command(['console=hvc0']), limit=120)
    verdict.check(run.status == 0, f'exit status {run.status} after a power-off')
    verdict.check(run.has('xenopus-init: up'), 'no first line of init')
    verdict.check(any('Linux version' in line for line in run.lines), 'no kernel messages')
    verdict.check(any('Hypervisor detected: Xen PV' in line for line in run.lines),
                  'the kernel did not find a Xen')
    verdict.check(not run.errors, 'lines on standard error')
    bad = [line for line in run.lines
           if re.search(r'\b(BUG|WARNING|Call Trace|Oops|general protection)\b', line)
           # What the kernel thinks of a processor without the registers for its favourite defence.
           and 'RETBleed: WARNING: Spectre v2 mitigation' not in line]
    verdict.check(not bad, f'the kernel complained: {bad[:1]}')


def selfcheck(verdict):
    run = boot.boot(boot.command(['console=hvc0', 'quiet'], mode='check'), limit=600)
    summary = run.last('xenopus-selfcheck: ')
    found = re.fullmatch(r'xenopus-selfcheck: (\d+) passed, 0 failed', summary)
    verdict.check(run.status == 0, f'exit status {run.status}')
    verdict.check(found and int(found[1]) >= 50, f"summary line: '{summary}'")


def small_memory(verdict):
    """96 MiB are little for this kernel, and enough."""
    run = boot.boot(boot.command(['console=hvc0', 'quiet'], mode='poweroff', memory=96), limit=120)
    verdict.check(run.status == 0, f'exit status {run.status}')
    verdict.check(run.has('xenopus-init: up'), 'no first line of init')


def more_memory(verdict):
    run = boot.boot(boot.command(['console=hvc0', 'quiet'], mode='poweroff', memory=1024), limit=120)
    verdict.check(run.status == 0, f'exit status {run.status}')
    verdict.check(run.has('xenopus-init: up'), 'no first line of init')


def vector_load(verdict):
    run = boot.boot(boot.command(['console=hvc0', 'quiet', 'xenopus.seconds=20'], mode='load'),
                    limit=200)
    summary = run.last('xenopus-vload: ')
    found = re.fullmatch(r'xenopus-vload: (\d+) rounds, 0 wrong', summary)
    verdict.check(run.status == 0, f'exit status {run.status}')
    # How many rounds is the machine's speed; each of the five processes must have done two at least.
    verdict.check(found and int(found[1]) >= 10, f"summary line: '{summary}'")


def several_cpus(verdict, where='kvm'):
    """Four virtual CPUs on two physical ones: what needs TLB flushes and interrupts between them, at small scale."""
    words = boot.command(['console=hvc0', 'quiet', f'xenopus.topics={SMP_TOPICS}', 'xenopus.scale=8'],
                         mode='check', options=['--vcpus', '4', '--pcpus', '2'], where=where)
    run = boot.boot(words, limit=300)
    verdict.check(run.status == 0, f'exit status {run.status}')
    verdict.check(run.has('xenopus-init: 4 CPUs'), 'not four CPUs')
    summary = run.last('xenopus-selfcheck: ')
    passed = len(SMP_TOPICS.split(','))
    verdict.check(summary == f'xenopus-selfcheck: {passed} passed, 0 failed', f"summary line: '{summary}'")


def several_cpus_metal(verdict):
    several_cpus(verdict, 'metal')


def kernel_panic(verdict):
    """A guest kernel without anything to start panics: the domain crashes with one line, status 1."""
    words = [boot.xenopus(), 'run', '--memory', '128', boot.kernel(), '--', 'console=hvc0', 'quiet']
    run = boot.boot(words, limit=120)
    verdict.check(run.status == 1, f'exit status {run.status} after a kernel panic')
    verdict.check(any('Kernel panic' in line for line in run.lines), 'no panic message')
    verdict.check(any('crash' in line for line in run.errors), 'no line about the crash')


def main():
    if not sys.argv[1].endswith('_metal'):
        boot.require_kvm()
    verdict = boot.Verdict()
    globals()[sys.argv[1]](verdict)
    verdict.finish()


if __name__ == '__main__':
    main()
