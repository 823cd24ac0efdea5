# SPDX-License-Identifier: MIT
"""What the tests that boot the stock Debian kernel share.

The programs and files come from the environment, set by meson.build: XENOPUS (the binary), XENOPUS_INITRAMFS,
XENOPUS_KERNEL (optional; otherwise what tools/check left in .cache/), and XENOPUS_HOME (optional: kvm or metal). A test
whose needs are not there is skipped with a line that says what is missing.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time

SKIP = 77
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def skip(why):
    print(f'skipped: {why}')
    sys.exit(SKIP)


def xenopus():
    return os.environ['XENOPUS']


def initramfs():
    return os.environ['XENOPUS_INITRAMFS']


def kernel():
    path = os.environ.get('XENOPUS_KERNEL') or os.path.join(TREE, '.cache/kernel/vmlinuz')
    if not os.path.exists(path):
        skip(f'no kernel at {path}; tools/check fetches it')
    return path


def kvm_usable():
    """A KVM device that we may use; what else may be called /dev/kvm does not answer like one."""
    try:
        with open('/dev/kvm', 'rb+', buffering=0) as device:
            return fcntl.ioctl(device, 0xae00) == 12  # KVM_GET_API_VERSION
    except OSError:
        return False


def require_kvm():
    if not kvm_usable():
        skip('no usable /dev/kvm')


def home():
    return os.environ.get('XENOPUS_HOME', 'kvm')


def require_home():
    """What the home under test needs."""
    if home() == 'kvm':
        require_kvm()
    elif not shutil.which('qemu-system-x86_64'):
        skip('no qemu-system-x86_64; tools/check installs it')


class Run:
    """One finished run of xenopus: exit status, console lines, lines on standard error, seconds."""

    def __init__(self, status, lines, errors, seconds):
        self.status = status
        self.lines = lines
        self.errors = errors
        self.seconds = seconds

    def has(self, line):
        return line in self.lines

    def last(self, start):
        """The last console line that starts so, or an empty string."""
        found = [line for line in self.lines if line.startswith(start)]
        return found[-1] if found else ''


def command(arguments, mode=None, options=(), memory=256, where=None):
    """The command line for a boot of the Debian kernel. where: the home, if not the one under test."""
    words = [xenopus(), 'run', f'--home={where or home()}', '--initrd', initramfs(), '--memory', str(memory), *options,
             kernel(), '--', *arguments]
    if mode:
        words.append(f'xenopus.mode={mode}')
    return words


def boot(words, limit=300, echo=True):
    """Run to the end without a terminal; show the console as it comes."""
    start = time.monotonic()
    lines = []
    with subprocess.Popen(['timeout', '-k', '5', str(limit)] + words, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for raw in process.stdout:
            lines.append(raw.decode(errors='replace').rstrip('\r\n'))
            if echo:
                print(f'[{time.monotonic() - start:7.3f}] {lines[-1]}', flush=True)
        errors = process.stderr.read().decode(errors='replace').splitlines()
    for line in errors:
        print(f'stderr: {line}')
    return Run(process.returncode, lines, errors, time.monotonic() - start)


class Verdict:
    """Collects what was wrong; the exit status of a test comes from it."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, condition, what):
        if condition:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAIL {what}')
        return condition

    def finish(self):
        print(f'{self.passed} passed, {self.failed} failed')
        sys.exit(0 if self.passed and not self.failed else 1)
