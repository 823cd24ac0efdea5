#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Guests that are hard on the frame table, with the whole of it checked every few hypercalls, in both homes.

test_audit.py GUEST...
"""

import os
import sys

import compare

check = compare.check
# A prime, so that it does not always fall on the same call of a loop.
OPTIONS = ['--memory', '16', '--audit', '7']


def main():
    os.environ['XENOPUS_HOME'] = 'metal'
    compare.boot.require_home()
    check.OPTIONS = OPTIONS
    bad = 0
    for guest in sys.argv[1:]:
        for home in compare.homes():
            status, text = check.run(os.environ['XENOPUS'], guest, home)
            why = check.judge('verdict', status, text, compare.EMULATOR)
            print(f'FAIL {guest} on {home}: {why}\n{text}' if why else f'ok {os.path.basename(guest)} on {home}')
            bad += bool(why)
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
