#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boot the ISO of tools/mkiso, with two domains in it, by GRUB on a BIOS and on UEFI, as a CD and as a raw disk.

test_iso.py MKISO GUEST GUEST
"""

import os
import shutil
import subprocess
import sys
import tempfile

import metal

OVMF = '/usr/share/ovmf/OVMF.fd'


def wrong(run, guests):
    for guest in guests:
        name = os.path.basename(guest)
        if f'domain {name} stopped: poweroff' not in run.text:
            return f'{name} did not power off'
    if 'started by multiboot2' not in run.text:
        return 'not started by multiboot2'
    return None if run.status == 0 else f'status {run.status}, not 0'


def main():
    mkiso, *guests = sys.argv[1:]
    metal.skip_without_qemu()
    missing = [tool for tool in ('grub-mkrescue', 'xorriso', 'mformat') if not shutil.which(tool)]
    if missing or not os.path.exists('/usr/lib/grub/i386-pc'):
        print(f'skipped: no {", ".join(missing) or "grub-pc-bin"}')
        return metal.SKIPPED
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        iso = os.path.join(place, 'iso')
        bundles = [f'{place}/bundle{n}' for n in range(len(guests))]
        for bundle, guest in zip(bundles, guests):
            metal.make_bundle(bundle, guest)
        subprocess.run([mkiso, '-o', iso, os.environ['XENOPUS_ELF'], *bundles, '--', 'debug-exit', 'log-level=info'],
                       check=True)
        doors = {'BIOS, CD': ['-cdrom', iso], 'BIOS, disk': ['-drive', f'file={iso},format=raw']}
        if os.path.exists(OVMF) and os.path.exists('/usr/lib/grub/x86_64-efi'):
            doors['UEFI, CD'] = ['-bios', OVMF, '-cdrom', iso]
        for name, medium in doors.items():
            run = metal.boot(memory=384, limit=120, medium=medium)
            why = wrong(run, guests)
            print(f'FAIL {name}: {why}\n{run.text}' if why else f'ok {name}')
            bad += bool(why)
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
