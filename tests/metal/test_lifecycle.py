#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What becomes of a domain that stops on bare metal: on_poweroff, on_reboot, on_crash and on_watchdog of its bundle, how
soon it starts again, what is noted of a crash, what the monitor shows of it all; and what xenopus-bundle refuses.

test_lifecycle.py WORKER
"""

import os
import re
import subprocess
import sys
import tempfile

import metal
import test_monitor

CREATED, GONE = r'\(xenopus\) domain {} \({}\) is created$', r'\(xenopus\) domain {} \({}\) is destroyed$'


def bundle_of(place, worker, name, *arguments, **actions):
    path = os.path.join(place, name)
    options = [word for reason, action in actions.items() for word in (f'--on-{reason}', action)]
    metal.make_bundle(path, worker, memory=8, name=name, arguments=arguments, options=options)
    return path


def backs_off(place, worker):
    """A domain that does not stay up starts again at once, then after 1, 2, 4 ... s, with no word on the command line."""
    with metal.Session(bundle_of(place, worker, 'phoenix', 'reboot', reboot='restart')) as machine:
        t = test_monitor.Talk(machine)
        t.expect('first', CREATED.format('phoenix', 1), 'domain phoenix stopped: reboot$', 'phoenix starts again$')
        for n, delay in enumerate((1, 2, 4, 8, 16)):
            t.expect(f'start {n}', CREATED.format('phoenix', 1), 'domain phoenix stopped: reboot$',
                     f'phoenix starts again in {delay} s$')
        t.open()
        t.command('list', test_monitor.LIST, r'^domain phoenix starts again in \d+ s$')
        t.command('pause phoenix', 'domain phoenix is not there: it starts again soon$')
        t.command('destroy phoenix', 'domain phoenix is not started again$')
        t.command('list', test_monitor.LIST + r'\n' + test_monitor.PROMPT)
        machine.read_to -= len('xenopus> ')
        t.command('create phoenix', CREATED.format('phoenix', 1), 'stopped: reboot$', 'phoenix starts again$',
                  CREATED.format('phoenix', 1), 'phoenix starts again in 1 s$')
        t.expect('start', CREATED.format('phoenix', 1), 'phoenix starts again in 2 s$')
        t.command('destroy phoenix', r'domain phoenix (is not started again|\(1\) is destroyed)$')
        t.command('debug-keys A', '^frame table audit: 0 violations$')
        t.type('\x04')
        if machine.end() != 0:
            raise AssertionError('the machine did not end well')


def crashes_are_noted(place, worker):
    """Preserved: it stays to be looked at, its registers and last lines are in the log, and the machine stays, too."""
    with metal.Session(bundle_of(place, worker, 'wreck', 'crash', crash='preserve')) as machine:
        t = test_monitor.Talk(machine)
        t.expect('crash', r'^\(xenopus\) domain wreck \(1\) crashed; its registers:$',
                 r'^\(xenopus\) d1 v0: kernel mode, rip e033:', r'^\(xenopus\) last lines of its console:$',
                 r'^\(xenopus\) \| worker: 2048 pages, arguments: crash$',
                 'domain wreck stopped: crash$', r'domain wreck \(1\) stays as it is until it is destroyed$')
        t.open()
        t.command('list', test_monitor.row('wreck', '---sc-', 1))
        t.command('dmesg', r'domain wreck \(1\) crashed; its registers:', r'\| worker: 2048 pages, arguments: crash')
        t.command('unpause wreck', '^domain wreck has stopped$')
        t.command('uptime wreck', '^wreck +1 ')
        t.command('destroy wreck', GONE.format('wreck', 1))
        t.command('debug-keys A', '^frame table audit: 0 violations$')
        t.type('\x04')
        if machine.end() != 1:
            raise AssertionError('a crash is no good end')


def rename_restarts(place, worker):
    """The old ones stay, under other names, and the new one has the name."""
    with metal.Session(bundle_of(place, worker, 'dog', 'watchdog', watchdog='rename-restart')) as machine:
        t = test_monitor.Talk(machine)
        t.expect('stop', 'domain dog stopped: watchdog$', 'domain dog starts again$', CREATED.format('dog', 2),
                 r'domain dog-1 \(1\) stays', 'domain dog stopped: watchdog$', r'domain dog-2 \(2\) stays',
                 CREATED.format('dog', 3))
        t.open()
        t.command('list dog-2 dog-1', test_monitor.row('dog-2', '---sw-', 2), test_monitor.row('dog-1', '---sw-', 1))
        t.command('destroy dog-1', GONE.format('dog-1', 1))
        t.command('debug-keys A', '^frame table audit: 0 violations$')


def each_its_own(place, worker):
    """The bundle's word counts more than the machine's; where it has none, the machine's does."""
    paths = [bundle_of(place, worker, 'stays', 'reboot', reboot='destroy'), bundle_of(place, worker, 'again', 'reboot')]
    with metal.Session(','.join(paths), 'on-reboot=domain', image=os.environ['XENOPUS_MULTIBOOT1']) as machine:
        t = test_monitor.Talk(machine)
        t.expect('two', 'again starts again in 1 s$', 'again starts again in 2 s$')
        if len(re.findall('domain stays stopped: reboot', machine.text)) != 1 or 'stays starts' in machine.text:
            raise AssertionError('the bundle said destroy')
    run = metal.boot(bundle_of(place, worker, 'off', poweroff='destroy', reboot='restart'))
    if run.status != 0 or not re.search('domain off stopped: poweroff', run.text):
        raise AssertionError(f'a domain that may restart ended with {run.status}\n{run.text}')


# What is given, and the line about it.
REFUSED = {
    '--on-crash=explode': "--on-crash of 'explode': give destroy, restart, rename-restart or preserve",
    '--on-reboot=': "--on-reboot of '': give destroy",
    '--on-crash=coredump-restart': "--on-crash of 'coredump-restart': on bare metal there is no disk for a core file",
    '--on-watchdog=coredump-destroy': "--on-watchdog of 'coredump-destroy': on bare metal",
}


def refuses(place, worker):
    path = os.path.join(place, 'none')
    for option, line in REFUSED.items():
        done = subprocess.run([os.environ['XENOPUS_BUNDLE'], '-o', path, option, worker], capture_output=True, text=True,
                              check=False)
        if done.returncode == 0 or os.path.exists(path) or line not in done.stderr or done.stderr.count('\n') != 1:
            raise AssertionError(f'{option}: {done.returncode}, {done.stderr}')


def main():
    metal.skip_without_qemu()
    bad = 0
    for part in backs_off, crashes_are_noted, rename_restarts, each_its_own, refuses:
        with tempfile.TemporaryDirectory() as place:
            try:
                part(place, sys.argv[1])
                print(f'ok {part.__name__}')
            except AssertionError as why:
                print(f'FAIL {part.__name__}: {why}')
                bad += 1
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
