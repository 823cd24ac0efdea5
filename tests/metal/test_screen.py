#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The log on the screen: read back by QEMU's monitor, from the VGA's text memory after a BIOS, from the points of a
picture after UEFI.

test_screen.py MKISO WORKER FONT
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import metal

OVMF = '/usr/share/ovmf/OVMF.fd'
LINE = '(xenopus) started by '
CELL = 8, 16


class Monitor:
    """QEMU's monitor, on a socket in the directory @place."""

    def __init__(self, place):
        self.path = os.path.join(place, 'monitor')
        self.options = ['-chardev', f'socket,id=monitor,path={self.path},server=on,wait=off', '-mon', 'chardev=monitor',
                        '-vga', 'std']

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.path)
            s.sendall(command.encode() + b'\n')
            text = b''
            # The prompt, the command, the answer, the prompt.
            while text.count(b'(qemu)') < 2:
                text += s.recv(65536)
        return text.decode(errors='replace')


def text_screen(monitor):
    """80 by 25 characters, each a byte and its colour."""
    answer = monitor.ask('xp /2000hx 0xb8000')
    cells = [int(word, 16) for line in re.findall(r'^\w+: (.*?)\s*$', answer, re.M) for word in line.split()]
    text = ''.join(chr(cell & 0x7f) for cell in cells)
    return [text[at:at + 80].rstrip() for at in range(0, len(text), 80)]


def font_of(path):
    """Character by its picture: 16 rows of 8 points, as screen.c makes them of the 5 by 7 of the font."""
    with open(path, encoding='ascii') as f:
        glyphs = re.findall(r'\{ ((?:0x\w\w,? ?){7})\}', f.read())
    font = {}
    for number, glyph in enumerate(glyphs):
        rows = [int(row, 16) for row in glyph.replace(',', ' ').split()]
        picture = [0] + [row << 2 for row in rows for _ in range(2)] + [0]
        font[tuple(picture)] = chr(ord(' ') + number)
    return font


def picture_screen(monitor, place, font):
    """QEMU's picture of the screen as text; what is no character is a hash."""
    path = os.path.join(place, 'picture')
    monitor.ask(f'screendump {path}')
    with open(path, 'rb') as f:
        data = f.read()
    head = re.match(rb'P6\n(\d+) (\d+)\n255\n', data)
    width, height = int(head[1]), int(head[2])
    points = [bool(red) for red in data[head.end()::3]]
    lines = []
    for top in range(0, height - CELL[1] + 1, CELL[1]):
        line = ''
        for left in range(0, width - CELL[0] + 1, CELL[0]):
            cell = tuple(sum(points[(top + y) * width + left + x] << (7 - x) for x in range(8)) for y in range(16))
            line += font.get(cell, '#')
        lines.append(line.rstrip())
    return lines


def wait_for_line(machine, screen):
    """The serial line has it first."""
    if not machine.wait_for(re.escape(LINE), limit=120):
        return f'no such line on the serial line\n{machine.text}'
    for _ in range(20):
        lines = screen()
        if any(line.startswith(LINE) for line in lines) and not any('#' in line for line in lines):
            return None
        time.sleep(0.5)
    return 'on the screen:\n' + '\n'.join(lines)


def main():
    mkiso, worker, font = sys.argv[1:]
    metal.skip_without_qemu()
    bad = 0

    def judge(name, why):
        nonlocal bad
        print(f'FAIL {name}: {why}' if why else f'ok {name}')
        bad += bool(why)

    with tempfile.TemporaryDirectory() as place:
        bundle, monitor = os.path.join(place, 'bundle'), Monitor(place)
        metal.make_bundle(bundle, worker, memory=16, arguments=['echo'])
        with metal.Session(bundle, options=monitor.options) as machine:
            judge('text', wait_for_line(machine, lambda: text_screen(monitor)))
        if not os.path.exists(OVMF) or not os.path.exists('/usr/lib/grub/x86_64-efi') or not shutil.which('mcopy'):
            print('skipped: the framebuffer, without ovmf, grub-efi-amd64-bin or mtools')
            return bool(bad)
        subprocess.run([mkiso, '-d', '-o', f'{place}/disk', os.environ['XENOPUS_ELF'], bundle, '--', 'log-level=info'],
                       check=True)
        medium = ['-bios', OVMF, '-drive', f'file={place}/disk,format=raw']
        with metal.Session(medium=medium, memory=384, options=monitor.options) as machine:
            judge('framebuffer', wait_for_line(machine, lambda: picture_screen(monitor, place, font_of(font))))
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
