# SPDX-License-Identifier: MIT
"""Run commands under kvm-amd in a machine that QEMU emulates.

QEMU's TCG emulates AMD's virtualisation extension with nested paging; Debian's kernel in it loads its
stock kvm-amd module; that is the nearest thing to real hardware that every machine can run. This
module builds the initramfs of that machine (kernel modules, busybox, programs with the shared libraries
they need) and returns what each command printed and how it ended.
"""

import lzma
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

SKIP = 77

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
MODULES = ('irqbypass', 'ccp', 'kvm', 'kvm-amd')


class Result:
    """How one command ended: its exit status (None: never) and its output as a list of lines."""

    def __init__(self, status, lines):
        self.status = status
        self.lines = lines


def skip(why):
    print(f'skipped: {why}')
    sys.exit(SKIP)


def kernel_files():
    """The stock kernel and the directory of its modules, as tools/check leaves them."""
    kernel = os.environ.get('XENOPUS_KERNEL', os.path.join(TREE, '.cache/kernel/vmlinuz'))
    modules = os.environ.get('XENOPUS_KERNEL_MODULES', os.path.join(TREE, '.cache/kernel/modules'))
    if not os.path.exists(kernel):
        skip(f'no kernel at {kernel}; tools/check fetches it')
    return kernel, modules


def uncompressed(kernel, scratch):
    """The ELF file inside a bzImage: QEMU starts it by its PVH entry, and the machine need not emulate
    some ten seconds of decompression. A payload that is not xz stays what it is."""
    with open(kernel, 'rb') as file:
        image = file.read()
    if image[0x202:0x206] != b'HdrS':
        return kernel
    offset, length = struct.unpack_from('<II', image, 0x248)
    offset += (image[0x1f1] + 1) * 512
    try:
        elf = lzma.LZMADecompressor().decompress(image[offset:offset + length])
    except lzma.LZMAError:
        return kernel
    path = os.path.join(scratch, 'vmlinux')
    with open(path, 'wb') as file:
        file.write(elf)
    return path


def shared_libraries(program):
    """The files that the dynamic linker maps for a program, the linker included."""
    listing = subprocess.run(['ldd', program], capture_output=True, text=True, check=False)
    return sorted(set(re.findall(r'(/\S+) \(0x', listing.stdout)))


def build_initramfs(output, files, jobs, modules, options):
    """files: {path inside: path outside}; jobs: [(name, seconds, command)]; options: kvm-amd's."""
    entries = {'/init': os.path.join(HERE, 'l1-init'), '/bin/busybox': '/usr/bin/busybox'}
    if not os.path.exists(entries['/bin/busybox']):
        entries['/bin/busybox'] = '/bin/busybox'
    for module in MODULES:
        path = os.path.join(modules, module + '.ko')
        if not os.path.exists(path):
            skip(f'no kernel module {path}; tools/check fetches it')
        entries[f'/modules/{module}.ko'] = path
    entries.update(files)
    for outside in files.values():
        for library in shared_libraries(outside):
            entries[library] = os.path.realpath(library)
    table = '\n'.join(f'{name} {seconds} {command}' for name, seconds, command in jobs)
    arguments = [f'file:{inside}={outside}' for inside, outside in entries.items()]
    arguments += [f'text:/modules/kvm-amd.options={options}', 'link:/bin/sh=busybox', 'char:/dev/console=5,1', f'text:/jobs={table}']
    arguments += ['dir:/proc', 'dir:/sys', 'dir:/dev', 'dir:/tmp']
    mkcpio = os.path.join(TREE, 'guests/linux/mkcpio.py')
    subprocess.run([sys.executable, mkcpio, output] + arguments, check=True)


def run(files, jobs, memory=1024, limit=600, cpus=1, options=''):
    """Boot the machine, run all jobs, and return {name: Result}. Prints the serial line as it comes."""
    kernel, modules = kernel_files()
    with tempfile.TemporaryDirectory(prefix='xenopus-nested-') as scratch:
        initramfs = os.path.join(scratch, 'l1.cpio')
        build_initramfs(initramfs, files, jobs, modules, options)
        command = [
            # With a thread for each processor QEMU 7.2 now and then lets what a guest under kvm-amd pushes land in the machine's
            # own memory: the guest ends by a triple fault, or the machine's kernel finds its stack overwritten.
            'qemu-system-x86_64', '-accel', 'tcg,thread=single', '-cpu', 'max,+svm', '-m', str(memory), '-smp', str(cpus),
            '-display', 'none', '-nodefaults', '-serial', 'stdio', '-no-reboot',
            '-kernel', uncompressed(kernel, scratch), '-initrd', initramfs,
            # No mitigations, no noise: every instruction saved is an emulated one.
            '-append', 'console=ttyS0 quiet mitigations=off tsc=reliable panic=-1',
        ]
        try:
            return collect(command, jobs, limit)
        except FileNotFoundError:
            skip('no qemu-system-x86_64; tools/check installs it')


def collect(command, jobs, limit):
    results = {name: Result(None, []) for name, _, _ in jobs}
    current = None
    start = time.monotonic()
    with subprocess.Popen(['timeout', '-k', '5', str(limit)] + command, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE) as machine:
        for raw in machine.stdout:
            line = raw.decode(errors='replace').rstrip('\r\n')
            print(f'[{time.monotonic() - start:6.1f}] {line}', flush=True)
            word = line.split()
            if len(word) == 2 and word[0] == '@@begin' and word[1] in results:
                current = results[word[1]]
            elif len(word) == 3 and word[0] == '@@end' and word[1] in results:
                results[word[1]].status = int(word[2])
                current = None
            elif current is not None:
                current.lines.append(line)
    return results
