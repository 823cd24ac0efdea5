# SPDX-License-Identifier: MIT
"""Boot xenopus.elf with a bundle in QEMU, which emulates the whole processor, so no KVM is needed.

The environment names what meson has built: XENOPUS_ELF, XENOPUS_MULTIBOOT1, XENOPUS_BUNDLE.
"""

import os
import re
import selectors
import shutil
import subprocess
import sys
import time

QEMU = shutil.which('qemu-system-x86_64')
SKIPPED = 77


def skip_without_qemu():
    if not QEMU:
        print('skipped: no qemu-system-x86_64')
        sys.exit(SKIPPED)


def make_bundle(path, kernel, memory=64, initrd=None, arguments=(), name=None, vcpus=None,
                options=()):
    words = [os.environ['XENOPUS_BUNDLE'], '-o', path, '--memory', str(memory), *options]
    if name:
        words += ['--name', name]
    if initrd:
        words += ['--initrd', initrd]
    if vcpus:
        words += ['--vcpus', str(vcpus)]
    subprocess.run([*words, kernel, '--', *arguments], check=True)


class Run:
    """status: QEMU's exit status, None when it had to be stopped; text: what came out of the serial line."""

    def __init__(self, status, text):
        self.status = status
        self.text = text.replace('\r', '')


def machine(bundle=None, words='log-level=info', memory=256, cpu='Haswell,-hle,-rtm', medium=None, image=None,
            options=()):
    """QEMU's command line. medium: boot from that (options of QEMU's), not image and bundle; image: XENOPUS_ELF."""
    command = [QEMU, '-accel', 'tcg', '-cpu', cpu, '-m', str(memory), '-display', 'none', '-no-reboot', '-monitor',
               'none', '-nodefaults', '-serial', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', *options]
    if medium:
        command += medium
    else:
        command += ['-kernel', image or os.environ['XENOPUS_ELF'], '-append', f'debug-exit {words}']
    if bundle:
        command += ['-initrd', bundle]
    return command


def boot(*what, limit=100, typed=b'', **how):
    """A domain that powers off ends with status 0, one that crashes or a refusal with 1, a panic with 3. The rest is
    for machine().
    """
    try:
        done = subprocess.run(machine(*what, **how), input=typed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=limit, check=False)
    except subprocess.TimeoutExpired as late:
        return Run(None, (late.stdout or b'').decode(errors='replace'))
    return Run(done.returncode, done.stdout.decode(errors='replace'))


class Session:
    """A machine one talks with: typed at when something has been read. As boot() it takes what machine() does."""

    def __init__(self, *what, **how):
        self.qemu = subprocess.Popen(machine(*what, **how), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, bufsize=0)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.qemu.stdout, selectors.EVENT_READ)
        self.text = ''
        self.read_to = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.qemu.kill()
        self.qemu.communicate()
        self.selector.close()

    def wait_for(self, pattern, limit=60):
        """The next match behind the last one, None when it does not come."""
        end = time.monotonic() + limit
        while True:
            found = re.compile(pattern, re.M).search(self.text, self.read_to)
            if found:
                self.read_to = found.end()
                return found
            left = end - time.monotonic()
            if left <= 0 or not self.selector.select(left):
                return None
            piece = self.qemu.stdout.read(65536)
            if not piece:
                return None
            self.text += piece.decode(errors='replace').replace('\r', '')

    def read_for(self, seconds):
        """Reads what comes meanwhile, and looks at none of it."""
        self.wait_for(r'(?!)', seconds)

    def type(self, text):
        self.qemu.stdin.write(text.encode())

    def end(self, limit=60):
        """The exit status of a machine that ends by itself; None when it does not."""
        self.wait_for(r'\Z.', limit)
        try:
            return self.qemu.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            return None
