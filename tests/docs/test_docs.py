#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Documents against the tree and the program.

usage: test_docs.py CASE, one of: man_page, options, verbs, probe, links, names
"""

import glob
import itertools
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../boot'))
import boot  # noqa: E402

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAN_PAGE = os.path.join(TREE, 'man/xenopus.1')
MAN_PAGES = sorted(glob.glob(os.path.join(TREE, 'man/*.1')))


def documents():
    return [os.path.join(TREE, 'README.md')] + sorted(glob.glob(os.path.join(TREE, 'docs/*.md')))


def text_of(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def man_page():
    """man has nothing to complain about, at several widths."""
    if not shutil.which('man'):
        print('skipped: there is no man; tools/check installs it')
        sys.exit(77)
    wrong = []
    for page, width in itertools.product(MAN_PAGES, ('60', '80', '132')):
        done = subprocess.run(['man', '--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-Z', page],
                              env=dict(os.environ, LC_ALL='C.UTF-8', MANWIDTH=width, MANROFFSEQ=''),
                              capture_output=True, check=False)
        where = f'{os.path.basename(page)}, width {width}'
        wrong += [f'{where}: {line}' for line in done.stderr.decode().splitlines()]
        if done.returncode:
            wrong.append(f'{where}: status {done.returncode}')
        if b'xenopus' not in done.stdout:
            wrong.append(f'{where}: no page came out')
    return wrong


def options():
    """The man pages describe exactly the options that the programs have."""
    wrong = []
    for page in MAN_PAGES:
        name = os.path.basename(page).removesuffix('.1')
        command = {'xenopus': ['XENOPUS', 'run'], 'xenopus-bundle': ['XENOPUS_BUNDLE'],
                   'xenopus-bundle-join': ['XENOPUS_BUNDLE_JOIN']}[name]
        done = subprocess.run([os.environ[command[0]], *command[1:], '--help'], capture_output=True, check=True)
        has = set(re.findall(r'(?<![\w-])(--?[a-z][a-z-]*)', done.stdout.decode()))
        section = re.search(r'^\.SH OPTIONS\n(.*?)^\.SH', text_of(page), re.S | re.M)[1]
        told = set()
        for line in re.findall(r'^\.TP\n(.*)$', section, re.M):
            told |= set(re.findall(r'(?<![\w-])(--?[a-z][a-z-]*)', line.replace('\\-', '-')))
        if not has:
            wrong.append(f'{name}: --help shows no options')
        wrong += [f'{name}: {option} is not in the man page' for option in sorted(has - told)] + \
            [f'{name}: {option} is in the man page only' for option in sorted(told - has)]
    return wrong


def help_of(*words):
    done = subprocess.run([os.environ['XENOPUS'], *words, '--help'], capture_output=True, check=True)
    return done.stdout.decode()


def verbs():
    """The man page describes exactly the verbs, and of each exactly the options."""
    has = re.findall(r'^  ([a-z][a-z-]*)  ', help_of(), re.M)
    text = text_of(MAN_PAGE).replace('\\-', '-')
    told = dict(re.findall(r'^\.SS ([a-z-]+)(.*?)(?=^\.S[SH])', text, re.S | re.M))
    wrong = [] if has else ['--help shows no verbs']
    for verb in has:
        options_had = set(re.findall(r'(?<![\w-])(--?[a-zA-Z][a-z-]*)', re.sub(r'.*^Help Options:', '', help_of(verb),
                                                                             flags=re.S | re.M)))
        options_had -= {'-h', '--help', '--json'} | ({'--socket'} if verb != 'serve' else set())
        if verb == 'run':
            continue
        if verb not in told:
            wrong.append(f'{verb} is not in the man page')
            continue
        options_told = set(re.findall(r'\.B (-[a-zA-Z-]+)|\\fB(--[a-z-]+)\\fR', told[verb]))
        options_told = {a or b for a, b in options_told}
        if options_had != options_told:
            wrong.append(f'{verb}: --help has {sorted(options_had)}, the man page {sorted(options_told)}')
    return wrong + [f'{verb} is in the man page only' for verb in told if verb not in has]


def probe():
    """The line about the host that docs/hosted.md shows and explains has the parts that -v prints."""
    boot.require_kvm()
    done = subprocess.run([os.environ['XENOPUS'], 'run', '-v', os.environ['XENOPUS_GUEST']],
                          stdin=subprocess.DEVNULL, capture_output=True, check=True)

    def parts(text):
        line = re.search(r'^ *\(xenopus\) KVM: (.*)$', text, re.M)
        # What each part begins with does not depend on the host; the first part has no such word.
        return [part.split()[0] for part in line[1].split(';')][1:] if line else []
    told = parts(text_of(os.path.join(TREE, 'docs/hosted.md')))
    seen = parts(done.stderr.decode())
    return [] if told == seen and told else [f'the document has {told}, the program {seen}']


def links():
    """Every link leads somewhere, and README leads to every document."""
    wrong = []
    reached = set()
    for document in documents():
        for target in re.findall(r'\]\(([^)#]+)(?:#[^)]*)?\)', text_of(document)):
            if re.match(r'[a-z]+:', target):
                continue
            path = os.path.normpath(os.path.join(os.path.dirname(document), target))
            if not os.path.exists(path):
                wrong.append(f'{os.path.relpath(document, TREE)}: {target} does not exist')
            if document.endswith('README.md'):
                reached.add(path)
    wrong += [f'README.md does not lead to {os.path.relpath(path, TREE)}'
              for path in documents()[1:] if path not in reached]
    return wrong


def names():
    """A file or directory that a document names exists (also as a pattern), or the source it is built from."""
    wrong = []
    count = 0
    start = r'(?:core|backends|console|guests|tests|tools|docs|man)/'
    for document in documents():
        for name in re.findall(rf'(?<![\w/.-])({start}[\w./*-]*)', text_of(document)):
            count += 1
            name = name.rstrip('.')
            path = os.path.join(TREE, name)
            if not glob.glob(path) and not os.path.exists(path + '.c'):
                wrong.append(f'{os.path.relpath(document, TREE)}: {name} does not exist')
    return wrong if count else ['no document names any file']


def main():
    wrong = globals()[sys.argv[1]]()
    for line in wrong:
        print(line)
    print(f'{sys.argv[1]}: {len(wrong)} wrong')
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
