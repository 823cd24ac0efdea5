#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the page tables show of the hypervisor while ring 3 runs, seen from outside: QEMU stops the machine, and the
tables that CR3 names are walked in its memory. With xpti=on nothing but the gate, what it uses, and the domain's own
windows; without, everything, which shows that the walk finds it.

test_split.py WORKER
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

import metal

PRESENT, LARGE, ADDRESS = 1, 0x80, 0x000ffffffffff000
WRITE, USER, NO_EXECUTE = 2, 4, 1 << 63
M2P, IMAGE, WINDOWS, DIRECT = range(256, 258), 258, 259, range(260, 272)
# The image's L4 slot: each further processor's own memory is in its upper half (docs/metal.md).
CPU_VIRT = 0xffff810000000000 + (1 << 38)


class Monitor:
    """QEMU's, by its control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        for _ in range(100):
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.1)
        self.file = self.socket.makefile('rw')
        self.file.readline()
        self.execute('qmp_capabilities')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def execute(self, command, **arguments):
        self.file.write(json.dumps({'execute': command, 'arguments': arguments}) + '\n')
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if 'event' not in answer:
                return answer['return']

    def human(self, line):
        return self.execute('human-monitor-command', **{'command-line': line})

    def table(self, address):
        text = self.human(f'xp /512gx {address:#x}')
        return [int(word, 16) for line in text.splitlines() for word in line.split(':')[1].split()]

    def processors(self):
        """(CPL, CR3) of each."""
        text = self.human('info registers -a')
        return [(int(cpl), int(cr3, 16)) for cpl, cr3 in re.findall(r'CPL=(\d).*?CR3=([0-9a-f]+)', text, re.S)]


def leaves(monitor, entry, address, level, rights=WRITE | USER):
    """(address, size, rights) of what an entry of a table of @level leads to."""
    if not entry & PRESENT:
        return
    rights = rights & entry | entry & NO_EXECUTE | rights & NO_EXECUTE
    size = 1 << 12 + 9 * (level - 1)
    if level == 1 or entry & LARGE:
        yield address, size, rights
        return
    for i, below in enumerate(monitor.table(entry & ADDRESS)):
        yield from leaves(monitor, below, address + i * (size >> 9), level - 1, rights)


def shown(monitor, cr3):
    """{slot: its leaves} of the hypervisor's slots."""
    return {slot: list(leaves(monitor, entry, slot << 39 | 0xffff << 48, 4))
            for slot, entry in enumerate(monitor.table(cr3 & ADDRESS)) if 256 <= slot <= 271}


def symbols():
    out = subprocess.run(['nm', os.environ['XENOPUS_ELF']], stdout=subprocess.PIPE, check=True).stdout.decode()
    return {fields[2]: int(fields[0], 16) for fields in map(str.split, out.splitlines()) if len(fields) == 3}


def wrong_with(slots, names):
    """With split tables: what is shown and should not be."""
    code = range(names['image_text_start'], names['gate_text_end'])
    data = [range(names['exposed_start'], names['exposed_end']),
            range(names['trap_stacks_start'], names['trap_stacks_end'])]
    wrong = []
    for slot, found in slots.items():
        for at, size, rights in found:
            if slot in M2P:
                good = not rights & WRITE
            elif slot == IMAGE and at in code:
                good = size == 4096 and not rights & (WRITE | USER)
            elif slot == IMAGE:
                good = (size == 4096 and not rights & USER and rights & NO_EXECUTE and
                        (at >= CPU_VIRT or any(at in part for part in data)))
            else:
                good = slot == WINDOWS and size == 4096 and not rights & USER and rights & NO_EXECUTE
            if not good:
                wrong.append(f'{at:#x}, {size} bytes, {rights:#x}')
    if len(slots[IMAGE]) < 4 or not slots[WINDOWS]:
        wrong.append('not even the gate is there')
    return wrong


def look(place, worker, arguments, split):
    """A guest that runs in ring 3 for ever, in kernel (its own) or user mode. Returns what is wrong."""
    bundle, path = os.path.join(place, 'bundle'), os.path.join(place, 'qmp')
    metal.make_bundle(bundle, worker, memory=16, arguments=arguments)
    with metal.Session(bundle, f'xpti={"on" if split else "off"}',
                       options=['-smp', '2', '-qmp', f'unix:{path},server=on,wait=off']) as machine:
        if not machine.wait_for(r'ok worker: there is memory$'):
            return f'it did not start\n{machine.text}'
        machine.type('hog\r')
        with Monitor(path) as monitor:
            seen = []
            for _ in range(60):
                monitor.execute('stop')
                for cpl, cr3 in monitor.processors():
                    if cpl == 3:
                        seen.append(shown(monitor, cr3))
                monitor.execute('cont')
                if len(seen) >= 3:
                    break
                time.sleep(0.2)
    if not seen:
        return f'it was never in ring 3\n{machine.text}'
    names = symbols()
    for slots in seen:
        direct = [leaf for slot in DIRECT for leaf in slots[slot]]
        if split and (direct or wrong_with(slots, names)):
            return f'{len(direct)} leaves of all memory, {wrong_with(slots, names)}'
        if not split and not direct:
            return 'without split tables memory is not found: the walk is wrong'
    print(f'ok {arguments}, xpti={split}: looked {len(seen)} times, {len(seen[0][IMAGE])} pages of the image, '
          f'{sum(len(seen[0][slot]) for slot in DIRECT)} leaves of all memory')
    return None


def main():
    metal.skip_without_qemu()
    bad = 0
    for arguments in ['obey'], ['spin']:
        for split in True, False:
            with tempfile.TemporaryDirectory() as place:
                why = look(place, sys.argv[1], arguments, split)
            if why:
                print(f'FAIL {arguments}, xpti={split}: {why}')
                bad += 1
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
