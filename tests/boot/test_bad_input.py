#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bad input gets one clear line on standard error, the right exit status, and leaves nothing behind.

Every case makes what it needs in a directory of its own, runs, and compares. 1: cannot be done; 2: usage.
"""

import lzma
import os
import struct
import subprocess
import tempfile

import boot


class Case:
    """One bad input: what to call it, the arguments, the status, and words the line must have one of."""

    def __init__(self, name, arguments, status=1, words=(), prefix=(), one_line=True):
        self.name = name
        self.arguments = arguments
        self.status = status
        self.words = words
        self.prefix = list(prefix)
        self.one_line = one_line


class Files:
    """Damaged copies of a good kernel, in a scratch directory."""

    def __init__(self, directory):
        self.directory = directory
        with open(boot.kernel(), 'rb') as file:
            self.good = file.read()
        offset, self.length = struct.unpack_from('<II', self.good, 0x248)
        self.payload = offset + (self.good[0x1f1] + 1) * 512

    def write(self, name, data):
        path = os.path.join(self.directory, name)
        with open(path, 'wb') as file:
            file.write(data)
        return path

    def changed(self, name, at, data):
        return self.write(name, self.good[:at] + data + self.good[at + len(data):])

    def sparse(self, name, size):
        path = self.write(name, b'')
        os.truncate(path, size)
        return path

    def elf(self):
        return lzma.LZMADecompressor().decompress(self.good[self.payload:][:self.length])


def usage_cases(kernel):
    return [
        Case('no command', [], 2, ['Usage', 'usage'], one_line=False),
        Case('unknown command', ['jump'], 2, ['jump']),
        Case('no kernel', ['run'], 2, ['kernel', 'KERNEL']),
        Case('unknown option', ['run', '--no-such-option', kernel], 2, ['no-such-option']),
        Case('memory is no number', ['run', '--memory', 'much', kernel], 2, ['much', 'memory']),
        Case('memory is zero', ['run', '--memory', '0', kernel], 2, ['memory']),
        Case('memory is negative', ['run', '--memory=-5', kernel], 2, ['memory']),
        Case('option without a value', ['run', kernel, '--initrd'], 2, ['initrd']),
        Case('two kernels', ['run', kernel, kernel], 2),
        Case('unknown log level', ['run', '--log-level', 'loud', kernel], 2, ['loud', 'log-level']),
    ]


def kernel_cases(files, directory):
    cases = [
        Case('missing kernel', ['run', directory + '/nothing'], words=['nothing']),
        Case('a directory as kernel', ['run', directory], words=[directory]),
        Case('empty kernel', ['run', files.write('empty', b'')], words=['empty']),
        Case('kernel of noise', ['run', files.write('noise', os.urandom(100000))], words=['noise']),
        Case('an ELF program that is no kernel', ['run', boot.xenopus()]),
        Case('corrupt payload', ['run', files.changed('corrupt', files.payload + files.length // 2,
                                                      bytes(64))], words=['corrupt']),
        Case('unknown compression', ['run', files.changed('unknown', files.payload, b'ABCDEFGH')],
             words=['unknown', 'compression', 'compress']),
        Case('payload beyond the file', ['run', files.changed('beyond', 0x24c, b'\xff\xff\xff\x7f')],
             words=['beyond']),
        Case('unreadable kernel', ['run', '/proc/self/mem']),
    ]
    for size in (3, 600, 4096, files.payload + 100, len(files.good) // 2,
                 files.payload + files.length - 100):
        cases.append(Case(f'kernel cut to {size} bytes',
                          ['run', files.write(f'cut-{size}', files.good[:size])], words=['cut-']))
    elf = files.elf()
    arm = elf[:18] + b'\xb7\0' + elf[20:]
    small = elf[:4] + b'\1' + elf[5:]
    cases += [
        Case('kernel for another processor', ['run', files.write('arm', arm)], words=['arm']),
        Case('32-bit kernel', ['run', files.write('small', small)], words=['small']),
        Case('ELF kernel cut', ['run', files.write('elf-cut', elf[:5000000])], words=['elf-cut']),
        # The notes name the guest operating system; without them it is no Xen guest.
        Case('kernel without Xen notes',
             ['run', files.write('noteless', elf.replace(b'\4\0\0\0\x10\0\0\0\1\0\0\0Xen\0', bytes(16))
                                 .replace(b'Xen\0', b'Nex\0'))], words=['noteless', 'Xen', 'note']),
    ]
    return cases


def memory_cases(files, kernel):
    return [
        Case('too little memory', ['run', '--memory', '8', kernel], words=['memory']),
        Case('missing initrd', ['run', '--initrd', '/nowhere/initrd', kernel], words=['/nowhere/initrd']),
        Case('initrd too big', ['run', '--memory', '128', '--initrd',
                                files.sparse('big-initrd', 1 << 30), kernel],
             words=['memory', 'initrd']),
        Case('initrd leaves no room', ['run', '--memory', '128', '--initrd',
                                       files.sparse('snug-initrd', 120 << 20), kernel],
             words=['memory', 'initrd']),
        Case('absurd memory', ['run', '--memory', '999999999', kernel], words=['memory'],
             status=(1, 2)),
    ]


def namespace_works():
    probe = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev']
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def kvm_cases(kernel):
    hide = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev && exec "$@"', 'sh']
    fake = ['unshare', '-m', 'sh', '-c', 'mount --bind /dev/null /dev/kvm && exec "$@"', 'sh']
    return [
        Case('no /dev/kvm', ['run', '--home=kvm', kernel], words=['/dev/kvm'], prefix=hide),
        Case('a /dev/kvm that is none', ['run', '--home=kvm', kernel], words=['/dev/kvm', 'KVM'], prefix=fake),
    ]


def run_case(verdict, case):
    """Status, exactly one line that names the thing, and an empty scratch directory afterwards."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as cache:
        environment = dict(os.environ, TMPDIR=home, HOME=home, XDG_CACHE_HOME=cache)
        done = subprocess.run(case.prefix + [boot.xenopus()] + case.arguments, cwd=home, timeout=60,
                              env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              check=False)
        left = os.listdir(home)
        # Unpacked kernels may be kept for the next run; bad ones are not worth keeping.
        if boot.kernel() not in case.arguments:
            left += [name for _, _, names in os.walk(cache) for name in names]
    errors = done.stderr.decode(errors='replace').splitlines()
    print(f'{case.name}: status {done.returncode}: {" | ".join(errors)}')
    wanted = case.status if isinstance(case.status, tuple) else (case.status,)
    verdict.check(done.returncode in wanted,
                  f'{case.name}: status {done.returncode}, not {case.status}')
    verdict.check(not done.stdout, f'{case.name}: output on standard output')
    if case.one_line:
        verdict.check(len(errors) == 1, f'{case.name}: {len(errors)} lines on standard error, not 1')
        verdict.check(errors and errors[0].startswith('xenopus: '),
                      f"{case.name}: not 'xenopus: ...'")
    verdict.check(not case.words or any(word in line for word in case.words for line in errors),
                  f'{case.name}: the line names none of {case.words}')
    verdict.check(not left, f'{case.name}: left behind: {left}')


def main():
    boot.require_kvm()
    verdict = boot.Verdict()
    kernel = boot.kernel()
    with tempfile.TemporaryDirectory(prefix='xenopus-bad-input-') as directory:
        files = Files(directory)
        cases = usage_cases(kernel) + kernel_cases(files, directory) + memory_cases(files, kernel)
        if namespace_works():
            cases += kvm_cases(kernel)
        else:
            print('note: no right to make a mount namespace; the cases without /dev/kvm are left out')
        for case in cases:
            run_case(verdict, case)
    verdict.finish()


if __name__ == '__main__':
    main()
