#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Another guest than Linux: GRUB as a PV kernel (Debian's grub-xen-bin) starts, reads its configuration from a disk in memory,
and puts the stock Debian kernel in its own place, which then runs to its power-off. It builds page tables of its own, pins
and switches them, and leaves the machine to the next kernel as it was found.

usage: test_grub.py [--home=metal]
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

import boot

MODULES = '/usr/lib/grub/x86_64-xen'
USED = ['linux', 'memdisk', 'tar', 'configfile', 'echo', 'halt', 'xzio', 'gzio']
CONFIG = '''set timeout=0
echo grub: loads a kernel
linux (memdisk)/vmlinuz console=hvc0 quiet xenopus.mode=poweroff
initrd (memdisk)/initrd
boot
halt
'''


def pv_grub(directory):
    """Make a PV kernel of GRUB with a Linux kernel inside; its path."""
    def path(name):
        return os.path.join(directory, name)

    with open(path('grub.cfg'), 'w') as config:
        config.write(CONFIG)
    with open(path('early.cfg'), 'w') as config:
        config.write('configfile (memdisk)/grub.cfg\nhalt\n')
    with tarfile.open(path('disk.tar'), 'w') as disk:
        disk.add(os.path.realpath(boot.kernel()), 'vmlinuz')
        disk.add(boot.initramfs(), 'initrd')
        disk.add(path('grub.cfg'), 'grub.cfg')
    subprocess.run(['grub-mkimage', '-d', MODULES, '-O', 'x86_64-xen', '-c', path('early.cfg'), '-m', path('disk.tar'),
                    '-o', path('grub.elf')] + USED, check=True)
    return path('grub.elf')


def main():
    if sys.argv[1:] == ['--home=metal']:
        os.environ['XENOPUS_HOME'] = 'metal'
    boot.require_home()
    boot.kernel()
    if not os.path.isdir(MODULES) or not shutil.which('grub-mkimage'):
        boot.skip('no PV GRUB; tools/check installs it')
    verdict = boot.Verdict()
    with tempfile.TemporaryDirectory(prefix='xenopus-grub-') as directory:
        run = boot.boot([boot.xenopus(), 'run', f'--home={boot.home()}', '--memory', '384', pv_grub(directory)], limit=500)
    verdict.check(run.status == 0, f'exit status {run.status}')
    verdict.check(any('grub: loads a kernel' in line for line in run.lines), 'GRUB did not read its configuration')
    verdict.check(run.has('xenopus-init: up'), 'no first line of init')
    verdict.finish()


if __name__ == '__main__':
    main()
