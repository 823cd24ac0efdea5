# SPDX-License-Identifier: MIT
"""Hypercalls of two domains on two physical CPUs over one's, on bare metal in QEMU: each processor is a thread of its.

The part scaling-metal of bench_domains.py. The emulator makes everything slower, but what two domains share in the hypervisor
costs them as much in the same terms; and unlike hosted, no exit to a host is in between.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TREE, 'tests/metal'))
import metal  # noqa: E402

OPTIONS = ['-smp', '2', '-accel', 'tcg,thread=multi']


def make_bundle(load, place, domains, seconds):
    parts = [os.path.join(place, f'{domains}-{i}') for i in range(domains)]
    for i, part in enumerate(parts):
        metal.make_bundle(part, load, memory=16, name=f'load{i}', arguments=[f'seconds={seconds + 1}'])
    joined = os.path.join(place, str(domains))
    subprocess.run([os.environ['XENOPUS_BUNDLE'] + '-join', '-o', joined, *parts], check=True)
    return joined


def rounds_per_second(text, domains):
    """All together, in the median second in which all of them report."""
    reports = {}
    for name, second, rounds in re.findall(r'(?:\((load\d)\) )?load (\d+) (\d+)$', text, re.M):
        reports.setdefault(name, {})[int(second)] = int(rounds)
    together = set.intersection(*map(set, reports.values())) if len(reports) == domains else ()
    if not together or text.count(' 0 wrong') != domains:
        sys.exit(f'bench: guests/bench/load on bare metal: {text[-500:]}')
    return statistics.median(sum(report[second] for report in reports.values()) for second in together)


def run(bundles, domains, seconds):
    """A machine for each bundle, at once."""
    machines = [subprocess.Popen(metal.machine(bundle, memory=128, options=OPTIONS), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for bundle in bundles]
    try:
        said = [m.communicate(timeout=60 + 10 * seconds)[0].decode(errors='replace').replace('\r', '') for m in machines]
    finally:
        for m in machines:
            m.kill()
    return sum(rounds_per_second(text, domains) for text in said)


def measure(build, seconds, rounds):
    """For each round: rounds a second of one domain, of two in a machine, of two in two machines."""
    os.environ['XENOPUS_ELF'] = os.path.join(build, 'backends/baremetal/xenopus.elf')
    os.environ['XENOPUS_BUNDLE'] = os.path.join(build, 'backends/baremetal/xenopus-bundle')
    load = os.path.join(build, 'guests/bench/bench-load')
    with tempfile.TemporaryDirectory() as place:
        one, two = (make_bundle(load, place, n, seconds) for n in (1, 2))
        for _ in range(rounds):
            yield run([one], 1, seconds), run([two], 2, seconds), run([one, one], 1, seconds)
