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
    yield 'more memory than there is', with_number(good, DOMAIN_AT, '<Q', 1 << 20), '', 'domain '
    yield 'a word', good, 'frobnicate', 'unknown word on the command line: frobnicate'


def panic_is_told(bundle):
    """The stack runs over its guard page: found, told on a stack of its own, with names of functions."""
    run = metal.boot(bundle, 'test-panic log-level=error', memory=128, limit=60)
    good = run.status == 3 and re.search(r'panic: exception in the hypervisor: vector 8\b', run.text) \
        and 'a stack has overrun' in run.text and len(re.findall(r' overrun_stack\+0x', run.text)) > 10
    print('ok a panic' if good else f'FAIL a panic: status {run.status}\n{run.text}')
    return good


# What the processor lacks, and the line. Before it knows its command line the image can only halt.
PROCESSORS = {
    'qemu32': (None, 'this CPU has no 64-bit mode'),
    'qemu64,-nx': (None, 'this CPU has no no-execute bit'),
    'qemu64,-cx16': (1, 'this CPU has no CMPXCHG16B'),
}


def processors_are_named(bundle):
    bad = 0
    for cpu, (status, line) in PROCESSORS.items():
        run = metal.boot(bundle, memory=128, limit=60 if status else 15, cpu=cpu)
        good = run.status == status and line in run.text
        print(f'ok {cpu}: {line}' if good else f'FAIL {cpu}: status {run.status}\n{run.text}')
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
        bad += not panic_is_told(path)
        bad += processors_are_named(path)
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
