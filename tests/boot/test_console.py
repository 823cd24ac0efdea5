#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The console on a terminal: an interactive shell with job control, Ctrl-] leaves, and the terminal's
modes are what they were after every way out, the violent ones included.

usage: test_console.py [--home=metal] [CASE...], some of the functions below
"""

import hashlib
import os
import signal
import sys
import time

import boot
from terminal import Terminal


def to_shell(verdict):
    terminal = Terminal(boot.command(['console=hvc0', 'quiet'], mode='shell'))
    verdict.check(terminal.expect('A shell of the guest'), 'no shell')
    verdict.check(terminal.expect('# '), 'no prompt')
    verdict.check(terminal.modes_raw(), 'the terminal is not in raw mode')
    return terminal


def interactive(verdict):
    terminal = to_shell(verdict)
    terminal.send('echo result $((6 * 7))\r')
    verdict.check(terminal.expect('result 42'), 'no answer from the shell')
    terminal.send('tty\r')
    verdict.check(terminal.expect('/dev/hvc0'), 'the shell is not on hvc0')
    # The guest's line discipline echoes; job control works: Ctrl-C ends a command, not the shell.
    terminal.send('sleep 1000\r')
    verdict.check(terminal.expect('sleep 1000'), 'no echo')
    time.sleep(1)
    terminal.send('\x03')
    terminal.send('echo still $((40 + 2))\r')
    verdict.check(terminal.expect('still 42'), 'Ctrl-C did not end a command')
    # A paste: at once far more bytes than the console ring or the guest's line buffer holds.
    paste = ''.join(f'line {i} of a paste\n' for i in range(400))
    terminal.send('stty -echo; cat > /tmp/paste; stty echo\r')
    time.sleep(1)
    terminal.send(paste)
    terminal.send('\x04')
    terminal.send('echo pasted $(md5sum < /tmp/paste)\r')
    verdict.check(terminal.expect('pasted ' + hashlib.md5(paste.encode()).hexdigest()),
                  'a paste arrived changed')
    # A flood: far more output than the ring holds, all of it there at the end.
    terminal.send('seq 1 6000; echo flood $((1 + 1))\r')
    verdict.check(terminal.expect('5999\r\n6000\r\nflood 2', seconds=200), 'output went lost')
    terminal.send('exit\r')
    status = terminal.wait()
    verdict.check(status == 0, f'wait status {status} after the shell ended')
    verdict.check(terminal.modes_restored(), 'modes are not restored after a power-off')


def escape(verdict):
    terminal = to_shell(verdict)
    terminal.send('\x1d')
    status = terminal.wait()
    verdict.check(status is not None and os.WIFEXITED(status), f'wait status {status} after Ctrl-]')
    verdict.check(terminal.modes_restored(), 'modes are not restored after Ctrl-]')


def escape_while_booting(verdict):
    terminal = Terminal(boot.command(['console=hvc0'], mode='shell'))
    verdict.check(terminal.expect('Linux version'), 'no kernel message')
    terminal.send('\x1d')
    status = terminal.wait()
    verdict.check(status is not None and os.WIFEXITED(status), f'wait status {status} after Ctrl-]')
    verdict.check(terminal.modes_restored(), 'modes are not restored')


def signals(verdict):
    for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGSEGV,
                signal.SIGABRT, signal.SIGBUS):
        terminal = Terminal(boot.command(['console=hvc0'], mode='shell'))
        verdict.check(terminal.expect('Linux version'), 'no kernel message')
        verdict.check(terminal.modes_raw(), 'the terminal is not in raw mode')
        os.kill(terminal.pid, sig)
        status = terminal.wait()
        verdict.check(status not in (None, 0), f'wait status {status} after {sig.name}')
        verdict.check(terminal.modes_restored(), f'modes are not restored after {sig.name}')


def guest_crash(verdict):
    terminal = to_shell(verdict)
    terminal.send('echo c > /proc/sysrq-trigger\r')
    verdict.check(terminal.expect('sysrq triggered crash', 30), 'no crash of the guest')
    status = terminal.wait()
    verdict.check(status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1,
                  f'wait status {status} after a crash of the guest')
    verdict.check(terminal.modes_restored(), 'modes are not restored after a crash of the guest')


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
        return file.read().split()


def gone(pid, seconds=10):
    deadline = time.monotonic() + seconds
    while os.path.exists(f'/proc/{pid}') and time.monotonic() < deadline:
        time.sleep(0.1)
    return not os.path.exists(f'/proc/{pid}')


def violent_end(verdict):
    """On bare metal: the emulator does not outlive us, whatever happens."""
    for sig in (signal.SIGTERM, signal.SIGSEGV, signal.SIGKILL):
        terminal = Terminal(boot.command(['console=hvc0'], mode='shell'))
        verdict.check(terminal.expect('Linux version'), 'no kernel message')
        verdict.check(terminal.modes_raw(), 'the terminal is not in raw mode')
        emulators = children(terminal.pid)
        verdict.check(len(emulators) == 1, f'{len(emulators)} emulators')
        os.kill(terminal.pid, sig)
        verdict.check(terminal.wait() not in (None, 0), f'wait status after {sig.name}')
        verdict.check(all(gone(pid) for pid in emulators), f'the emulator is still there after {sig.name}')
        verdict.check(sig == signal.SIGKILL or terminal.modes_restored(), f'modes after {sig.name}')


def main():
    names = sys.argv[1:]
    if names[:1] == ['--home=metal']:
        os.environ['XENOPUS_HOME'] = 'metal'
        names.pop(0)
    boot.require_home()
    verdict = boot.Verdict()
    cases = [globals()[name] for name in names] or \
        [interactive, escape, escape_while_booting, signals, guest_crash]
    for case in cases:
        print(f'\n--- {case.__name__}')
        case(verdict)
    print()
    verdict.finish()


if __name__ == '__main__':
    main()
