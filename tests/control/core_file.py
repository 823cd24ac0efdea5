# SPDX-License-Identifier: MIT
"""The parts of a core file that crash(8) reads, as Xen's docs/misc/dump-core-format has them."""

import struct

CONTEXT = 5168  # sizeof(struct vcpu_guest_context)
CTRLREG = 512 + 8 + 200 + 256 * 16 + 16 + 17 * 8 + 16


def sections(data):
    shoff, = struct.unpack_from('<Q', data, 40)
    count, names_at = struct.unpack_from('<HH', data, 60)
    headers = [struct.unpack_from('<IIQQQQ', data, shoff + 64 * n) for n in range(count)]
    names = data[headers[names_at][4]:][:headers[names_at][5]]
    return {names[h[0]:names.index(b'\0', h[0])].decode(): (h[4], h[5]) for h in headers}


def notes(data, at, size):
    found, end = {}, at + size
    while at < end:
        namesz, descsz, kind = struct.unpack_from('<III', data, at)
        assert data[at + 12:at + 12 + namesz] == b'Xen\0'
        found[kind] = data[at + 12 + namesz:][:descsz]
        at += 12 + namesz + descsz
    return found


def problems(path, vcpus, pages):
    """What is wrong with the file of a domain that had so many virtual CPUs and pages."""
    with open(path, 'rb') as file:
        data = file.read()
    there = sections(data)
    wanted = ['.note.Xen', '.xen_prstatus', '.xen_shared_info', '.xen_p2m', '.xen_pages']
    wrong = [f'{name} is missing' for name in wanted if name not in there]
    if wrong:
        return wrong
    said = notes(data, *there['.note.Xen'])
    magic, nr_vcpus, nr_pages, page_size = struct.unpack('<4Q', said[0x2000001])
    major, minor = struct.unpack_from('<2Q', said[0x2000002])
    p2m = list(struct.iter_unpack('<2Q', data[there['.xen_p2m'][0]:][:there['.xen_p2m'][1]]))
    cr3, = struct.unpack_from('<Q', data, there['.xen_prstatus'][0] + CTRLREG + 3 * 8)
    phoff, = struct.unpack_from('<Q', data, 32)
    # What both readers must agree on: gdb's first segment is one of crash's pages.
    kind, _, offset, _, address, size = struct.unpack_from('<2I4Q', data, phoff + 56)
    for good, what in ((magic == 0xf00febed and page_size == 4096, 'header'),
                       (nr_vcpus == vcpus and there['.xen_prstatus'][1] == vcpus * CONTEXT, 'virtual CPUs'),
                       (sum(mfn != (1 << 64) - 1 for _, mfn in p2m) == pages, 'pages'),
                       (nr_pages == len(p2m) == there['.xen_pages'][1] // 4096, 'number of pages'),
                       ([pfn for pfn, _ in p2m] == list(range(nr_pages)), 'order of pages'),
                       (cr3 >> 12 in {mfn for _, mfn in p2m}, 'CR3'),
                       ((major, minor) == (4, 17) and said[0x2000003] == struct.pack('<Q', 1), 'versions'),
                       (there['.xen_pages'][0] % 4096 == 0 and phoff >= sum(there['.xen_pages']), 'program headers'),
                       (kind == 1 and offset == there['.xen_pages'][0] + address and size, 'segments')):
        if not good:
            wrong.append(f'{what} of the core file')
    return wrong
