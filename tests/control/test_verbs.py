#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The verbs, with guests of our own: what they do, what they print, what they refuse.

usage: test_verbs.py CASE, one of: life, foreground, schedulers, actions, refusals, config,
machine_config, churn, sparse, ending
"""

import json
import os
import signal
import re
import subprocess
import sys
import time

import core_file
import served
from served import boot
from terminal import Terminal


def read_console(machine, name, typed=b'', seconds=3):
    """What a console shows while something is typed at it."""
    with subprocess.Popen([boot.xenopus(), 'console', '--socket', machine.socket, name], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(typed)
        process.stdin.flush()
        time.sleep(seconds)
        process.terminate()
        return process.stdout.read().decode(errors='replace')


def on_terminal(verdict, machine, name):
    """A console on a terminal, and what leaves it."""
    for options, others, key in ([], '\x01', '\x1d'), (['-e', '^a'], '\x1d', '\x01'), (['--escape=q'], '\x01\x1d', 'q'):
        terminal = Terminal([boot.xenopus(), 'console', *options, '--socket', machine.socket, name])
        verdict.check(terminal.expect('worker: type'), f'{options}: nothing is shown')
        verdict.check(terminal.modes_raw(), f'{options}: not raw')
        terminal.send(f'frog{others}\n')
        verdict.check(terminal.expect(f'heard frog{others}\n', 10), f'{options}: what was typed did not come')
        terminal.send(key)
        status = terminal.wait(10)
        verdict.check(status == 0, f'{options}: wait status {status}')
        verdict.check(terminal.modes_restored(), f'{options}: the modes are not restored')
        verdict.check(terminal.expect('console left', 1), f'{options}: {terminal.output!r}')
    for bad in '', 'ab', '^ab':
        done = machine.verb('console', '-e', bad, name)
        verdict.check(done.returncode == 2 and len(done.lines) == 1 and '-e ^A' in done.lines[0], f'-e {bad!r}: {done.lines}')


def life(verdict):
    """Created, looked at, talked to, paused, renamed, destroyed."""
    with served.Machine(options=['--pcpus', '2']) as machine:
        done = machine.create('one', 'vcpus = 2', 'cpus = "0"', 'cpu_weight = 512')
        verdict.check(done.returncode == 0 and done.out.startswith('Parsing config from '), 'create')
        rows = machine.verb('list').out.splitlines()
        verdict.check(re.fullmatch(r'Name +ID +Mem VCPUs\tState\tTime\(s\)', rows[0]), f'list: {rows[0]}')
        verdict.check(re.fullmatch(r'one +1 +16 +1 +[r-][b-]---- +[0-9.]+', rows[1]), f'list: {rows[1]}')
        verdict.check(machine.verb('domid', 'one').out == '1\n', 'domid')
        verdict.check(machine.verb('domname', '1').out == 'one\n', 'domname')
        shown = read_console(machine, 'one', b'frog\n')
        verdict.check('worker: heard frog' in shown, f'console: {shown!r}')
        verdict.check('worker: type' in read_console(machine, '1', seconds=1), 'the console forgot')
        on_terminal(verdict, machine, 'one')

        verdict.check(machine.verb('pause', 'one').returncode == 0, 'pause')
        verdict.check(machine.states() == {'one': 'paused'}, 'not paused')
        verdict.check('heard' not in read_console(machine, 'one', b'late\n', 1).split('frog')[-1], 'paused and talks')
        verdict.check(machine.verb('unpause', 'one').returncode == 0, 'unpause')
        verdict.check('heard late' in read_console(machine, 'one', seconds=1), 'what was typed went lost')

        rows = machine.verb('vcpu-list', 'one').out.splitlines()
        verdict.check(len(rows) == 3 and rows[1].endswith('0 / all'), f'vcpu-list: {rows}')
        verdict.check(machine.verb('vcpu-pin', '-f', 'one', '0', '0-1,^0', 'all').returncode == 0, 'vcpu-pin')
        verdict.check([v['affinity'] for v in machine.json('vcpu-list')] == ['1', '0'], 'not pinned')
        verdict.check(machine.verb('sched-bvt', '-d', 'one', '-c', '50', '-W', 'on').returncode == 0, 'sched-bvt')
        sched = machine.json('sched-bvt')[0]
        verdict.check((sched['weight'], sched['cap'], sched['warp']) == (512, 50, True), f'sched-bvt: {sched}')

        verdict.check(machine.verb('mem-max', 'one', '32').returncode == 0, 'mem-max')
        verdict.check(machine.verb('mem-set', 'one', '8m').returncode == 0, 'mem-set')
        one = machine.json('list', 'one')[0]
        verdict.check((one['maxmem_kib'], one['target_kib']) == (32 << 10, 8 << 10), f'memory: {one}')
        verdict.check(machine.verb('vcpu-set', '-i', 'one', '1').returncode == 0, 'vcpu-set')
        verdict.check(machine.verb('sysrq', 'one', 's').returncode == 0, 'sysrq')

        verdict.check(machine.verb('rename', 'one', 'uno').returncode == 0, 'rename')
        verdict.check(machine.states().keys() == {'uno'}, 'not renamed')
        machine.create('two')
        verdict.check(machine.json('list')[1]['id'] == 2, 'a second domain')
        verdict.check('uno' in machine.verb('top', '-i', '1').out, 'top')
        rows = machine.verb('top', '-v', '-d', '0.2', '-i', '2').out.splitlines()
        verdict.check(len(rows) == 2 * (2 + 2 + 3) and rows[3].split()[:2] == ['VCPU', '0'], f'top -v: {rows}')
        uno = machine.json('top', '-v', '-i', '1')[0]
        verdict.check([v['vcpu'] for v in uno['vcpu']] == [0, 1] and uno['vcpu'][1]['state'] == 'offline' and
                      0 < uno['vcpu'][0]['hypercalls'] <= uno['vcpu'][0]['exits'], f'top -v --json: {uno}')
        verdict.check(uno['hypercalls'] <= sum(v['hypercalls'] for v in machine.json('vcpu-list', 'uno')),
                      'the hypercalls of virtual CPUs are not those of their domain')
        verdict.check(len(machine.verb('uptime').out.splitlines()) == 3, 'uptime')
        xl_habits(verdict, machine)
        info = machine.json('info')
        verdict.check(info['nr_domains'] == 2 and info['nr_cpus'] == 2, f'info: {info}')
        verdict.check(re.search(r'^free_memory +: \d+$', machine.verb('info').out, re.M), 'info')
        verdict.check(machine.verb('info', 'nr_cpus').out == '2\n', 'info of one thing')
        verdict.check(machine.verb('info', 'nothing').returncode == 2, 'info of nothing')
        verdict.check('audit: 0 violations' in machine.verb('debug-keys', 'qA').out, 'debug-keys')

        core = machine.path('core')
        verdict.check(machine.verb('dump-core', 'uno', core).returncode == 0, 'dump-core')
        verdict.check(machine.verb('dump-core', 'uno', core).returncode == 1, 'dump-core over a file')
        shown = subprocess.run(['gdb', '-batch', '-nx', '-ex', 'bt', served.WORKER, core], capture_output=True,
                               check=False).stdout.decode()
        verdict.check('guest_main' in shown, f'gdb on the core file: {shown}')
        for line in core_file.problems(core, 2, machine.json('list', 'uno')[0]['memory_kib'] >> 2):
            verdict.check(False, line)
        verdict.check(machine.states()['uno'] != 'paused', 'dump-core left it paused')

        verdict.check(machine.verb('destroy', '-f', 'uno').returncode == 0, 'destroy')
        verdict.check(machine.states().keys() == {'two'}, 'not destroyed')
        verdict.check('audit: 0 violations' in machine.verb('debug-keys', 'A').out, 'audit')
        verdict.check(machine.end() == 0, 'the machine did not end well')


def xl_habits(verdict, machine):
    """What people type at xl: several domains, short words, options. There are uno (two virtual CPUs) and two (one)."""
    rows = machine.verb('list', 'two', 'uno').out.splitlines()
    verdict.check([row.split()[0] for row in rows] == ['Name', 'two', 'uno'], f'list of two: {rows}')
    verdict.check([o['name'] for o in machine.json('list', 'two', 'uno')] == ['two', 'uno'], 'list --json of two')
    rows = machine.verb('vcpu-list', 'two', 'uno').out.splitlines()
    verdict.check([row.split()[0] for row in rows] == ['Name', 'two', 'uno', 'uno'], f'vcpu-list of two: {rows}')
    known = json.loads(machine.verb('list', '-l', 'two').out)
    verdict.check(len(known) == 1 and known[0]['id'] == 2 and 'maxmem_kib' in known[0], f'list -l: {known}')
    rows = machine.verb('uptime', '-s', 'uno', 'two').out.splitlines()
    verdict.check(len(rows) == 2 and all(re.fullmatch(r' \d\d:\d\d:\d\d up [ \d]\d:\d\d, (uno \(1\)|two \(2\))', row)
                                         for row in rows), f'uptime -s: {rows}')
    for words, status, said in ((['list', 'two', 'none'], 1, 'none'), (['console', '-t', 'serial', 'two'], 2, 'pv'),
                                (['console', '-n', '1', 'two'], 2, 'one console')):
        done = machine.verb(*words)
        verdict.check(done.returncode == status and len(done.lines) == 1 and said in done.lines[0] and not done.out,
                      f'{words}: {done.returncode} {done.lines}')
    rows = machine.verb('list', '-vcn', 'uno').out.splitlines()
    verdict.check('UUID' in rows[0] and 'Security Label' in rows[0] and rows[0].endswith('Cpupool NODE Affinity') and
                  rows[1].split()[-5:-3] == [known_uuid(machine, 'uno'), '-'] and rows[1].endswith('Pool-0 0'),
                  f'list -vcn: {rows}')
    rows = machine.verb('list', '-Z', 'uno').out.splitlines()
    verdict.check(rows[0].endswith('Security Label') and 'UUID' not in rows[0] and rows[1].endswith(' -'), f'list -Z: {rows}')
    shown = machine.verb('info', '-n').out
    verdict.check(re.search(r'^cpu_topology +:\ncpu:    core    socket     node\n  0:       0        0        0\n  1:       1  ',
                            shown, re.M) and re.search(r'^numa_info +:\nnode: .*\n   0: +\d+ +\d+ +10$', shown, re.M),
                  f'info -n: {shown}')
    verdict.check(len(machine.json('info', '-n')['cpu_topology']) == 2, 'info -n --json')
    verdict.check('(2): created' in machine.verb('dmesg', '-c').out, 'dmesg -c')
    verdict.check(machine.json('dmesg') == [], 'dmesg after dmesg -c')
    machine.verb('rename', 'two', 'too')
    machine.verb('rename', 'too', 'two')
    verdict.check(len(machine.json('dmesg')) >= 2, 'dmesg does not go on after dmesg -c')
    long = 'a-name-of-more-than-twenty-four-letters'
    machine.verb('rename', 'two', long)
    verdict.check('VCPU' in machine.verb('top', '-bv', '-i', '1').out and
                  [long in machine.verb('top', *full, '-i', '1').out for full in ((), ('-f',))] == [False, True], 'top -bv, -f')
    machine.verb('rename', long, 'two')
    for words, status, said in ((['-v', 'domid'], 0, ''), (['-ft', '-T', 'domid'], 0, ''),
                                (['-N', 'domid'], 2, 'only create takes -N'), (['-x', 'domid'], 2, "'-x' before the verb")):
        done = subprocess.run([boot.xenopus(), *words, '--socket', machine.socket, 'two'], capture_output=True, check=False)
        verdict.check(done.returncode == status and said in done.stderr.decode() and
                      done.stdout == (b'' if status else b'2\n'), f'{words}: {done}')
    # Verbs may be shortened: 'list' is one, 's' is several.
    verdict.check(machine.verb('domi', 'two').out == '2\n', 'domi')
    done = machine.verb('console', '-t', 'pv', '-n', '0', 'none')
    verdict.check('no domain none' in done.lines[0], f'console -t pv -n 0: {done.lines}')
    done = machine.verb('s', 'two')
    verdict.check(done.returncode == 2 and 'several verbs' in done.lines[0], f's: {done.lines}')
    for word, said in (('lisp', 'unknown verb'), ('block-attach', 'no such devices'), ('save', 'cannot be saved'),
                       ('cpupool-list', 'vcpu-pin'), ('sched-credit2', 'sched-bvt')):
        done = machine.verb(word, 'two', 'x')
        verdict.check(done.returncode == 2 and len(done.lines) == 1 and said in done.lines[0], f'{word}: {done.lines}')
    helped = subprocess.run([boot.xenopus(), 'help', 'uptime'], capture_output=True, check=False)
    verdict.check(helped.returncode == 0 and b'--short' in helped.stdout, f'help uptime: {helped}')


def known_uuid(machine, name):
    return machine.json('list', name)[0]['uuid']


def foreground(verdict):
    """create -F waits through restarts until the domain is gone; what else xl's create takes."""
    with served.Machine() as machine:
        for arguments, lines in (('', ()), ('crash', ('on_crash = "destroy"',))):
            done = machine.verb('create', '-F', machine.config('short', *lines, arguments=arguments))
            verdict.check(done.returncode == 0 and machine.states() == {}, f'create -F: {done.lines}')
        waiting = subprocess.Popen([boot.xenopus(), 'create', '--socket', machine.socket, '-eFd',
                                    machine.config('again', 'on_poweroff = "restart"', arguments='')],
                                   stdout=subprocess.DEVNULL)
        uuids = set()
        deadline = time.monotonic() + 30
        last = 0
        while last < 5 and time.monotonic() < deadline:
            for domain in machine.json('list'):
                uuids.add(domain['uuid'])
                last = domain['id']
            time.sleep(0.1)
        verdict.check(waiting.poll() is None and last >= 5, f'create -F ended before the domain, id {last}')
        verdict.check(len(uuids) == 1, f'a domain that is started again has other uuids: {uuids}')
        machine.verb('destroy', 'again')
        verdict.check(waiting.wait(30) == 0, 'create -F did not end with the domain')
        for option in ('-V', '-A'):
            done = machine.verb('create', option, machine.config('seen'))
            verdict.check(done.returncode == 2 and len(done.lines) == 1 and 'framebuffers' in done.lines[0], f'{option}: {done.lines}')
        tried = subprocess.run([boot.xenopus(), '-N', 'create', '--socket', machine.socket, machine.config('seen')],
                               capture_output=True, check=False)
        verdict.check(json.loads(tried.stdout)['name'] == 'seen' and machine.states() == {}, f'-N create: {tried}')
        verdict.check(machine.end() == 0, 'the machine did not end well')


def schedulers(verdict):
    """--sched: each scheduler has its verb, and the others' refuse in one line and change nothing."""
    for policy, own, other in (('bvt', 'sched-bvt', 'sched-credit'), ('credit', 'sched-credit', 'sched-bvt'),
                               ('rr', None, 'sched-bvt')):
        with served.Machine(options=['--sched', policy]) as machine:
            machine.create('one', 'cpu_weight = 300')
            verdict.check(machine.json('info')['xen_scheduler'] == policy, f'{policy}: info')
            for words in ([other], [other, '-d', 'one', '-w', '7']):
                done = machine.verb(*words)
                verdict.check(done.returncode == 1 and len(done.lines) == 1 and policy in done.lines[0] and not done.out,
                              f'{policy}: {words}: {done.lines}')
            if own:
                verdict.check(machine.json(own)[0]['weight'] == 300, f'{policy}: the weight')
                verdict.check(machine.verb(own, '-d', 'one', '-w', '100', '-c', '40').returncode == 0, f'{policy}: {own}')
                rows = machine.verb(own).out.splitlines()
                verdict.check(rows[0].split()[:3] == ['Name', 'ID', 'Weight'] and rows[0].split()[-1] == 'Cap' and
                              rows[1].split()[:3] == ['one', '1', '100'] and rows[1].split()[-1] == '40', f'{own}: {rows}')
            done = machine.verb('sched-credit', '-s')
            verdict.check(done.out == 'Cpupool Pool-0: tslice=10ms ratelimit=0us migration-delay=0us\n' if policy == 'credit' else
                          done.returncode == 1 and len(done.lines) == 1, f'{policy}: sched-credit -s: {done.out}{done.lines}')
            verdict.check(machine.verb('sched-credit', '-s', '-w', '1').returncode == 2, f'{policy}: sched-credit -s -w')
            client = served.Client(machine)
            answer = client.call('domain.set-scheduling', domain='one', warp=True)
            verdict.check(('result' in answer) == (policy == 'bvt'), f'{policy}: a warp: {answer}')
            verdict.check(machine.end() == 0, f'{policy}: the machine did not end well')


def actions(verdict):
    """on_poweroff, on_reboot, on_crash; crash notes and core files; back-off; events."""
    with served.Machine() as machine:
        events = served.Client(machine)
        events.call('events.subscribe')
        machine.create('off', arguments='', kernel=served.WORKER)
        verdict.check(machine.wait_state('off', None), 'poweroff: not destroyed')
        machine.create('keep', 'on_poweroff = "preserve"', arguments='')
        verdict.check(machine.wait_state('keep', 'shutdown'), 'preserve: not kept')
        row = machine.verb('list', 'keep').out.splitlines()[1]
        verdict.check('---s--' in row, f'preserve: {row}')
        verdict.check(machine.verb('pause', 'keep').returncode == 1, 'a stopped domain was paused')
        machine.verb('destroy', 'keep')
        machine.create('crash', 'on_crash = "coredump-destroy"', arguments='crash')
        verdict.check(machine.wait_state('crash', None), 'crash: not destroyed')
        names = sorted(os.listdir(machine.path('crash')))
        verdict.check([n.split('-')[0] for n in names] == ['crash', 'crash'], f'crash notes: {names}')
        with open(os.path.join(machine.path('crash'), [n for n in names if n.endswith('.crash')][0]),
                  encoding='utf-8') as file:
            note = file.read()
        verdict.check('rip' in note and 'arguments: crash' in note, f'crash note: {note}')
        machine.create('again', arguments='reboot')
        time.sleep(6)
        again = machine.json('list', 'again')[0]
        verdict.check(4 < again['id'] < 12, f'reboots without back-off: {again}')
        verdict.check(machine.verb('destroy', 'again').returncode == 0, 'destroy while it waits')
        machine.create('more', 'on_crash = "rename-restart"', arguments='crash')
        time.sleep(6)
        more = [name for name in machine.states() if name.startswith('more')]
        verdict.check(2 < len(more) < 7, f'rename-restart without back-off: {more}')
        verdict.check(machine.verb('destroy', 'more').returncode == 0, 'destroy while its like waits')
        machine.create('other', 'on_poweroff = "rename-restart"', 'on_reboot = "destroy"', arguments='')
        verdict.check(machine.wait_state('other-1', 'shutdown'), 'rename-restart')
        seen = []
        events.socket.settimeout(2)
        try:
            while True:
                params = events.message()['params']
                seen.append((params['name'], params['event'], params.get('detail', '')))
        except TimeoutError:
            pass
        for wanted in (('off', 'created', ''), ('off', 'shutdown', 'poweroff'), ('off', 'destroyed', ''),
                       ('crash', 'shutdown', 'crash'), ('again', 'shutdown', 'reboot'), ('again', 'waiting', '1')):
            verdict.check(wanted in seen, f'no event {wanted}: {seen}')
        verdict.check(any(s[:2] == ('crash', 'crashed') for s in seen), 'no event crashed')
        machine.process.terminate()
        verdict.check(machine.process.wait(20) == 0, 'the machine did not end well')


def refusals(verdict):
    """Each one line that says what and where; nothing changes."""
    with served.Machine() as machine:
        machine.create('one')

        def refused(status, words, *said):
            before = machine.states().keys()
            done = machine.verb(*words)
            verdict.check(done.returncode == status, f'{words}: status {done.returncode}')
            verdict.check(len(done.lines) == 1 and done.lines[0].startswith('xenopus: '), f'{words}: {done.lines}')
            verdict.check(all(s in ''.join(done.lines) for s in said), f'{words}: not all of {said}: {done.lines}')
            verdict.check(not done.out or words[0] == 'create', f'{words}: something on standard output')
            verdict.check(machine.states().keys() == before, f'{words}: changed something')

        refused(1, ['pause', 'none'], 'no domain none')
        refused(1, ['destroy', '99'], 'no domain 99')
        refused(1, ['console', 'none'], 'no domain none')
        refused(2, ['pause'], 'missing')
        refused(2, ['pause', 'one', 'two'], 'two')
        refused(2, ['list', '--what'], '--what')
        refused(1, ['create', machine.config('one')], 'exists already')
        refused(1, ['create', machine.config('big', memory=4096)], 'big.cfg:3: memory of 4096 MiB')
        refused(1, ['create', machine.config('many', '', 'vcpus = 65')], 'many.cfg:6: vcpus of 65')
        refused(1, ['create', machine.config('less', 'maxmem = 8')], 'less.cfg:5: maxmem')
        refused(1, ['create', machine.config('odd', 'on_crash = "explode"')], 'odd.cfg:5: on_crash', 'explode')
        refused(1, ['create', machine.config('weight', 'cpu_weight = 0')], 'weight.cfg:5: cpu_weight')
        refused(1, ['create', machine.config('cap'), 'cap=1000000'], 'cap of 1000000')
        refused(1, ['create', machine.config('cpus', 'cpus = "x"')], 'cpus.cfg:5: cpus must be')
        refused(1, ['create', machine.config('uuid', 'uuid = "17"')], 'uuid.cfg:5: uuid')
        verdict.check(machine.create('twin', 'uuid = "0123abcd-0000-4000-8000-00000000ffff"').returncode == 0, 'uuid')
        refused(1, ['create', machine.config('other', 'uuid = "0123ABCD-0000-4000-8000-00000000FFFF"')],
                'other.cfg:5: uuid is that of domain twin')
        verdict.check(machine.json('list', 'twin')[0]['uuid'] == '0123abcd-0000-4000-8000-00000000ffff', 'the uuid')
        refused(1, ['create', machine.config('nokernel', kernel='/nowhere/kernel')], '/nowhere/kernel')
        refused(1, ['create', machine.config('nopv', kernel='/bin/true')], '/bin/true')
        refused(1, ['create', machine.path('none.cfg')], 'none.cfg')
        refused(1, ['rename', 'one', '17'], 'number')
        refused(1, ['rename', 'one', 'a/b'], 'slashes')
        refused(2, ['mem-set', 'one', 'much'], 'much')
        refused(1, ['mem-set', 'one', '64'], 'mem-max')
        # Whoever may have that much could have a core file's table made that no host has memory for.
        refused(1, ['mem-max', 'one', '100t'], 'give 4 to 268435456')
        # What a domain may have and has not costs its core file nothing.
        machine.verb('mem-max', 'one', '256g')
        verdict.check(machine.verb('dump-core', 'one', machine.path('large')).returncode == 0, 'dump-core, large maximum')
        refused(2, ['vcpu-set', 'one', '0'], '1 to 64')
        refused(1, ['vcpu-set', 'one', '2'], 'maxvcpus')
        refused(1, ['vcpu-pin', 'one', '0', '63'], '63')
        refused(1, ['vcpu-pin', 'one', '0', 'x'], 'x')
        refused(2, ['vcpu-pin', 'one', '0', '0', '1'], 'soft')
        refused(1, ['vcpu-pin', 'one', '5', 'all'], '5')
        refused(1, ['sysrq', 'one', 'ab'], 'key')
        refused(1, ['trigger', 'one', 'power'], 'nmi')
        refused(1, ['dump-core', 'one', '/nowhere/core'], '/nowhere/core')
        # Memory there is, but the machine has so many virtual CPUs and no more.
        for n in range(9):
            done = machine.create(f'wide{n}', 'vcpus = 64', memory=6)
            if done.returncode:
                break
        verdict.check(n > 3 and done.returncode == 1 and 'no room for 64 more virtual CPUs' in ''.join(done.lines),
                      f'64 virtual CPUs: domain {n}: {done.lines}')
        for other in range(n):
            machine.verb('destroy', f'wide{other}')
        lost = subprocess.run([boot.xenopus(), 'list', '--socket', machine.path('elsewhere')], capture_output=True,
                              check=False)
        verdict.check(lost.returncode == 1 and b'xenopus serve' in lost.stderr, f'no machine: {lost}')
        verdict.check(machine.end() == 0, 'the machine did not end well')
    for options, said in ((['-m', '1'], '16'), (['extra'], 'extra'), (['--pcpus', '99'], '64'),
                          (['--log-level', 'all'], 'all'), (['--sched', 'fifo'], 'bvt')):
        done = subprocess.run([boot.xenopus(), 'serve', *options], capture_output=True, check=False, timeout=30)
        lines = done.stderr.decode().splitlines()
        verdict.check(done.returncode == 2 and len(lines) == 1 and said in lines[0], f'serve {options}: {lines}')


BASIS = ['name="x" # a comment with disk = 1', "kernel='rel/kernel'"]


def xl_cfg(place, *lines):
    """The path of a file with these lines."""
    path = place.path('x.cfg')
    with open(path, 'w', encoding='utf-8') as file:
        file.writelines(line + '\n' for line in lines)
    return path


def config(verdict):
    """xl.cfg: what is read, what is a warning, what is refused with file, line and key."""
    with served.Place() as place:
        def dry(*lines):
            return place.verb('create', '-n', xl_cfg(place, *lines))

        done = dry(*BASIS, 'memory="64"', 'root="/dev/xvda1 ro"', 'extra="quiet"', 'type="pv"', 'disk=[]', 'vif=[ ]',
                   'vcpus=2;maxvcpus=4', 'on_crash="preserve"', 'cpus=["0-1","^0,1"]')
        want = ['"memory" : 64', '"cmdline" : "root=/dev/xvda1 ro quiet"', '"maxvcpus" : 4', '"cpus" : "0-1;^0,1"',
                f'"kernel" : "{os.path.realpath("rel/kernel")}"']
        verdict.check(done.returncode == 0 and not done.lines, f'a good file: {done.lines}')
        for text in want:
            verdict.check(text in done.out, f'{text} is not in {done.out}')
        done = place.verb('create', '-n', place.path('x.cfg'), 'memory=96', 'name="y"')
        verdict.check('"memory" : 96' in done.out and '"name" : "y"' in done.out and not done.lines, f'arguments: {done.out}')
        done = place.verb('create', '-n', 'memory="x"', '-f', place.path('x.cfg'))
        verdict.check(done.returncode == 1 and done.lines == ['xenopus: memory of the command line: must be a number'],
                      f'a bad argument: {done.lines}')
        verdict.check(place.verb('create', 'memory=3').returncode == 2, 'create without a file')
        done = dry(*BASIS, 'frobnicate = 3', 'nested = [ ["a=b"],', ' "vif = 1" ]', 'pool="x"')
        verdict.check([line.rsplit('x.cfg', 1)[1] for line in done.lines] ==
                      [':3: frobnicate: unknown key, ignored', ':4: nested: unknown key, ignored',
                       ':6: pool: has no effect here'], f'warnings: {done.lines}')
        done = dry(*BASIS, 'bootloader_args="-q"', 'max_event_channels=64')
        verdict.check(done.returncode == 0 and [line.rsplit('x.cfg', 1)[1] for line in done.lines] ==
                      [':3: bootloader_args: has no effect here', ':4: max_event_channels: has no effect here'],
                      f'warnings of keys that are known: {done.lines}')
        done = dry(*BASIS, 'acpi=1', 'hap = 0', 'vnc = 1', 'boot="c"', 'sve="hw"', 'driver_domain=0', 'pvshim=0', 'virtio=[]')
        verdict.check(done.returncode == 0 and [line.rsplit('x.cfg', 1)[1] for line in done.lines] ==
                      [f':{n}: {key}: is for {kind} guests, has no effect' for n, key, kind in
                       ((3, 'acpi', 'HVM'), (4, 'hap', 'HVM'), (5, 'vnc', 'HVM'), (6, 'boot', 'HVM'), (7, 'sve', 'ARM'))],
                      f'keys of other guests: {done.lines}')
        for lines, said in (
                (['firmware="pvgrub64"'], ':3: firmware: '), (['pvshim=1'], ':3: pvshim: '), (['virtio=["x"]'], ':3: virtio: '),
                (['vsnd=[["card"]]'], ':3: vsnd: '), (['vdispl=["backend=0"]'], ':3: vdispl: '), (['pvcalls=[""]'], ':3: pvcalls: '),
                (['dtdev=["/soc"]'], ':3: dtdev: '), (['', "disk=['phy:/dev/x,xvda,w']"], ':4: disk: '), (['vif=[""]'], ':3: vif: '),
                (['type="hvm"'], ':3: type: '), (['builder="hvm"'], ':3: builder: '), (['vfb=["vnc=1"]'], ':3: vfb: '),
                (['bootloader="pygrub"'], ':3: bootloader: '), (['memory="x"'], ':3: memory: '),
                (['memory=[1]'], ':3: memory: '), (['kernel=""'], ':3: kernel: '), (['on_crash="soft-reset"'], ':3: on_'),
                (['vcpus = ['], 'x.cfg:'), (['a b c'], 'x.cfg:3')):
            done = dry(*BASIS, *lines)
            verdict.check(done.returncode == 1 and len(done.lines) == 1 and said in done.lines[0],
                          f'{lines}: {done.lines}')
        verdict.check('name is missing' in ''.join(dry('kernel="x"').lines), 'no name')
        verdict.check('kernel is missing' in ''.join(dry('name="x"').lines), 'no kernel')


def machine_config(verdict):
    """xl.cfg: what only the machine can say."""
    with served.Machine() as machine:
        for lines, said in (
                (['name="a/b"'], ':3: name: '), (['name="12"'], ':3: name: '), (['kernel="/nowhere/k"'], ':3: kernel: /nowhere'),
                (['kernel="/nowhere/k"', 'ramdisk="/nowhere/r"'], ':4: ramdisk: '), (['vcpus=65'], ':3: vcpus of 65'),
                ([f'kernel="{served.WORKER}"', 'extra="' + 'x' * 5000 + '"'], ':4: extra: '), (['cpus="63"'], ':3: cpus ')):
            done = machine.verb('create', xl_cfg(machine, *BASIS, *lines))
            verdict.check(done.returncode == 1 and len(done.lines) == 1 and said in done.lines[0],
                          f'{lines}: {done.lines}')
        verdict.check(machine.states() == {}, 'a bad file made a domain')


def memory_of(pid):
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        return int(re.search(r'RssAnon:\s+(\d+)', file.read())[1])


def churn(verdict):
    """Domains come and go, also while they are being made: nothing is left behind. XENOPUS_CHURN: how many (60); of many
    some are Debian, ended somewhere in its boot."""
    rounds = int(os.environ.get('XENOPUS_CHURN', '60'))
    with served.Machine(memory=448) as machine:
        client = served.Client(machine)

        def create(name, arguments='echo'):
            return client.call('domain.create', name=name, kernel=served.WORKER, memory=8, cmdline=arguments, vcpus=2,
                               on_reboot='destroy')

        def turn(n):
            verdict.check('result' in create(f'a{n}'), f'turn {n}: create')
            if n % 4 == 1:
                # Asked for and destroyed at some point of its making.
                other = served.Client(machine)
                other.send(b'{"jsonrpc":"2.0","id":1,"method":"domain.create","params":{"name":"early","kernel":"%s",'
                           b'"memory":8}}\n' % served.WORKER.encode())
                time.sleep(0.002 * (n % 7))
                client.call('domain.destroy', domain='early')
                other.close()
            if n % 50 == 49 and rounds > 200:
                client.call('domain.create', name='deb', kernel=boot.kernel(), ramdisk=boot.initramfs(), memory=160,
                            vcpus=2, cmdline='console=hvc0 quiet xenopus.mode=shell', paused=n % 100 == 99)
                time.sleep(n % 350 / 30)
                verdict.check(client.call('domain.destroy', domain='deb').get('result') is True, f'turn {n}: deb')
            if n % 4 == 2:
                client.call('domain.pause', domain=f'a{n}')
            verdict.check(client.call('domain.destroy', domain=f'a{n}').get('result') is True, f'turn {n}: destroy')
            # One that is done by itself.
            if n % 4 == 3:
                create('b', 'reboot')
                verdict.check(machine.wait_state('b', None), f'turn {n}: b stays')

        def figures():
            machine.wait_state('early', None)
            return (client.call('machine.info')['result']['free_memory_kib'],
                    len(os.listdir(f'/proc/{machine.process.pid}/fd')), memory_of(machine.process.pid))

        def audited():
            return 'audit: 0 violations' in machine.verb('debug-keys', 'A').out

        for n in range(20):
            turn(n)
        before = figures()
        for n in range(20, 20 + rounds):
            turn(n)
            if n % 100 == 0:
                print(f'turn {n}: free KiB, files, anonymous KiB: {figures()}', flush=True)
                verdict.check(audited(), f'turn {n}: audit')
        after = figures()
        print(f'free KiB, files, anonymous KiB: {before} before, {after} after {rounds} rounds')
        verdict.check(abs(after[0] - before[0]) <= 64, f'{before[0] - after[0]} KiB of the machine are lost')
        verdict.check(after[1] <= before[1] + 1, f'{after[1] - before[1]} files are left open')
        # A sanitizer keeps what was freed; whether anything leaked it says itself in the end.
        if os.environ.get('XENOPUS_SANITIZE', 'none') == 'none':
            verdict.check(after[2] <= before[2] + 1024, f'the process has grown by {after[2] - before[2]} KiB')
        verdict.check(audited(), 'audit')
        verdict.check(machine.end() == 0, 'the machine did not end well')


def storms(verdict):
    """Guests that do random hypercalls on all their virtual CPUs, destroyed in the middle of it: nothing is left of them.
    XENOPUS_STORMS: how many (24)."""
    with served.Machine(memory=256, options=['--pcpus', '2']) as machine:
        client = served.Client(machine)

        def free():
            return client.call('machine.info')['result']['free_memory_kib']

        def turn(n):
            answer = client.call('domain.create', name='storm', kernel=os.environ['XENOPUS_STORM'], memory=16, vcpus=1 + n % 4,
                                 cmdline=f'seed={n} rounds=100000000', on_reboot='destroy', on_crash='destroy')
            verdict.check('result' in answer, f'storm {n}: {answer}')
            time.sleep(0.03 * (n % 6))
            if n % 5 == 4:
                client.call('domain.pause', domain='storm')
            answer = client.call('domain.destroy', domain='storm')
            # One may have ended itself.
            verdict.check(answer.get('result') is True or answer['error']['code'] == 2, f'storm {n}: {answer}')
            verdict.check('audit: 0 violations' in machine.verb('debug-keys', 'A').out, f'storm {n}: audit')

        for n in range(4):
            turn(n)
        before = free()
        for n in range(4, 4 + int(os.environ.get('XENOPUS_STORMS', '24'))):
            turn(n)
        verdict.check(free() >= before - 64, f'{before - free()} KiB of the machine are lost')


def sparse(verdict):
    """A machine takes what its domains have touched, however often they are made: frames that nobody touched are not
    cleared for the next."""
    with served.Machine(memory=1024) as machine:
        def taken_mib():
            fds = f'/proc/{machine.process.pid}/fd'
            return next(os.stat(f'{fds}/{fd}').st_blocks for fd in os.listdir(fds)
                        if 'memfd:xenopus-machine' in os.readlink(f'{fds}/{fd}')) >> 11

        before = taken_mib()
        for _ in range(3):
            verdict.check(machine.create('big', memory=900).returncode == 0, 'create')
            verdict.check(machine.verb('destroy', 'big').returncode == 0, 'destroy')
        verdict.check(taken_mib() < before + 64, f'{before} MiB have become {taken_mib()}')
    with served.Machine(memory=96) as machine:
        # What one has touched is cleared for the next, whose memory is mostly the same frames.
        for name in 'first', 'second':
            machine.create(name, memory=64, arguments='touch echo')
            shown = ''
            for _ in range(60):
                if 'pages touched' in shown:
                    break
                shown = read_console(machine, name, seconds=1)
            verdict.check(re.search(r'pages touched, 0 words wrong', shown), f'{name}: {shown}')
            verdict.check(machine.verb('destroy', name).returncode == 0, 'destroy')
        verdict.check('audit: 0 violations' in machine.verb('debug-keys', 'A').out, 'audit')


def ending(verdict):
    """SIGTERM: who does not shut down in time is destroyed with a line; a second signal does not wait."""
    with served.Machine() as machine:
        for name in ('one', 'two'):
            machine.create(name)
        machine.verb('pause', 'two')
        began = time.monotonic()
        verdict.check(machine.end() == 0, 'the machine did not end well')
        verdict.check(0.9 < time.monotonic() - began < 15, 'the time of grace')
        verdict.check(machine.log_text().count('did not shut down in time') == 2, 'no line about them')
    with served.Machine(options=['--grace', '600']) as machine:
        machine.create('one')
        machine.process.terminate()
        time.sleep(0.5)
        verdict.check(machine.end() == 0, 'the second signal')
    with served.Machine(options=['--grace', '600']) as machine:
        machine.create('keep', 'on_poweroff = "preserve"')
        client = served.Client(machine)
        machine.process.terminate()
        deadline = time.monotonic() + 60
        answer = {}
        while 'ending' not in str(answer) and time.monotonic() < deadline:
            answer = client.call('domain.create', name=f'late{time.monotonic()}', kernel=served.WORKER, memory=4)
            time.sleep(0.1)
        verdict.check('is ending' in str(answer.get('error')), f'a domain was created while the machine ends: {answer}')
        subprocess.run([boot.xenopus(), 'console', '--socket', machine.socket, 'keep'], input=b'end\n',
                       capture_output=True, timeout=60, check=False)
        verdict.check(machine.process.wait(60) == 0, 'the end waits for a domain that is kept')
    # As soon as the socket is there.
    for n in range(10):
        machine = served.Machine(memory=32)
        deadline = time.monotonic() + 30
        while not os.path.exists(machine.socket) and time.monotonic() < deadline:
            pass
        machine.process.send_signal(signal.SIGINT if n % 2 else signal.SIGTERM)
        with machine:
            verdict.check(machine.process.wait(30) == 0, f'a signal at the start: status {machine.process.returncode}')
            verdict.check(not os.path.exists(machine.socket), 'a signal at the start: the socket is still there')
    # While a domain is being made, and while core files are being written.
    for n in range(4):
        with served.Machine() as machine:
            machine.create('big', memory=128, arguments='touch echo')
            client = served.Client(machine)
            for name, method, params in (('new', 'create', {'name': 'new', 'kernel': served.WORKER, 'memory': 64}),
                                         ('big', 'dump-core', {'domain': 'big', 'file': machine.path('core')})):
                client.send(json.dumps({'jsonrpc': '2.0', 'id': name, 'method': f'domain.{method}',
                                        'params': params}).encode() + b'\n')
            time.sleep(0.004 * n)
            verdict.check(machine.end() == 0, f'ending {n}: the machine did not end well')
            left = [machine.path('core')] if os.path.exists(machine.path('core')) else []
            verdict.check(all(os.path.getsize(path) > 1 << 27 for path in left), f'ending {n}: half a core file')


def main():
    # Reading a file takes no machine.
    if sys.argv[1] != 'config':
        boot.require_kvm()
    verdict = boot.Verdict()
    globals()[sys.argv[1]](verdict)
    verdict.finish()


if __name__ == '__main__':
    main()
