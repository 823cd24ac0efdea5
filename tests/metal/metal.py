# SPDX-License-Identifier: MIT
"""Boot xenopus.elf with a bundle in QEMU, which emulates the whole processor, so no KVM is needed.

The environment names what meson has built: XENOPUS_ELF, XENOPUS_BUNDLE.
"""

import os
import shutil
import subprocess
import sys

QEMU = shutil.which('qemu-system-x86_64')
SKIPPED = 77


def skip_without_qemu():
    if not QEMU:
        print('skipped: no qemu-system-x86_64')
        sys.exit(SKIPPED)


def make_bundle(path, kernel, memory=64, initrd=None, arguments=()):
    words = [os.environ['XENOPUS_BUNDLE'], '-o', path, '--memory', str(memory)]
    if initrd:
        words += ['--initrd', initrd]
    subprocess.run([*words, kernel, '--', *arguments], check=True)


class Run:
    """status: QEMU's exit status, None when it had to be stopped; text: what came out of the serial line."""

    def __init__(self, status, text):
        self.status = status
        self.text = text.replace('\r', '')


def boot(bundle=None, words='log-level=info', memory=256, cpu='Haswell,-hle,-rtm', limit=100, typed=b'',
         medium=None):
    """A domain that powers off ends with status 0, one that crashes or a refusal with 1, a panic with 3.

    medium: options of QEMU's to boot from something else than image and bundle (PVH)
    """
    command = [QEMU, '-accel', 'tcg', '-cpu', cpu, '-m', str(memory), '-display', 'none', '-no-reboot', '-monitor',
               'none', '-nodefaults', '-serial', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4']
    if medium:
        command += medium
    else:
        command += ['-kernel', os.environ['XENOPUS_ELF'], '-append', f'debug-exit {words}']
    if bundle:
        command += ['-initrd', bundle]
    try:
        done = subprocess.run(command, input=typed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=limit,
                              check=False)
    except subprocess.TimeoutExpired as late:
        return Run(None, (late.stdout or b'').decode(errors='replace'))
    return Run(done.returncode, done.stdout.decode(errors='replace'))
