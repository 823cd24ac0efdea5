#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Count the results in meson's testlog.json (one JSON object a line) into one line for people.

Whatever is neither a pass nor a skip is a failure: an unknown word, too.
"""

import json
import sys

PASSES = {'OK', 'EXPECTEDFAIL'}


def main():
    passed = failed = skipped = 0
    with open(sys.argv[1], encoding='utf-8') as log:
        for line in log:
            result = json.loads(line)['result']
            if result in PASSES:
                passed += 1
            elif result == 'SKIP':
                skipped += 1
            else:
                failed += 1
    print(f'{passed} passed, {failed} failed' + (f', {skipped} skipped' if skipped else ''))


if __name__ == '__main__':
    try:
        main()
    except (OSError, ValueError, KeyError, IndexError) as error:
        sys.exit(f'count-results: {error}')
