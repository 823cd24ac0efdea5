# SPDX-License-Identifier: MIT
"""Benchmarks of the bare-metal home against Xen and against no hypervisor; started by tools/bench, which has built
what they need.

usage: bench_metal.py BUILD-DIRECTORY KERNEL [--fresh] [--sides=SIDE,...] [PART...]

All of it runs in QEMU's TCG on the same CPU model. With "-icount shift=0" the time-stamp counter counts
instructions, so the figures are the same every time, on every machine with that QEMU. What was counted for Xen
and for no hypervisor is therefore kept in .cache/bench until kernel, programs, QEMU or Xen change; --fresh counts again.
"""

import hashlib
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

from xen_package import fetch_xen

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(TREE, '.cache/bench')
QEMU = ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'Haswell,-hle,-rtm', '-m', '512', '-display', 'none',
        '-nodefaults', '-serial', 'stdio', '-monitor', 'none', '-no-reboot']
COUNTING = ['-icount', 'shift=0,sleep=off']
INIT_UP = 'xenopus-init: up'
LIMIT = 900
GUEST_MEMORY = 256
ROUNDS = 5


class Failed(Exception):
    """A run that did not come to its end; the text is what came out of its serial line."""


def progress(text):
    print(f'    {text}', file=sys.stderr, flush=True)


def run_until(command, end):
    """The lines of the serial line up to one that matches END, with the seconds since the start."""
    lines, found, start = [], False, time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as qemu:
        timer = threading.Timer(LIMIT, qemu.kill)
        timer.start()
        for raw in qemu.stdout:
            lines.append((time.monotonic() - start, raw.decode(errors='replace').rstrip('\r\n')))
            if re.search(end, lines[-1][1]):
                found = True
                break
        qemu.kill()
        timer.cancel()
    if not found:
        raise Failed('\n'.join(text for _, text in lines[-15:]))
    return lines


def figures(lines):
    """What the programs print: "kbench NAME TICKS"."""
    wrong = [text for _, text in lines if re.search(r'\bFAIL ', text)]
    if wrong:
        raise Failed('\n'.join(wrong))
    matches = (re.search(r'\bkbench (\S+) (\d+)$', text) for _, text in lines)
    return {found[1]: int(found[2]) for found in matches if found}


class Bench:
    """Paths, and the command lines that start one kernel on each side."""

    def __init__(self, build, kernel, scratch, fresh):
        self.image = os.path.join(build, 'backends/baremetal/xenopus.elf')
        self.bundler = os.path.join(build, 'backends/baremetal/xenopus-bundle')
        self.programs = os.path.join(build, 'guests')
        self.kernel = kernel
        self.xen = str(fetch_xen())
        self.scratch = scratch
        self.fresh = fresh

    def initramfs(self, mode):
        """The common archive with one behind it that says what to do: the command line is bare on every side."""
        extra = os.path.join(self.scratch, f'{mode}.extra')
        subprocess.run([sys.executable, os.path.join(TREE, 'guests/linux/mkcpio.py'), extra,
                        f'text:/xenopus.mode={mode}'], check=True)
        path = os.path.join(self.scratch, f'{mode}.cpio')
        with open(path, 'wb') as out:
            for part in (os.path.join(self.programs, 'linux/initramfs.cpio'), extra):
                with open(part, 'rb') as source:
                    out.write(source.read())
        return path

    def native(self, kernel, initrd, arguments, words):
        assert not words
        line = ['console=ttyS0', f'mem={GUEST_MEMORY}M', *arguments]
        return [*QEMU, '-kernel', kernel, '-initrd', initrd, '-append', ' '.join(line)]

    def on_xen(self, kernel, initrd, arguments, words):
        line = ['console=com1', 'com1=115200,8n1', f'dom0_mem={GUEST_MEMORY}M', 'dom0_max_vcpus=1', 'noreboot=1',
                *words]
        return [*QEMU, '-kernel', self.xen, '-append', ' '.join(line), '-initrd',
                f'{" ".join([kernel, "console=hvc0", *arguments])},{initrd}']

    def on_xenopus(self, kernel, initrd, arguments, words):
        bundle = os.path.join(self.scratch, 'bundle')
        subprocess.run([self.bundler, '-o', bundle, '--memory', str(GUEST_MEMORY), '--initrd', initrd, kernel, '--',
                        'console=hvc0', *arguments], check=True)
        return [*QEMU, '-kernel', self.image, '-append', ' '.join(['on-panic=poweroff', *words]), '-initrd', bundle]


def digest(command):
    """Of a command line and the contents of all files it names."""
    total = hashlib.sha256(subprocess.run([command[0], '--version'], capture_output=True, check=True).stdout)
    for word in command:
        for part in word.split(','):
            name = part.split(' ')[0]
            if os.path.isfile(name):
                with open(name, 'rb') as file:
                    total.update(hashlib.sha256(file.read()).digest())
                part = part[len(name):]
            total.update(part.encode() + b'\0')
    return total.hexdigest()


def count(bench, name, command, end, keep):
    """The figures of one run in counted time, or None if it failed; those of others are kept."""
    path = os.path.join(CACHE, digest(command))
    if keep and not bench.fresh and os.path.exists(path):
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    start = time.monotonic()
    command = [command[0], *COUNTING, *command[1:]]
    try:
        found = figures(run_until(command, end))
    except Failed as failure:
        progress(f'{name}: failed after {time.monotonic() - start:.0f} s\n{failure}')
        return None
    progress(f'{name}: {time.monotonic() - start:.0f} s')
    if not found:
        progress(f'{name}: no figures')
        return None
    if keep:
        os.makedirs(CACHE, exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(found, file)
    return found


# Side, how to start it, its words of protection, and whether others' figures are kept. Like is compared with like:
# each side's default, which on this processor has split page tables against Meltdown (Xen says XPTI), and neither.
SIDES = {
    'native': ('native', [], True),
    'xen': ('on_xen', [], True),
    'xenopus': ('on_xenopus', [], False),
    'xen-xpti0': ('on_xen', ['xpti=0'], True),
    'xenopus-xpti0': ('on_xenopus', ['xpti=0'], False),
}


def count_sides(bench, sides, kernel, initrd, arguments, end):
    results = {}
    for side in sides:
        starter, words, keep = SIDES[side]
        command = getattr(bench, starter)(kernel, initrd, arguments, words)
        result = count(bench, side, command, end, keep)
        if result is not None:
            results[side] = result
    return results


def cell(results, side, name, width=9):
    value = results.get(side, {}).get(name)
    return f'{value if value is not None else "-":>{width}}'


def ratio(results, one, other, name):
    a, b = results.get(one, {}).get(name), results.get(other, {}).get(name)
    return f'{a / b:7.2f}' if a and b else f'{"-":>7}'


def table(results):
    names = list(dict.fromkeys(name for result in results.values() for name in result))
    print(f'  {"":22}{"":>9} |{"split page tables (default)":^28} |{"none (xpti=0)":^28}')
    print(f'  {"":22}{"native":>9} |{"Xen":>9}{"Xenopus":>11}{"ratio":>8} |{"Xen":>9}{"Xenopus":>11}{"ratio":>8}')
    for name in names:
        print(f'  {name:22}{cell(results, "native", name)} |{cell(results, "xen", name)}'
              f'{cell(results, "xenopus", name, 11)} {ratio(results, "xenopus", "xen", name)} |'
              f'{cell(results, "xen-xpti0", name)}{cell(results, "xenopus-xpti0", name, 11)} '
              f'{ratio(results, "xenopus-xpti0", "xen-xpti0", name)}')


def programs(bench, sides):
    """What a program asks of Debian's kernel."""
    initrd = bench.initramfs('kbench')
    results = count_sides(bench, sides, bench.kernel, initrd, ['quiet'], 'xenopus-kbench: done')
    started = {side: result.pop('now') for side, result in results.items()}
    print('power-on to the first program behind init, quiet, virtual time')
    print('  ' + ', '.join(f'{side} {ticks / 1e6:.0f} ms' for side, ticks in started.items()))
    print('programs on the stock kernel: instructions of one operation, median of 21')
    table(results)


def hypercalls(bench, sides):
    """What a kernel asks of the hypervisor."""
    kernel = os.path.join(bench.programs, 'bench/bench-hypercalls')
    guests = [side for side in sides if side != 'native']
    results = count_sides(bench, guests, kernel, kernel, [], r': \d+ passed, \d+ failed$')
    print('a kernel that asks the hypervisor: instructions of one operation, median of 15')
    table(results)


def loaded_size(path):
    """Bytes of memory that the segments of an ELF image take."""
    with open(path, 'rb') as file:
        image = file.read()
    offset, = struct.unpack_from('<Q', image, 32)
    size, count = struct.unpack_from('<HH', image, 54)
    headers = [struct.unpack_from('<IIQQQQQQ', image, offset + i * size) for i in range(count)]
    return sum(header[6] for header in headers if header[0] == 1)


def first_instruction(bench, initrd):
    """Virtual milliseconds from power-on to the guest's first instruction, as the image's word "stats" tells."""
    command = bench.on_xenopus(bench.kernel, initrd, ['quiet'], ['stats'])
    lines = run_until([command[0], *COUNTING, *command[1:]], 'power-on to first guest instruction')
    return float(re.search(r'instruction: ([0-9.]+) ms', lines[-1][1])[1])


def init_wall(bench, side, initrd):
    """Seconds of wall time to init's first line; nothing is counted, nothing is quiet."""
    starter, words, _ = SIDES[side]
    return run_until(getattr(bench, starter)(bench.kernel, initrd, [], words), INIT_UP)[-1][0]


def boot(bench, sides):
    """The image, and the way from power-on to init."""
    print('the image')
    print(f'  file {os.path.getsize(bench.image) / 1024:.0f} KiB, in memory {loaded_size(bench.image) / 1024:.0f} KiB')
    initrd = bench.initramfs('poweroff')
    if 'xenopus' in sides:
        print(f'power-on to the first guest instruction, virtual time\n  {first_instruction(bench, initrd):.0f} ms')
    shown = [side for side in ('native', 'xen', 'xenopus') if side in sides]
    walls = {side: [] for side in shown}
    for i in range(ROUNDS):
        for side in shown:
            walls[side].append(init_wall(bench, side, initrd))
        progress(f'boot {i + 1} of {ROUNDS}: ' + ', '.join(f'{side} {walls[side][-1]:.1f} s' for side in shown))
    print(f'power-on to init, wall time, median of {ROUNDS}, in turn')
    for side in shown:
        print(f'  {side:10}{statistics.median(walls[side]):6.2f} s')
    if 'xen' in shown and 'xenopus' in shown:
        pairs = [ours / theirs for ours, theirs in zip(walls['xenopus'], walls['xen'])]
        print(f'  Xenopus over Xen {statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})')


PARTS = {'boot': boot, 'programs': programs, 'hypercalls': hypercalls}


def main():
    build, kernel = sys.argv[1:3]
    options = [word for word in sys.argv[3:] if word.startswith('--')]
    parts = [word for word in sys.argv[3:] if not word.startswith('--')] or list(PARTS)
    sides, fresh = list(SIDES), False
    for option in options:
        if option == '--fresh':
            fresh = True
        elif option.startswith('--sides='):
            sides = option[len('--sides='):].split(',')
        else:
            sys.exit(f"bench: unknown option '{option}' (--fresh, --sides=SIDE,...)")
    for word, known in [*((part, PARTS) for part in parts), *((side, SIDES) for side in sides)]:
        if word not in known:
            sys.exit(f"bench: unknown word '{word}' ({', '.join(known)})")
    print(f'{os.path.basename(os.path.realpath(kernel))} on {" ".join(QEMU[1:7])}, counted with {" ".join(COUNTING)}')
    with tempfile.TemporaryDirectory(prefix='xenopus-bench-') as scratch:
        for part in parts:
            PARTS[part](Bench(build, kernel, scratch, fresh), sides)


if __name__ == '__main__':
    main()
