#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same guest in both homes, with the same command: the verdicts must be right, and the same.

compare.py verdict GUEST   a conformance guest, or a hostile one that lives on: the same lines from both
compare.py crash GUEST     a hostile guest that is stopped: the same lines about the crash
compare.py debian          the self-check of the stock Debian kernel

What may differ is listed below. Without KVM the guest is judged on bare metal alone; without QEMU it is skipped.
"""

import concurrent.futures
import difflib
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
for directory in '../boot', '../conformance':
    sys.path.insert(0, os.path.join(HERE, directory))

import boot  # noqa: E402
import check  # noqa: E402

# What QEMU's TCG gets wrong about processors; nothing a hypervisor could mend.
EMULATOR = {
    'traps: the same by rsp is #SS(0)': 'a stack address that is not canonical raises #GP',
    'traps: a jump to nowhere is #GP': 'a jump to an address that is not canonical raises #PF',
    'traps: an unmasked SSE exception is #XM': 'SSE exceptions are not raised',
}
# What a host's KVM cannot do (docs/hosted.md), and the guest says so; on bare metal there is a verdict instead.
HOST = re.compile(r'skip (\w+: .*\bthis host\b|watchpoint the host does not arm )')


def homes():
    """Those that can be used here; bare metal is one of them."""
    found = ['metal']
    if boot.kvm_usable():
        found.insert(0, 'kvm')
    else:
        print('no usable /dev/kvm: on bare metal only')
    return found


def everywhere(function):
    """{home: function(home)}, at the same time."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(homes(), pool.map(function, homes())))


def without_known(lines):
    """Lines of the emulator's defects taken for what they would be without."""
    return [next((f'ok {known}' for known in EMULATOR if line.startswith(f'FAIL {known}:')), line) for line in lines]


def differences(hosted, metal):
    """Lines of one home that the other has not, beyond what a host's limits explain."""
    wrong = []
    matcher = difflib.SequenceMatcher(None, hosted, metal, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        mine, theirs = hosted[a:b], metal[c:d]
        if kind == 'equal':
            continue
        # A line that says why there is no verdict, and the verdicts in its place.
        if mine and all(HOST.match(line) for line in mine) and all(line.startswith('ok ') for line in theirs):
            continue
        wrong += [f'only hosted: {line}' for line in mine] + [f'only on bare metal: {line}' for line in theirs]
    return wrong


def compare(lines):
    """The verdict lines of each home."""
    if 'kvm' not in lines:
        return None
    wrong = differences(lines['kvm'], without_known(lines['metal']))
    for line in wrong:
        print(line)
    return f'{len(wrong)} lines differ' if wrong else None


def own_guest(mode, guest):
    runs = everywhere(lambda home: check.run(boot.xenopus(), guest, home))
    for home, (status, text) in runs.items():
        print(f'--- {home}: status {status}\n{text}')
        why = check.judge(mode, status, text, EMULATOR if home == 'metal' else ())
        if why:
            return f'{home}: {why}'
    pattern = r'(?:ok|skip|FAIL) \w+: .*' if mode == 'verdict' else r'.*crashed by vcpu.*|xenopus: .*'
    return compare({home: re.findall(rf'^(?:{pattern})$', text, re.M) for home, (_, text) in runs.items()})


def debian():
    # Under an emulator everything takes longer, so the sizes are smaller.
    scale = {'kvm': [], 'metal': ['xenopus.scale=4']}
    boot.kernel()
    runs = everywhere(lambda home: boot.boot(
        boot.command(['console=hvc0', 'quiet', *scale[home]], mode='check', where=home), limit=600, echo=False))
    lines = {}
    for home, run in runs.items():
        print(f'--- {home}: status {run.status}, {run.seconds:.0f} s', *run.lines, sep='\n')
        found = re.fullmatch(r'xenopus-selfcheck: (\d+) passed, 0 failed', run.last('xenopus-selfcheck: '))
        if run.status != 0 or not found or int(found[1]) < 50:
            return f"{home}: status {run.status}, '{run.last('xenopus-selfcheck: ')}'"
        # Without the time it took.
        lines[home] = [re.sub(r' \(\d+ ms\)', '', line) for line in run.lines if re.match('(ok|skip|FAIL) ', line)]
        if len(lines[home]) < int(found[1]):
            return f'{home}: only {len(lines[home])} verdict lines'
    return compare(lines)


def main():
    os.environ['XENOPUS_HOME'] = 'metal'
    boot.require_home()
    why = debian() if sys.argv[1] == 'debian' else own_guest(*sys.argv[1:])
    print(why or 'the same in every home')
    return bool(why)


if __name__ == '__main__':
    sys.exit(main())
