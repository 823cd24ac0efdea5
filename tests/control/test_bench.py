# SPDX-License-Identifier: MIT
"""tools/bench domains --quick, the parts that need no Linux: it drives the machine and prints every line of its table.

usage: test_bench.py BUILD-DIRECTORY WORKER [PART...]; without a part: the hosted ones

What the figures are is no business of a test: other work on the machine changes them.
"""

import os
import re
import subprocess
import sys

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROWS = ('1 : 2 : 4 on one CPU', '1 : 2 : 4 twice, on two CPUs', 'wakes late, beside nobody else',
        'wakes late, beside 4 hogs, no warp', 'wakes late, beside 4 hogs, warp', 'small kernel, 64 MiB: built and started',
        'two domains over one')
METAL_ROWS = ('two domains over one', 'for comparison: each in a machine of its own, over one')


def main():
    build, worker, *parts = sys.argv[1:]
    # The kernel is not started: the worker stands in for it.
    done = subprocess.run([sys.executable, os.path.join(TREE, 'tools/bench_domains.py'), build, worker, '--quick',
                           *(parts or ['fairness', 'create-small', 'scaling'])], capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    missing = [row for row in (METAL_ROWS if parts else ROWS) if not re.search(r'^  ' + re.escape(row) + r'.*\d', done.stdout, re.M)]
    refused = subprocess.run([sys.executable, os.path.join(TREE, 'tools/bench_domains.py'), build, worker, 'speed'],
                             capture_output=True, text=True, check=False)
    if "unknown part 'speed'" not in refused.stderr or not refused.returncode:
        missing.append('the refusal of an unknown part')
    if done.returncode or missing:
        sys.exit(f'FAIL: status {done.returncode}, missing: {missing}')


if __name__ == '__main__':
    main()
