# SPDX-License-Identifier: MIT
"""Benchmarks of the hosted home; started by tools/bench, which has built what they need.

usage: bench_hosted.py BUILD-DIRECTORY KERNEL [PART...]

Every figure is a median of several runs. Where two things are compared, they alternate within one run of
this program, so that a machine that changes its speed changes both.
"""

import glob
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIRST_LINE = b'xenopus-init: up'
QEMU = 'qemu-system-x86_64'
PLAIN, EMULATED = 'console=hvc0', 'no hypervisor, QEMU emulates (TCG)'


class Bench:
    """Paths, and one way to start a guest."""

    def __init__(self, build, kernel, scratch):
        self.xenopus = os.path.join(build, 'xenopus')
        self.guest = os.path.join(build, 'guests/linux')
        self.kernel = kernel
        self.scratch = scratch

    def initramfs(self, mode, entries=()):
        """The common archive with one behind it that says what to do: the command line stays bare."""
        extra = os.path.join(self.scratch, f'{mode.replace(" ", "-")}.extra')
        subprocess.run([sys.executable, os.path.join(TREE, 'guests/linux/mkcpio.py'), extra,
                        f'text:/xenopus.mode={mode}', *entries], check=True)
        path = extra[:-len('extra')] + 'cpio'
        with open(path, 'wb') as out:
            for part in (os.path.join(self.guest, 'initramfs.cpio'), extra):
                with open(part, 'rb') as source:
                    out.write(source.read())
        return path

    def start(self, initramfs, arguments=('console=hvc0',), options=(), memory=256):
        words = [self.xenopus, 'run', '--memory', str(memory), '--initrd', initramfs, *options,
                 self.kernel, '--', *arguments]
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def emulate(self, initramfs, memory=256):
        """The same kernel without a hypervisor, as a measure of the machine of the day."""
        words = [QEMU, '-accel', 'tcg', '-m', str(memory), '-nodefaults', '-display', 'none',
                 '-serial', 'stdio', '-no-reboot', '-kernel', self.kernel, '-initrd', initramfs,
                 '-append', 'console=ttyS0']
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)


def finish(process):
    """The rest of what a guest says; anything but a clean power-off ends the benchmark."""
    out, err = process.communicate(timeout=600)
    if process.returncode:
        sys.exit(f'bench: the guest ended with status {process.returncode}:\n' +
                 err.decode(errors='replace')[-2000:])
    return out.decode(errors='replace'), err.decode(errors='replace')


def progress(text):
    print(f'    {text}', file=sys.stderr, flush=True)


def spread(values, unit, digits=2):
    return (f'{statistics.median(values):.{digits}f} {unit} (median of {len(values)}; '
            f'{min(values):.{digits}f} to {max(values):.{digits}f})')


def boot_once(start):
    """Seconds from the start of the process that @start starts to the first line of init."""
    begin = time.monotonic()
    process = start()
    first = None
    for line in process.stdout:
        if line.startswith(FIRST_LINE):
            first = time.monotonic() - begin
            break
    finish(process)
    if first is None:
        sys.exit('bench: init never said a word')
    return first


def boot(bench):
    """exec to the first line of init."""
    initramfs = bench.initramfs('poweroff')
    tuned = ('console=hvc0', 'quiet', 'nr_cpus=1', 'noreplace-smp')
    kinds = {
        PLAIN: lambda: bench.start(initramfs),
        'console=hvc0, --no-attendant': lambda: bench.start(initramfs, options=('--no-attendant',)),
        ' '.join(tuned): lambda: bench.start(initramfs, tuned),
    }
    if shutil.which(QEMU):
        kinds[EMULATED] = lambda: bench.emulate(initramfs)
    times = {name: [] for name in kinds}
    for i in range(5):
        for name, start in kinds.items():
            times[name].append(boot_once(start))
        progress(f'boot {i + 1} of 5: {times[PLAIN][-1]:.2f} s')
    print('boot, exec to the first line of init, 256 MiB, one virtual CPU')
    for name, values in times.items():
        print(f'  {name:42} {spread(values, "s")}')
    if EMULATED in times:
        ratios = [ours / theirs for ours, theirs in zip(times[PLAIN], times[EMULATED])]
        print(f'  {PLAIN + " over " + EMULATED:42} {spread(ratios, "")}')
    process = bench.start(initramfs, options=('--stats',))
    _, err = finish(process)
    inside = re.search(r'exits from KVM_RUN: (\d+), ([0-9.]+) s', err)
    if inside:
        print(f'  {"time in KVM_RUN per exit":42} {float(inside[2]) / int(inside[1]) * 1e6:.0f} us')
    print('  where the exits come from (xenopus run --stats, console=hvc0, to the power-off):')
    for line in err.splitlines():
        print(f'    {line}')


def resident(pid):
    """Resident KiB of a process: all, and without its machine's memory file."""
    everything = other = 0
    in_machine = False
    with open(f'/proc/{pid}/smaps', encoding='utf-8', errors='replace') as smaps:
        for line in smaps:
            if re.match(r'[0-9a-f]+-[0-9a-f]+ ', line):
                in_machine = 'memfd:xenopus-machine' in line
            elif line.startswith('Rss:'):
                size = int(line.split()[1])
                everything += size
                other += 0 if in_machine else size
    return everything, other


def stat_ms(text, what):
    """The milliseconds behind a time stamp that --stats prints."""
    found = re.search(what + r'[^\n0-9]*([0-9.]+) ms', text)
    return float(found[1]) if found else None


def process(bench):
    """Resident memory at the shell; exec to the first guest instruction."""
    rss, starts, unpack = [], [], []
    idle = bench.initramfs('shell')
    stop = bench.initramfs('poweroff')
    for i in range(3):
        guest = bench.start(idle)
        for line in guest.stdout:
            if line.startswith(b'A shell of the guest'):
                break
        time.sleep(0.5)
        rss.append(resident(guest.pid)[1] / 1024)
        finish(guest)
        _, err = finish(bench.start(stop, options=('--stats',)))
        first = stat_ms(err, 'start to first guest instruction')
        unpacked = stat_ms(err, 'start to kernel unpacked')
        if first is not None and unpacked is not None:
            starts.append(first)
            unpack.append(unpacked)
        progress(f'process {i + 1} of 3: {rss[-1]:.1f} MiB')
    print('the process')
    print(f'  resident, without guest memory   {spread(rss, "MiB", 1)}')
    if starts:
        beyond = [a - b for a, b in zip(starts, unpack)]
        print(f'  exec to first guest instruction  {spread(starts, "ms", 1)}')
        print(f'  of that, until the kernel is unpacked or found in the cache  {spread(unpack, "ms", 1)}')
        print(f'  beyond that                      {spread(beyond, "ms", 1)}')
    else:
        print('  exec to first guest instruction  not measured: --stats does not say')


def bench_lines(text):
    return {name: int(ns) for name, ns in re.findall(r'^bench (\S+) (\d+)', text, re.M)}


def host_times(bench, data):
    ubench = os.path.join(bench.guest, 'ubench')
    out = subprocess.run([ubench], capture_output=True, text=True, check=True).stdout
    out += subprocess.run([ubench, '--time', 'xz', 'xz', '-k', '-c', '-T1', '-2', data],
                          capture_output=True, text=True, check=True).stdout
    return bench_lines(out)


def compute(bench):
    """The same binaries on the host and in the guest, in turn."""
    xz = '/usr/bin/xz'
    listing = subprocess.run(['ldd', xz], capture_output=True, text=True, check=True).stdout
    files = {path: os.path.realpath(path) for path in re.findall(r'(/\S+) \(0x', listing)}
    files[xz] = os.path.realpath(xz)
    initramfs = bench.initramfs('bench', [f'file:{a}={b}' for a, b in files.items()])
    data = os.path.join(bench.scratch, 'data')
    subprocess.run([os.path.join(bench.guest, 'ubench'), '--data', data], check=True)
    ratios, guests = {}, {}
    for i in range(3):
        host = host_times(bench, data)
        out, _ = finish(bench.start(initramfs, ('console=hvc0', 'quiet')))
        guest = bench_lines(out.replace('\r', ''))
        if guest.keys() != host.keys():
            sys.exit(f'bench: the guest measured {sorted(guest)}, the host {sorted(host)}')
        for name, ns in guest.items():
            ratios.setdefault(name, []).append(host[name] / ns)
            guests.setdefault(name, []).append(ns / 1e6)
        progress(f'compute {i + 1} of 3: ' +
                 ', '.join(f'{name} {values[-1]:.3f}' for name, values in ratios.items()))
    print('user-space computation: speed in the guest over speed on the host, same binary, in turn')
    for name, values in ratios.items():
        print(f'  {name:10} {spread(values, "", 3)}, {statistics.median(guests[name]):.0f} ms in the guest')


def load(bench):
    """One minute of the vector-heavy load."""
    progress('load: one minute')
    out, _ = finish(bench.start(bench.initramfs('load 60'), ('console=hvc0', 'quiet')))
    found = re.search(r'^xenopus-vload: .*$', out.replace('\r', ''), re.M)
    print('vector-heavy load, five processes, 60 s')
    print(f'  {found[0] if found else "no summary line"}')


PARTS = {'boot': boot, 'process': process, 'compute': compute, 'load': load}


def machine():
    models = [line.split(':', 1)[1].strip() for line in open('/proc/cpuinfo', encoding='utf-8')
              if line.startswith('model name')]
    kind = ', '.join(sorted(os.path.basename(path) for path in glob.glob('/sys/module/kvm_*')))
    return f'{len(models)} x {models[0] if models else "?"}, {kind or "kvm built in"}'


def main():
    build, kernel = sys.argv[1:3]
    parts = sys.argv[3:] or list(PARTS)
    for part in parts:
        if part not in PARTS:
            sys.exit(f"bench: unknown part '{part}' ({', '.join(PARTS)})")
    print(f'machine: {machine()}')
    print(f'kernel: {os.path.basename(os.path.realpath(kernel))}')
    with tempfile.TemporaryDirectory(prefix='xenopus-bench-') as scratch:
        for part in parts:
            PARTS[part](Bench(build, kernel, scratch))


if __name__ == '__main__':
    main()
