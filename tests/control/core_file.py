# SPDX-License-Identifier: MIT
"""A core file as its two readers see it: crash(8) by the sections of Xen's docs/misc/dump-core-format, gdb by program headers.

Both must find the same: what crash gets by walking the guest's page tables from CR3 is what gdb has at that address.
"""

import mmap
import struct

CONTEXT = 5168  # sizeof(struct vcpu_guest_context)
REGISTERS = 512 + 8  # user_regs in it
CTRLREG = REGISTERS + 200 + 256 * 16 + 16 + 17 * 8 + 16
NO_FRAME = (1 << 64) - 1
PTE_FRAME = (1 << 52) - 4096
PT_LOAD, PT_NOTE = 1, 4


class Core:
    """The file's parts, decoded once."""

    def __init__(self, data):
        self.data = data
        phoff, shoff = struct.unpack_from('<QQ', data, 32)
        self.phoff = phoff
        nr_segments, = struct.unpack_from('<H', data, 56)
        self.segments = [struct.unpack_from('<2I6Q', data, phoff + 56 * n) for n in range(nr_segments)]
        count, names_at = struct.unpack_from('<HH', data, 60)
        headers = [struct.unpack_from('<IIQQQQ', data, shoff + 64 * n) for n in range(count)]
        names = data[headers[names_at][4]:][:headers[names_at][5]] if count else b''
        self.sections = {names[h[0]:names.index(b'\0', h[0])].decode(): (h[4], h[5]) for h in headers}

    def section(self, name):
        at, size = self.sections[name]
        return self.data[at:at + size]

    def notes(self, at, size, owner):
        found, end = [], at + size
        while at < end:
            namesz, descsz, kind = struct.unpack_from('<III', self.data, at)
            assert self.data[at + 12:at + 12 + namesz] == owner
            at += 12 + (namesz + 3 & ~3)
            found.append((kind, self.data[at:at + descsz]))
            at += descsz + 3 & ~3
        return found

    def context(self, vcpu, offset):
        return struct.unpack_from('<Q', self.data, self.sections['.xen_prstatus'][0] + vcpu * CONTEXT + offset)[0]

    def walk(self, pfn_of, va):
        """Where in the file the page at @va is, by the page tables of virtual CPU 0; None: nowhere."""
        mfn = self.context(0, CTRLREG + 3 * 8) >> 12
        for shift in (39, 30, 21, 12, 0):
            if mfn not in pfn_of:
                return None
            page = self.sections['.xen_pages'][0] + pfn_of[mfn] * 4096
            if not shift:
                return page
            entry, = struct.unpack_from('<Q', self.data, page + 8 * (va >> shift & 511))
            if not entry & 1:
                return None
            mfn = (entry & PTE_FRAME) >> 12


def views(core, pfn_of):
    """What the readers would not agree about."""
    for kind, _, offset, va, _, size, _, _ in core.segments[1:]:
        for at in range(0, size, 4096):
            if kind != PT_LOAD or core.walk(pfn_of, va + at) != offset + at:
                return [f'the page tables have another page at {va + at:#x} than the program headers']
    wrong = []
    for _, status in core.notes(core.segments[0][2], core.segments[0][5], b'CORE\0'):
        vcpu = struct.unpack_from('<i', status, 32)[0] - 1
        rip, rsp = (struct.unpack_from('<Q', status, 112 + 8 * n)[0] for n in (16, 19))
        if (rip, rsp) != (core.context(vcpu, REGISTERS + 128), core.context(vcpu, REGISTERS + 152)):
            wrong.append(f'registers of virtual CPU {vcpu}')
        if rip >> 63 and core.walk(pfn_of, rip) is None:
            wrong.append(f'no page at RIP {rip:#x} of virtual CPU {vcpu}')
    return wrong


def problems(path, vcpus, pages, started=None):
    """What is wrong with the file of a domain of so many virtual CPUs, so many of them ever started, and pages."""
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        core = Core(data)
        wanted = ['.note.Xen', '.xen_prstatus', '.xen_shared_info', '.xen_p2m', '.xen_pages']
        wrong = [f'{name} is missing' for name in wanted if name not in core.sections]
        if wrong:
            return wrong
        said = dict(core.notes(*core.sections['.note.Xen'], b'Xen\0'))
        magic, nr_vcpus, nr_pages, page_size = struct.unpack('<4Q', said[0x2000001])
        major, minor = struct.unpack_from('<2Q', said[0x2000002])
        p2m = list(struct.iter_unpack('<2Q', core.section('.xen_p2m')))
        pfn_of = {mfn: pfn for pfn, mfn in p2m if mfn != NO_FRAME}
        at, size = core.sections['.xen_pages']
        registers = core.notes(core.segments[0][2], core.segments[0][5], b'CORE\0')
        for good, what in ((magic == 0xf00febed and page_size == 4096, 'header'),
                           (nr_vcpus == vcpus and core.sections['.xen_prstatus'][1] == vcpus * CONTEXT, 'virtual CPUs'),
                           (pages is None or len(pfn_of) == pages, 'pages'),
                           (nr_pages == len(p2m) == size // 4096, 'number of pages'),
                           ([pfn for pfn, _ in p2m] == list(range(nr_pages)), 'order of pages'),
                           ((major, minor) == (4, 17) and said[0x2000003] == struct.pack('<Q', 1), 'versions'),
                           (at % 4096 == 0 and core.phoff >= at + size, 'program headers'),
                           (core.segments[0][0] == PT_NOTE and len(core.segments) > 1, 'segments'),
                           (len(registers) == (started or len(registers)) > 0, 'threads')):
            if not good:
                wrong.append(f'{what} of the core file')
        return wrong or views(core, pfn_of)
