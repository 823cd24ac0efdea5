#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write a newc cpio archive (what Linux unpacks as its initramfs) from a list of entries.

    mkcpio.py OUTPUT ENTRY...

where an ENTRY is one of
    dir:PATH                a directory, mode 0755
    file:PATH=SOURCE        a regular file, mode 0755, with the contents of SOURCE
    text:PATH=STRING        a regular file, mode 0644, with STRING and a newline
    link:PATH=TARGET        a symbolic link
    char:PATH=MAJOR,MINOR   a character device, mode 0600

Promises: needs neither root (device nodes are only written into the archive) nor the cpio program; the
same input gives the same bytes; the length is a multiple of 512, so archives can simply be
concatenated, which is how a mode file or a second set of programs is added to a finished initramfs.
"""

import os
import stat
import sys


class Cpio:
    """Collects entries, gives each an inode number, and renders the archive."""

    def __init__(self):
        self.parts = []
        self.inode = 0
        self.known_dirs = set()

    def add(self, path, mode, data=b'', rdev=(0, 0)):
        self.inode += 1
        self._put(path, self.inode, mode, data, rdev)

    def _put(self, path, inode, mode, data, rdev):
        name = path.encode() + b'\0'
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, rdev[0], rdev[1], len(name), 0)
        head = b'070701' + b''.join(b'%08X' % f for f in fields) + name
        self.parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def add_dir(self, path):
        if path and path not in self.known_dirs:
            self.add_parents(path)
            self.known_dirs.add(path)
            self.add(path, stat.S_IFDIR | 0o755)

    def add_parents(self, path):
        self.add_dir(os.path.dirname(path))

    def render(self):
        self._put('TRAILER!!!', 0, 0, b'', (0, 0))
        blob = b''.join(self.parts)
        return blob + bytes(-len(blob) % 512)


def add_entry(cpio, entry):
    kind, _, rest = entry.partition(':')
    path, _, value = rest.partition('=')
    path = path.lstrip('/')
    if kind == 'dir':
        cpio.add_dir(path)
        return
    cpio.add_parents(path)
    if kind == 'file':
        with open(value, 'rb') as source:
            cpio.add(path, stat.S_IFREG | 0o755, source.read())
    elif kind == 'text':
        cpio.add(path, stat.S_IFREG | 0o644, value.encode() + b'\n')
    elif kind == 'link':
        cpio.add(path, stat.S_IFLNK | 0o777, value.encode())
    elif kind == 'char':
        major, minor = value.split(',')
        cpio.add(path, stat.S_IFCHR | 0o600, rdev=(int(major), int(minor)))
    else:
        raise ValueError(f"unknown entry '{entry}'")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    cpio = Cpio()
    try:
        for entry in sys.argv[2:]:
            add_entry(cpio, entry)
        with open(sys.argv[1], 'wb') as out:
            out.write(cpio.render())
    except (OSError, ValueError) as error:
        sys.exit(f'mkcpio: {error}')


if __name__ == '__main__':
    main()
