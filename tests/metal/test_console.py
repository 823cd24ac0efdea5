#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Talk with two domains and with the hypervisor on one serial line.

test_console.py WORKER
"""

import os
import sys
import tempfile

import metal

SWITCH = '\x01\x01\x01'
HYPERVISOR = 'what is typed goes to the hypervisor'


def say(machine, text, *answers):
    """Type, and require answers, in this order."""
    machine.type(text)
    for answer in answers:
        if not machine.wait_for(answer):
            return f'{text!r} was not answered by {answer!r}'
    return None


def conversation(machine):
    # Neither domain has anything to do but to listen; a Ctrl-A or two is text like any other.
    yield say(machine, '', r'type$', r'type$')
    yield say(machine, 'first\r', r'^worker: heard first$')
    yield say(machine, 'x\x01\x01y\r', r'^worker: heard x\x01\x01y$')
    yield say(machine, SWITCH, r'^\(xenopus\) what is typed goes to domain two$')
    yield say(machine, 'second\r', r'^worker: heard second$')
    yield say(machine, SWITCH, HYPERVISOR)
    yield say(machine, 'h', r'^\(xenopus\) t: clocks', r'^\(xenopus\) R: restart the machine')
    yield say(machine, 'q', r'd1 one: running, 4096 of at most 4096 pages', r'v0 on CPU 0: waits, kernel mode',
              r'd2 two: running')
    yield say(machine, 'd', r'CPU 0: cr0 0x[0-9a-f]+', r'd[12] v0: kernel mode, rip')
    yield say(machine, '0', r'd1 v0: kernel mode, rip', r'd2 v0: kernel mode, rip')
    yield say(machine, 'A', r'frame table audit: 0 violations')
    yield say(machine, 's', r'console_io +[1-9]')
    yield say(machine, 't', r'up [0-9]+ ms, TSC [0-9]+ kHz')
    yield say(machine, 'x', r'no such key')
    # Of the log level nothing was shown but warnings: the ring has the rest.
    yield 'shown in spite of log-level=warn' if 'started by' in machine.text else None
    yield say(machine, 'r', r'^\(xenopus\) \[[0-9]+\.[0-9]{3}\] started by multiboot1')
    yield say(machine, SWITCH, r'goes to domain one$')
    yield say(machine, 'end\r', r'worker: 1 passed', r'goes to domain two$')
    yield say(machine, 'third\r', r'^worker: heard third$')
    yield say(machine, SWITCH, HYPERVISOR)
    yield say(machine, 'R', r'the machine restarts')
    yield None if machine.end() == 0 else 'it did not restart'


def main():
    metal.skip_without_qemu()
    with tempfile.TemporaryDirectory() as place:
        bundles = []
        for name in 'one', 'two':
            bundles.append(os.path.join(place, name))
            metal.make_bundle(bundles[-1], sys.argv[1], memory=16, name=name, arguments=['echo'])
        with metal.Session(','.join(bundles), 'log-level=warn', image=os.environ['XENOPUS_MULTIBOOT1']) as machine:
            for number, why in enumerate(conversation(machine)):
                if why:
                    print(f'FAIL step {number}: {why}\n{machine.text}')
                    return 1
    print('ok the whole conversation')
    return 0


if __name__ == '__main__':
    sys.exit(main())
