#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the bare-metal home does not take: it says so in one line, and the machine ends. And a panic, provoked: it is
told with names.

test_refused.py GUEST
"""

import os
import re
import struct
import sys
import tempfile

import metal

SIZE_AT, CRC_AT, DOMAIN_AT = 16, 24, 40
VERSION_AT, NAME_AT, INITRD_SIZE_AT, SEGMENTS_AT = 8, DOMAIN_AT + 72, DOMAIN_AT + 96, DOMAIN_AT + 104
ACTIONS_AT = DOMAIN_AT + 116


def crc32c(data):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
        table.append(byte)
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


def with_number(good, at, form, value):
    """A bundle that lies in one number and has the right checksum."""
    bad = bytearray(good)
    struct.pack_into(form, bad, at, value)
    struct.pack_into('<I', bad, CRC_AT, 0)
    struct.pack_into('<I', bad, CRC_AT, crc32c(bad))
    return bytes(bad)


def cases(good):
    damaged = bytearray(good)
    damaged[len(good) // 2] ^= 0x10
    yield 'no bundle at all', b'', '', 'no boot bundle'
    yield 'something else', b'#!/bin/sh\n' * 100, '', 'the boot bundle is none'
    yield 'one bit', bytes(damaged), '', 'is damaged'
    yield 'the end', good[:-100], '', 'is cut off'
    yield 'the version', with_number(good, VERSION_AT, '<I', 9), '', 'is of another version'
    yield 'the size', with_number(good, SIZE_AT, '<Q', 1 << 60), '', 'is cut off'
    yield 'a name', with_number(good, NAME_AT, '<Q', len(good)), '', 'outside itself'
    yield 'the initrd', with_number(good, INITRD_SIZE_AT, '<Q', (1 << 64) - 1), '', 'an initrd outside itself'
    yield 'segments', with_number(good, SEGMENTS_AT, '<Q', len(good) - 8), '', 'impossible list of segments'
    yield 'an action', with_number(good, ACTIONS_AT, '<I', 5 << 16), '', 'says of a domain that stops what'
    yield 'more memory than there is', with_number(good, DOMAIN_AT, '<Q', 1 << 20), '', 'domain '
    yield 'a word', good, 'frobnicate', 'unknown word on the command line: frobnicate'


OVERRUN = [r'panic: exception in the hypervisor: vector 8\b', 'a stack has overrun', r'( overrun_stack\+0x[^$]*){10}']
# What is done to the hypervisor, and what its panic tells: the exception, the registers, functions by name.
PANICS = {
    'stack': OVERRUN,
    'fault': [r'panic: exception in the hypervisor: vector 14 error 0 cr2 0x1000 ',
              r'^\(xenopus\) rip 0x\w+ cs 0xe008 ',
              r'^\(xenopus\) r13 ', r'backtrace:\n.* read_nothing\+0.*\n.* metal_start\+0x'],
    # On another processor, after the guest has started.
    'other': OVERRUN,
    'tables check-tables': [r'page tables: 0x\w+, entry 0x\w+: writable and executable',
                            r'panic: the page tables are wrong'],
}


def panics_are_told(bundle):
    bad = 0
    for how, patterns in PANICS.items():
        run = metal.boot(bundle, f'test-panic={how} log-level=error', memory=128, limit=60, options=['-smp', '2'])
        missing = [p for p in patterns if not re.search(p, run.text, re.M)]
        good = run.status == 3 and not missing
        print(f'ok a panic: {how}' if good else f'FAIL {how}: status {run.status}, no {missing}\n{run.text}')
        bad += not good
    return bad


def one_of_two(good_bundle, bad_bundle):
    """Of two modules one is damaged: a line about that one, the other's domain runs, the machine powers off."""
    bad = 0
    for order in (good_bundle, bad_bundle), (bad_bundle, good_bundle), (bad_bundle, bad_bundle):
        run = metal.boot(','.join(order), image=os.environ['XENOPUS_MULTIBOOT1'], memory=128, limit=60)
        ran = len(re.findall(r'domain worker stopped: poweroff', run.text))
        lines = re.findall(r'module [12]: the boot bundle is damaged \(its checksum is wrong\)', run.text)
        good = run.status == 1 and len(lines) == order.count(bad_bundle) and ran == order.count(good_bundle)
        print(f'ok {lines}, {ran} ran' if good else f'FAIL of two modules: status {run.status}\n{run.text}')
        bad += not good
    return bad


def names_are_unique(bundle):
    """Of two domains of one name the first runs."""
    run = metal.boot(f'{bundle},{bundle}', image=os.environ['XENOPUS_MULTIBOOT1'], memory=128, limit=60)
    good = (run.status == 1 and run.text.count('domain worker stopped: poweroff') == 1 and
            run.text.count('domain worker: there is a domain of this name already') == 1)
    print('ok a name twice' if good else f'FAIL a name twice: status {run.status}\n{run.text}')
    return not good


def too_little_memory(bundle):
    bad = 0
    for size, line in (2, 'memory'), (16, 'more than this machine'):
        run = metal.boot(bundle, 'log-level=error', memory=size, limit=60)
        good = run.status == 1 and re.search(r'^\(xenopus\) .*' + line, run.text, re.M)
        print(f'ok {size} MiB' if good else f'FAIL {size} MiB: status {run.status}\n{run.text}')
        bad += not good
    return bad


# What the processor lacks, and the line. Before it knows its command line the image can only halt.
PROCESSORS = {
    'qemu32': (False, 'this CPU has no 64-bit mode'),
    'qemu64,-nx': (False, 'this CPU has no no-execute bit'),
    'Haswell,-hle,-rtm,-sse': (True, 'this CPU has no SSE'),
    'qemu64,-cx16': (True, 'this CPU has no CMPXCHG16B'),
}


def processors_are_named(bundle):
    bad = 0
    for cpu, (ends, line) in PROCESSORS.items():
        with metal.Session(bundle, memory=128, cpu=cpu) as machine:
            good = machine.wait_for(line) and machine.end(limit=60 if ends else 1) == (1 if ends else None)
            print(f'ok {cpu}: {line}' if good else f'FAIL {cpu}\n{machine.text}')
        bad += not good
    return bad


def main():
    metal.skip_without_qemu()
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, 'bundle')
        metal.make_bundle(path, sys.argv[1])
        with open(path, 'rb') as f:
            good = f.read()
        for name, content, words, line in cases(good):
            with open(path, 'wb') as f:
                f.write(content)
            run = metal.boot(path if content else None, f'{words} log-level=error'.strip(), memory=128, limit=60)
            lines = [text for text in run.text.splitlines() if text.startswith('(xenopus) ')]
            if run.status == 1 and len(lines) == 1 and line in lines[0]:
                print(f'ok {name}: {lines[0]}')
            else:
                print(f'FAIL {name}: status {run.status}, {lines}')
                bad += 1
        with open(path, 'wb') as f:
            f.write(good)
        damaged = path + '.damaged'
        with open(damaged, 'wb') as f:
            f.write(good[:-1] + bytes([good[-1] ^ 1]))
        bad += panics_are_told(path)
        bad += one_of_two(path, damaged)
        bad += names_are_unique(path)
        bad += too_little_memory(path)
        bad += processors_are_named(path)
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
