# SPDX-License-Identifier: MIT
"""Transcripts of gdb sessions in a document, and how to compare them with what gdb says now.

A transcript is a fenced block after a line '<!-- transcript: NAME -->'. Its first line is the shell command; lines
that begin with '(gdb) ' are what was typed; what follows is the answer. A line '...' stands for any lines.
Numbers, addresses and paths do not count, nor whether an event is just pending, nor how often a line of the same shape
repeats, nor that the compiler kept only the value an argument had at first (gdb's @entry).
"""

import re


def read(path):
    """{name: [(command, [answer lines])]} of a document."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    found = {}
    for name, body in re.findall(r'<!-- transcript: (\w+) -->\n+```[a-z]*\n(.*?)```', text, re.S):
        session = []
        for line in body.splitlines():
            if line.startswith('(gdb) '):
                session.append((line.removeprefix('(gdb) '), []))
            elif session:
                session[-1][1].append(line)
        found[name] = session
    return found


def shape(line):
    """A line without what differs from run to run."""
    line = re.sub(r'\S*/(core|backends)/', r'\1/', line.rstrip())
    line = re.sub(r'\b0x[0-9a-f]+\b', '#', line)
    line = re.sub(r'\b[0-9a-f]{8,}\b', '#', line)
    line = re.sub(r'\b(cr3 kernel|user|cr3) [0-9a-f]+\b', r'\1 #', line)
    line = re.sub(r'\b(\w+)=\1@entry=', r'\1=', line)
    line = re.sub(r'\d+', '#', line)
    line = re.sub(r', pending$|\b(?:no|yes)(?= +(?:no|yes)\b)', '', line)
    return re.sub(r'\s+', ' ', line).strip()


def shapes(lines):
    """Shapes of lines, empty ones left out and repetitions folded."""
    folded = []
    for line in lines:
        form = shape(line)
        if form and (not folded or folded[-1] != form):
            folded.append(form)
    return folded


def matches(told, seen):
    """Do the lines seen have the shape of those told? '...' stands for any number of lines."""
    if not told:
        return not seen
    if told[0] == '...':
        return any(matches(told[1:], seen[i:]) for i in range(len(seen) + 1))
    return bool(seen) and told[0] == seen[0] and matches(told[1:], seen[1:])


def compare(told, seen):
    return matches(shapes(told), shapes(seen))
