#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""platform.h is the only door: the symbols that the core's archive leaves undefined are exactly the functions
that platform.h declares, plus the four memory functions a compiler may call by itself.

Usage: check_symbols.py NM ARCHIVE PLATFORM_H
"""
import re
import subprocess
import sys

COMPILER_MAY_CALL = {'memcpy', 'memset', 'memmove', 'memcmp'}
# What a sanitizer build adds.
RUNTIME = re.compile(r'^(__asan_|__ubsan_|__tsan_|__sanitizer_|__sanitizer)|^_GLOBAL_OFFSET_TABLE_$')


def declared(header):
    with open(header, encoding='utf-8') as f:
        text = re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)
    return set(re.findall(r'\b(plat_\w+)\s*\(', text))


def undefined(nm, archive):
    wanted, defined = set(), set()
    out = subprocess.run([nm, archive], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[0] in ('U', 'w', 'v'):
            wanted.add(fields[1])
        elif len(fields) == 3 and fields[1].isupper():
            defined.add(fields[2])
    if not defined:
        sys.exit(f'{archive}: no symbols at all; not an archive of objects?')
    return {s for s in wanted - defined if not RUNTIME.match(s)}


def main():
    nm, archive, header = sys.argv[1:]
    door, used = declared(header), undefined(nm, archive)
    bad = False
    for symbol in sorted(used - door - COMPILER_MAY_CALL):
        print(f'{symbol}: used by the core, but not in platform.h')
        bad = True
    for symbol in sorted(door - used):
        print(f'{symbol}: in platform.h, but not used by the core')
        bad = True
    if not bad:
        print(f'{len(door)} functions of platform.h, and nothing else')
    return bad


if __name__ == '__main__':
    sys.exit(main())
