# SPDX-License-Identifier: MIT
"""Benchmarks of many domains in one hosted machine; started by tools/bench, which has built what they need.

usage: bench_domains.py BUILD-DIRECTORY KERNEL [--quick] [--domains=N] [PART...]

Each part serves a machine of two physical CPUs and drives it over its socket; each domain is driven over its console.
*linux* domains are the stock kernel with one program (guests/linux/agent.c), *small* ones our own kernel (guests/worker);
both do the same pieces of work. Where two things are compared, they take turns within one run.
"""

import os
import re
import select
import statistics
import subprocess
import sys
import time

import bench_scaling_metal
from bench_hosted import TREE, machine, progress, resident

sys.path.insert(0, os.path.join(TREE, 'tests/control'))
import served  # noqa: E402

PCPUS = 2
LINUX_MIB, SMALL_MIB, BOMB_MIB = 90, 8, 128
ALL_MIB = 12 * 1024
# The machine keeps the last kernel for ten seconds after it was used, mapped: no domain's memory.
KERNEL_KEPT = 12
ARGUMENTS = 'console=hvc0 quiet nr_cpus=1 noreplace-smp'
LIMIT = 900


def stop(text):
    sys.exit(f'bench: {text}')


class Settings:
    """How much of everything; --quick is to see that it works."""

    def __init__(self, build, kernel, quick, domains):
        self.build = build
        self.kernel = os.path.realpath(kernel)
        self.worker = os.path.join(build, 'guests/worker/worker')
        self.agent = os.path.join(build, 'guests/linux/agent')
        self.load = os.path.join(build, 'guests/bench/bench-load')
        self.initramfs = os.path.join(build, 'guests/linux/agent.cpio')
        self.quick = quick
        self.domains = domains or (8 if quick else 128)
        self.units = 1024 if quick else 12800
        self.seconds = 4 if quick else 20
        self.rounds = 1 if quick else 3
        self.sleeps = 100 if quick else 1000


class Console(served.Client):
    """A domain, by its console and by the protocol."""

    def __init__(self, machine_, name):
        super().__init__(machine_)
        self.name = name
        self.call('domain.console', domain=name)
        self.socket.settimeout(None)

    def type(self, line):
        self.send(line.encode() + b'\n')

    def there(self):
        """A line has come already, maybe behind the answer that this is the console."""
        return b'\n' in self.rest

    def take(self):
        """What has come, as complete lines; to be called when there is something."""
        if not self.there():
            data = self.socket.recv(65536)
            if not data:
                stop(f'the console of {self.name} ended')
            self.rest += data
        *lines, self.rest = self.rest.split(b'\n')
        return [line.decode(errors='replace').rstrip('\r') for line in lines]

    def expect(self, pattern, seconds=LIMIT):
        """The match, and when it came."""
        return expect_all([self], pattern, seconds)[self]

    def ask(self, line, pattern, seconds=LIMIT):
        self.type(line)
        return self.expect(pattern, seconds)


def expect_all(consoles, pattern, seconds=LIMIT, note=None):
    """For each the match of the line that they all are waited for, and when it came; note() gets all other lines."""
    found, said = {}, {}
    deadline = time.monotonic() + seconds
    while len(found) < len(consoles):
        waiting = [c for c in consoles if c not in found]
        ready = [c for c in waiting if c.there()] or \
            select.select(waiting, [], [], max(0, deadline - time.monotonic()))[0]
        if not ready:
            stop(f'{waiting[0].name} did not say "{pattern}", but at last: {said.get(waiting[0], "nothing")}')
        for console in ready:
            for line in console.take():
                match = re.search(pattern, line)
                if match:
                    found[console] = (match, time.monotonic())
                elif line:
                    said[console] = line
                    if note:
                        note(console, line)
    return found


served.Client.fileno = lambda self: self.socket.fileno()


class Machine(served.Machine):
    """A served machine with the domains of a benchmark."""

    def __init__(self, settings, memory):
        self.settings = settings
        super().__init__(memory, ['-p', str(PCPUS)])

    def __enter__(self):
        super().__enter__()
        if self.process.poll() is not None:
            stop(f'the machine ended with status {self.process.returncode}: {self.log_text()}')
        self.control = served.Client(self)
        self.control.socket.settimeout(LIMIT)
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.top.cleanup()

    def ask(self, method, **params):
        answer = self.control.call(method, **params)
        if not answer or 'error' in answer:
            stop(f'{method}: {answer["error"]["message"] if answer else "the machine ended"}')
        return answer['result']

    def small(self, name, memory=SMALL_MIB, **params):
        self.ask('domain.create', name=name, kernel=self.settings.worker, cmdline='obey', memory=memory, **params)
        return Console(self, name)

    def linux(self, name, memory=LINUX_MIB, **params):
        self.ask('domain.create', name=name, kernel=self.settings.kernel, ramdisk=self.settings.initramfs,
                 cmdline=ARGUMENTS, memory=memory, **params)
        return Console(self, name)

    def listed(self):
        return {d['name']: d for d in self.ask('domain.list')}

    def free_kib(self):
        return self.ask('machine.info')['free_memory_kib']

    def resident_kib(self):
        """Memory that the machine's own takes, also where no process has it mapped, and that of the process beside it."""
        fds = f'/proc/{self.process.pid}/fd'
        blocks = next(os.stat(f'{fds}/{fd}').st_blocks for fd in os.listdir(fds)
                      if 'memfd:xenopus-machine' in os.readlink(f'{fds}/{fd}'))
        return blocks // 2, resident(self.process.pid)[1]

    def cpu_seconds(self):
        with open(f'/proc/{self.process.pid}/stat', encoding='utf-8', errors='replace') as stat:
            fields = stat.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def row(what, figure, aim=None, reached=None):
    """A line of the table; @aim says what is wanted, @reached whether it is."""
    verdict = '' if aim is None else f'{aim}: {"reached" if reached else "MISSED"}'
    print(f'  {what:58} {figure:30} {verdict}'.rstrip(), flush=True)


def ready(consoles):
    expect_all(consoles, r'^agent: ready')
    return consoles


# ---- scale ----

def host_speed(settings, processes):
    """Pieces of work a second that so many processes of the host do together."""
    each = max(settings.units // 4 // processes, 1)
    start = time.monotonic()
    running = [subprocess.Popen([settings.agent], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
               for _ in range(processes)]
    for process in running:
        process.stdin.write(f'work {each}\n'.encode())
        process.stdin.close()
    for process in running:
        process.wait()
    return each * processes / (time.monotonic() - start)


def split(consoles, units):
    """Pieces of work a second, when so many are split over these domains."""
    each = max(units // len(consoles), 1)
    start = time.monotonic()
    for console in consoles:
        console.type(f'work {each}')
    ends = expect_all(consoles, r'^agent: work (\d+) (\d+)')
    return each * len(consoles) / (max(when for _, when in ends.values()) - start)


def throughput(settings, consoles, alone, what):
    """@alone: what one domain did before the others were there."""
    hosts, ones, ratios = [], [], {}
    sizes = [2 ** i for i in range(1, len(consoles).bit_length())]
    for i in range(settings.rounds):
        hosts.append(host_speed(settings, 2) / host_speed(settings, 1))
        for n in sizes:
            one = split(consoles[:1], settings.units // 4)
            ones.append(one)
            ratios.setdefault(n, []).append(split(consoles[:n], settings.units) / one)
        progress(f'throughput {i + 1} of {settings.rounds}: ' + ', '.join(f'{n}: {r[-1]:.2f}' for n, r in ratios.items()))
    host = min(statistics.median(hosts), PCPUS)
    row('two processes of the host over one', f'{host:.2f}')
    figure = statistics.median(ones) / alone
    row(f'{what}: one of {len(consoles)}, the others idle, over one alone', f'{figure:.2f}', 'aim 0.9', figure >= 0.9)
    for n, values in ratios.items():
        figure = statistics.median(values)
        row(f'{what}: job split over {n}, over one', f'{figure:.2f}, a CPU {figure / PCPUS:.2f}, of the host {figure / host:.2f}',
            'aim 0.9', figure >= 0.9)


def time_to_create(settings, m):
    """Milliseconds to create one more linux domain, and the KiB that leave the machine's free memory beyond its own."""
    times, heap = [], 0
    for _ in range(1 + 4 * settings.rounds):
        free = m.free_kib()
        start = time.monotonic()
        m.linux('one-more', paused=True).close()
        times.append((time.monotonic() - start) * 1e3)
        heap = free - m.free_kib() - LINUX_MIB * 1024
        m.ask('domain.destroy', domain='one-more')
    return statistics.median(times[1:]), heap


def scale(settings):
    n = settings.domains
    print(f'scale: {n} linux domains of {LINUX_MIB} MiB, {PCPUS} physical CPUs')
    with Machine(settings, (n + 1) * LINUX_MIB + 256) as m:
        consoles, times = ready([m.linux('d0')]), {}
        alone = statistics.median(split(consoles, settings.units) for _ in range(settings.rounds))
        time.sleep(KERNEL_KEPT)
        first = m.resident_kib()[1]
        for there in sorted({1, n // 2, n - 1}):
            # As many at a time as do not wait for each other too long.
            while len(consoles) < there:
                consoles += ready([m.linux(f'd{i}') for i in range(len(consoles), min(len(consoles) + 16, there))])
                progress(f'{len(consoles)} of {n} are up')
            times[there + 1], heap = time_to_create(settings, m)
        consoles += ready([m.linux(f'd{n - 1}')])
        start = time.monotonic()
        for i, console in enumerate(consoles):
            console.type(f'say {i}')
        answers = expect_all(consoles, r'^agent: say (\d+)$')
        good = sum(int(answers[c][0][1]) == i for i, c in enumerate(consoles))
        row('answer on their consoles', f'{good} of {n} in {(time.monotonic() - start) * 1e3:.0f} ms', f'aim {n}', good == n)
        time.sleep(KERNEL_KEPT)
        memory, other = m.resident_kib()
        row('memory in use, all of it', f'{(memory + other) / 1024:.0f} MiB', f'aim {ALL_MIB}', memory + other < ALL_MIB * 1024)
        row('per domain beyond its memory: in the process', f'{(other - first) / (n - 1):.0f} KiB')
        row('per domain beyond its memory: in the core', f'{heap} KiB')
        for number, ms in times.items():
            row(f'to create number {number}', f'{ms:.0f} ms')
        idle(settings, m, n)
        throughput(settings, consoles, alone, 'linux')
    small(settings)


def small(settings):
    n = settings.domains
    print(f'scale: {n} small domains of {SMALL_MIB} MiB')
    with Machine(settings, n * SMALL_MIB + 256) as m:
        first = ready([m.small('d0')])
        alone = statistics.median(split(first, settings.units) for _ in range(settings.rounds))
        consoles = first + ready([m.small(f'd{i}') for i in range(1, n)])
        idle(settings, m, n)
        throughput(settings, consoles, alone, 'small')


def idle(settings, m, n):
    time.sleep(2)
    before, cpu, start = m.listed(), m.cpu_seconds(), time.monotonic()
    time.sleep(settings.seconds / 2)
    seconds = time.monotonic() - start
    cpu = m.cpu_seconds() - cpu
    after = m.listed()
    exits = sum(after[name]['exits'] - before[name]['exits'] for name in after)
    row(f'{n} idle domains: of one CPU', f'{cpu / seconds * 100:.1f} %, {exits / seconds:.0f} exits a second')


# ---- fairness ----

def hog_for(consoles, seconds):
    """Pieces of work each did in that time."""
    for console in consoles:
        console.type('hog')
    time.sleep(seconds)
    for console in consoles:
        console.type('')
    ends = expect_all(consoles, r'^agent: hog (\d+) (\d+)')
    return [int(ends[c][0][1]) for c in consoles]


def shares(settings, title, weights, **params):
    with Machine(settings, 256) as m:
        consoles = ready([m.small(f'w{weight}-{i}', cpu_weight=256 * weight, **params)
                          for i, weight in enumerate(weights)])
        before = m.listed()
        done = hog_for(consoles, settings.seconds)
        after = m.listed()
    total = sum(done) / sum(weights)
    errors = [abs(d / weight / total - 1) * 100 for d, weight in zip(done, weights)]
    cpu = [after[c.name]['cpu_ns'] - before[c.name]['cpu_ns'] for c in consoles]
    unit = sum(cpu) / sum(weights)
    off = max(abs(ns / weight / unit - 1) * 100 for ns, weight in zip(cpu, weights))
    row(title, ' : '.join(f'{d / total:.3f}' for d in done))
    row('  farthest from its share, by work done', f'{max(errors):.2f} %', 'aim 2 %', max(errors) <= 2)
    row('  the same, by the CPU time on the account', f'{off:.2f} %', 'aim 2 %', off <= 2)


def latency(settings):
    with Machine(settings, 256) as m:
        sleeper = m.small('sleeper')
        hogs = [m.small(f'hog{i}') for i in range(2 * PCPUS)]
        ready([sleeper, *hogs])
        order = f'wake 10000 {settings.sleeps}'
        kinds = {'nobody else': None, f'{len(hogs)} hogs, no warp': 0, f'{len(hogs)} hogs, warp of 100 ms': 100000}
        for kind, warp in kinds.items():
            if warp is not None:
                for hog in hogs:
                    hog.type('hog')
                m.ask('domain.set-scheduling', domain='sleeper', warp=bool(warp), warp_us=warp)
            match = sleeper.ask(order, r'^agent: wake (\d+) (\d+) (\d+) (\d+)')[0]
            median, high, most = (int(x) / 1e3 for x in match.groups()[1:])
            row(f'wakes late, beside {kind}', f'median {median:.0f} us, 99th {high:.0f}, most {most:.0f}')
            if warp is not None:
                for hog in hogs:
                    hog.type('')
                expect_all(hogs, r'^agent: hog')


def fairness(settings):
    print(f'fairness: small domains, CPU hogs by weight for {settings.seconds} s')
    shares(settings, '1 : 2 : 4 on one CPU', [1, 2, 4], cpus='0')
    shares(settings, '1 : 2 : 4 twice, on two CPUs', [1, 2, 4, 1, 2, 4])
    print(f'fairness: a small domain sleeps 10 ms {settings.sleeps} times')
    latency(settings)


# ---- isolation ----

def isolation(settings):
    print('isolation: two linux domains with a CPU job beside two others; equal weights')
    with Machine(settings, 2 * LINUX_MIB + BOMB_MIB + 2 * LINUX_MIB + 2 * SMALL_MIB + 256) as m:
        jobs = [m.linux(f'job{i}') for i in range(2)]
        polite = [m.linux('polite0'), m.small('polite1')]
        bomb, storm = m.linux('bomb', memory=BOMB_MIB), m.small('storm')
        ready([*jobs, *polite, bomb, storm])
        bomb.ask('bomb', r'^agent: bomb')
        storm.type('storm')
        for console in polite:
            console.type('hog')
        ratios, shares_of_jobs = [], []
        turns = 4 * settings.rounds
        for i in range(turns):
            done = {}
            for kind, off, on in (('polite', (bomb, storm), polite), ('antisocial', polite, (bomb, storm))):
                for console in off:
                    m.ask('domain.pause', domain=console.name)
                for console in on:
                    m.ask('domain.unpause', domain=console.name)
                before = m.listed()
                done[kind] = sum(hog_for(jobs, settings.seconds / 4))
                after = m.listed()
                used = [after[c.name]['cpu_ns'] - before[c.name]['cpu_ns'] for c in (*jobs, *on)]
                progress(f'{kind}: {done[kind]} pieces of work; CPU time of jobs and others: ' +
                         ' '.join(f'{ns / sum(used) * 100:.1f} %' for ns in used))
            ratios.append(done['polite'] / done['antisocial'])
            shares_of_jobs.append((used[0] + used[1]) / sum(used) * 100)
            progress(f'{i + 1} of {turns}: {ratios[-1]:.3f}')
    slower = (statistics.median(ratios) - 1) * 100
    share = statistics.median(shares_of_jobs)
    row('beside fork bomb with memory grabber, and hypercall storm', f'{slower:.1f} % slower than beside two hogs',
        'aim 5 %', slower < 5)
    row('  quartiles of the turns', ' to '.join(f'{(q - 1) * 100:.1f}' for q in statistics.quantiles(ratios, n=4)[::2]))
    row('  CPU time of both jobs', f'{share:.1f} % of all that was used', 'aim 47.5 %', share >= 47.5)


# ---- create ----

def create_some(settings, title, mib, make, words):
    times, said = [], []
    with Machine(settings, 512) as m:
        for _ in range(1 + 5 * settings.rounds):
            start = time.monotonic()
            console = make(m, 'new', memory=mib)
            times.append((time.monotonic() - start) * 1e3)
            said.append((console.expect(words)[1] - start) * 1e3)
            m.ask('domain.destroy', domain='new')
            console.close()
    # The first one may have filled the cache.
    figure = statistics.median(times[1:])
    row(f'{title}: built and started', f'{figure:.1f} ms ({min(times[1:]):.1f} to {max(times[1:]):.1f})',
        'aim 50 ms', figure < 50)
    row(f'{title}: to its first words', f'{statistics.median(said[1:]):.1f} ms')


def create_small(settings):
    print('create: from the request on the socket, a kernel that is not packed')
    create_some(settings, 'small kernel, 64 MiB', 64, Machine.small, r'^worker:')


def create(settings):
    create_small(settings)
    print('create: from the request on the socket, a kernel that is in the cache')
    create_some(settings, f"Debian's kernel, {LINUX_MIB} MiB", LINUX_MIB, Machine.linux, r'^agent: ready')


# ---- scaling ----

def rounds_per_second(places, seconds):
    """Of guests/bench/load on each of these (machine, physical CPU), all together, while all of them report."""
    consoles = []
    for m, cpu in places:
        name = f'load{cpu}'
        m.ask('domain.create', name=name, kernel=m.settings.load, cmdline=f'seconds={seconds + 1}', memory=16,
              cpus=str(cpu), on_poweroff='preserve')
        consoles.append(Console(m, name))
    reports = {console: {} for console in consoles}
    # When the machine's second 0 was, of which each domain counts: only the same for all in one machine.
    zero = {}

    def note(console, line):
        match = re.match(r'load (\d+) (\d+)', line)
        if match:
            zero.setdefault(console, time.monotonic() - int(match[1]))
            reports[console][int(match[1]) + round(zero[console] - next(iter(zero.values())))] = int(match[2])

    ends = expect_all(consoles, r'^load: \d+ rounds, (\d+) wrong', note=note)
    if any(int(match[1]) for match, _ in ends.values()):
        stop('guests/bench/load: hypercalls did not do what they should')
    for console, (m, _) in zip(consoles, places):
        console.close()
        m.ask('domain.destroy', domain=console.name)
    together = set.intersection(*(set(r) for r in reports.values()))
    if not together:
        stop('guests/bench/load: there is no second in which all of them report')
    return statistics.median(sum(r[second] for r in reports.values()) for second in together)


def scaling(settings):
    print('scaling: guests/bench/load (hypercalls and nothing else), one domain on each physical CPU')
    ratios, apart, hosts = [], [], []
    seconds = max(settings.seconds // 4, 2)
    with Machine(settings, 256) as m, Machine(settings, 256) as other:
        for i in range(2 * settings.rounds + 1):
            one = rounds_per_second([(m, i % PCPUS)], seconds)
            two = rounds_per_second([(m, cpu) for cpu in range(PCPUS)], seconds)
            two_machines = rounds_per_second([(m, 0), (other, 1)], seconds)
            ratios.append(two / one)
            apart.append(two_machines / one)
            hosts.append(host_speed(settings, 2) / host_speed(settings, 1))
            progress(f'{one:.0f} rounds a second of one domain, {two:.0f} of two, {two_machines:.0f} in two machines')
    show_scaling(ratios, apart, hosts)


def show_scaling(ratios, apart, hosts):
    figure, best = statistics.median(ratios), statistics.median(apart)
    row('two domains over one', f'{figure:.2f} ({min(ratios):.2f} to {max(ratios):.2f})', 'aim 1.8', figure >= 1.8)
    row('for comparison: each in a machine of its own, over one', f'{best:.2f} ({min(apart):.2f} to {max(apart):.2f})')
    row('for comparison: two computing processes of the host over one', f'{statistics.median(hosts):.2f}')


def scaling_metal(settings):
    print('scaling-metal: the same on bare metal in QEMU, which has a thread for each of the two processors')
    ratios, apart, hosts = [], [], []
    # Where the host is busy, there is not in each second something to report.
    seconds = max(settings.seconds // 4, 4)
    for one, two, two_machines in bench_scaling_metal.measure(settings.build, seconds, 2 * settings.rounds - 1):
        ratios.append(two / one)
        apart.append(two_machines / one)
        hosts.append(host_speed(settings, 2) / host_speed(settings, 1))
        progress(f'{one:.0f} rounds a second of one domain, {two:.0f} of two, {two_machines:.0f} in two machines')
    show_scaling(ratios, apart, hosts)


PARTS = {'scale': scale, 'fairness': fairness, 'isolation': isolation, 'create': create, 'scaling': scaling,
         'scaling-metal': scaling_metal}
# What can be asked for beside these: parts of them that need no Linux.
MORE_PARTS = {'scale-small': small, 'create-small': create_small}


def main():
    build, kernel = sys.argv[1:3]
    words = sys.argv[3:]
    domains = next((int(word[10:]) for word in words if re.fullmatch(r'--domains=[1-9]\d{0,2}', word)), 0)
    parts = [word for word in words if not re.fullmatch(r'--quick|--domains=\d+', word)] or list(PARTS)
    if domains and not 4 <= domains <= 200:
        stop(f'{domains} domains: give 4 to 200')
    for part in parts:
        if part not in PARTS | MORE_PARTS:
            stop(f"unknown part '{part}' ({', '.join(PARTS | MORE_PARTS)})")
    os.environ['XENOPUS'] = os.path.join(build, 'backends/kvm/xenopus')
    settings = Settings(build, kernel, '--quick' in words, domains)
    print(f'machine: {machine()}')
    print(f'kernel: {os.path.basename(settings.kernel)}')
    for part in parts:
        (PARTS | MORE_PARTS)[part](settings)


if __name__ == '__main__':
    main()
