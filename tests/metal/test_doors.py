#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Enter the image by each of its doors: PVH, multiboot1 with two modules, multiboot2 by GRUB on a BIOS and on UEFI,
from the ISO of tools/mkiso as a CD and as a raw disk, and from its disk with a FAT partition.

test_doors.py MKISO WORKER
"""

import os
import shutil
import subprocess
import sys
import tempfile

import metal

OVMF = '/usr/share/ovmf/OVMF.fd'
NAMES = ['one', 'two']
PROGRAMS = ('grub-mkrescue', 'grub-mkimage', 'xorriso', 'mformat', 'mcopy')


def wrong(run, door, names):
    if f'started by {door}:' not in run.text:
        return f'not started by {door}'
    for name in names:
        if f'domain {name} stopped: poweroff' not in run.text:
            return f'domain {name} did not power off'
    return None if run.status == 0 else f'status {run.status}, not 0'


def join_again(place, *bundles):
    """What has been joined can be joined; a damaged one cannot, and nothing is written then."""
    result, damaged = f'{place}/again', f'{place}/damaged'
    with open(bundles[0], 'rb') as f:
        data = bytearray(f.read())
    data[-1] ^= 1
    with open(damaged, 'wb') as f:
        f.write(data)
    join = [os.environ['XENOPUS_BUNDLE_JOIN'], '-o', result]
    refused = subprocess.run([*join, bundles[1], damaged], stderr=subprocess.PIPE, text=True, check=False)
    if refused.returncode != 1 or 'is damaged' not in refused.stderr or os.path.exists(result):
        sys.exit(f'a damaged bundle was joined: {refused}')
    subprocess.run([*join, *bundles], check=True)
    twice = subprocess.run([*join, *bundles, bundles[1]], stderr=subprocess.PIPE, text=True, check=False)
    if twice.returncode != 1 or 'there is a domain' not in twice.stderr:
        sys.exit(f'a name was taken twice: {twice}')
    return result


def media(place, mkiso, bundles):
    """name: options of QEMU's, for whatever can be made and booted here."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing or not os.path.exists('/usr/lib/grub/i386-pc'):
        print(f'skipped: GRUB, without {", ".join(missing) or "grub-pc-bin"}')
        return
    for options, name in ([], 'iso'), (['-d'], 'disk'):
        subprocess.run([mkiso, *options, '-o', f'{place}/{name}', os.environ['XENOPUS_ELF'], *bundles, '--',
                        'debug-exit', 'log-level=info'], check=True)
    yield 'BIOS, ISO as CD', ['-cdrom', f'{place}/iso']
    yield 'BIOS, ISO as disk', ['-drive', f'file={place}/iso,format=raw']
    yield 'BIOS, disk', ['-drive', f'file={place}/disk,format=raw']
    if os.path.exists(OVMF) and os.path.exists('/usr/lib/grub/x86_64-efi'):
        # UEFI has no text mode: with a screen the image finds a framebuffer.
        yield 'UEFI, ISO as CD', ['-bios', OVMF, '-vga', 'std', '-cdrom', f'{place}/iso']
        yield 'UEFI, disk', ['-bios', OVMF, '-drive', f'file={place}/disk,format=raw']
    else:
        print('skipped: UEFI, without ovmf or grub-efi-amd64-bin')


def main():
    mkiso, guest = sys.argv[1:]
    metal.skip_without_qemu()
    bad = 0

    def judge(name, run, door, names):
        nonlocal bad
        why = wrong(run, door, names)
        print(f'FAIL {name}: {why}\n{run.text}' if why else f'ok {name}')
        bad += bool(why)

    with tempfile.TemporaryDirectory() as place:
        bundles = [f'{place}/bundle{n}' for n in range(len(NAMES))]
        for bundle, name in zip(bundles, NAMES):
            metal.make_bundle(bundle, guest, memory=16, name=name)
        judge('PVH', metal.boot(bundles[0]), 'PVH', NAMES[:1])
        joined = f'{place}/joined'
        subprocess.run([os.environ['XENOPUS_BUNDLE_JOIN'], '-o', joined, *bundles], check=True)
        judge('PVH, one module of two bundles', metal.boot(joined), 'PVH', NAMES)
        third = f'{place}/third'
        metal.make_bundle(third, guest, memory=16, name='third')
        judge('PVH, of three', metal.boot(join_again(place, joined, third)), 'PVH', [*NAMES, 'third'])
        judge('multiboot1', metal.boot(','.join(bundles), image=os.environ['XENOPUS_MULTIBOOT1']), 'multiboot1', NAMES)
        for name, medium in media(place, mkiso, bundles):
            judge(name, metal.boot(memory=384, limit=120, medium=medium), 'multiboot2', NAMES)
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
