#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fill the symbol table of the bare-metal image (symbols.c) with the image's own functions.

add_symbols.py NM IMAGE OUTPUT
"""

import os
import shutil
import struct
import subprocess
import sys

IMAGE_VIRT = 0xffff810000000000


def symbols(nm, image):
    """All symbols by name, and the functions as (address, name), sorted, one for each address."""
    every, functions = {}, {}
    for line in subprocess.run([nm, image], check=True, capture_output=True, text=True).stdout.splitlines():
        address, kind, name = line.split()
        every[name] = int(address, 16)
        if kind in 'tT' and int(address, 16) >= IMAGE_VIRT:
            functions.setdefault(int(address, 16), name)
    return every, sorted(functions.items())


def file_offset(image, address):
    """Where the byte loaded to @address lies in the file, by the program headers."""
    table, size, count = struct.unpack_from('<Q', image, 32)[0], *struct.unpack_from('<HH', image, 54)
    for n in range(count):
        kind, _, offset, vaddr, _, filesz = struct.unpack_from('<IIQQQQ', image, table + n * size)
        if kind == 1 and vaddr <= address < vaddr + filesz:
            return offset + address - vaddr
    sys.exit(f'no segment holds {address:#x}')


def main():
    nm, source, output = sys.argv[1:]
    with open(source, 'rb') as f:
        image = bytearray(f.read())
    every, functions = symbols(nm, source)
    at = file_offset(image, every['symbol_table'])
    room = struct.unpack_from('<I', image, at + 4)[0]
    names, entries = bytearray(), bytearray()
    for address, name in functions:
        entries += struct.pack('<II', address - IMAGE_VIRT, 8 + 8 * len(functions) + len(names))
        names += name.encode() + b'\0'
    table = struct.pack('<II', len(functions), room) + entries + names
    if len(table) > room:
        sys.exit(f'{len(table)} bytes of symbols do not fit into {room}: enlarge struct symbol_table in symbols.c')
    image[at:at + len(table)] = table
    with open(output, 'wb') as f:
        f.write(image)
    shutil.copymode(source, output)
    os.utime(output)


if __name__ == '__main__':
    main()
