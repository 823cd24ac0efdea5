#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make the image for multiboot1 loaders: the same segments as a 32-bit ELF file, and the header's magic filled in.

add_multiboot1.py IMAGE OUTPUT
"""

import struct
import sys

PT_LOAD = 1
EM_386 = 3
MAGIC = 0x1badb002
FLAGS = 3
HEADER = struct.pack('<III', 0, FLAGS, -(MAGIC + FLAGS) & 0xffffffff)
HEAD32, SEGMENT32 = '<16sHHIIIIIHHHHHH', '<IIIIIIII'


def segments(data):
    """(physical address, bytes in the file, size in memory) of each loaded segment."""
    start, size, count = *struct.unpack_from('<Q', data, 32), *struct.unpack_from('<HH', data, 54)
    for n in range(count):
        kind, _, offset, _, physical, filled, memory, _ = struct.unpack_from('<IIQQQQQQ', data, start + n * size)
        if kind == PT_LOAD:
            yield physical, data[offset:offset + filled], memory


def main():
    source, target = sys.argv[1:]
    with open(source, 'rb') as f:
        data = bytearray(f.read())
    loaded = list(segments(data))
    head = struct.calcsize(HEAD32) + len(loaded) * struct.calcsize(SEGMENT32)
    table, content = b'', b''
    for physical, filled, memory in loaded:
        if HEADER in filled[:4096]:
            filled = filled.replace(HEADER, struct.pack('<I', MAGIC) + HEADER[4:], 1)
        table += struct.pack(SEGMENT32, PT_LOAD, head + len(content), physical, physical, len(filled), memory, 7, 4)
        content += filled + bytes(-len(filled) % 4)
    if struct.pack('<I', MAGIC) not in content[:4096]:
        sys.exit(f'{source}: no room for a multiboot1 header in its first 4 KiB')
    entry = struct.unpack_from('<Q', data, 24)[0]
    ident = b'\x7fELF\x01\x01\x01'.ljust(16, b'\0')
    with open(target, 'wb') as f:
        f.write(struct.pack(HEAD32, ident, 2, EM_386, 1, entry, struct.calcsize(HEAD32), 0, 0,
                            struct.calcsize(HEAD32), struct.calcsize(SEGMENT32), len(loaded), 0, 0, 0))
        f.write(table + content)


if __name__ == '__main__':
    main()
