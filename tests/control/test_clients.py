#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Clients that are not well: each gets one message that says so, the machine and its other clients go on."""

import json
import os
import random
import resource
import stat
import subprocess
import time

import served
from served import boot

GOOD = b'{"jsonrpc":"2.0","id":1,"method":"machine.info"}\n'


def refused(verdict, machine, name, data, code, more=b''):
    client = served.Client(machine)
    client.send(data)
    answer = client.message()
    print(f'{name}: {answer}')
    verdict.check(answer is not None and answer.get('error', {}).get('code') == code, f'{name}: not error {code}')
    verdict.check(answer is not None and len(answer['error']['message']) > 10, f'{name}: no words')
    if more:
        client.send(more)
        verdict.check((client.message() or {}).get('result') is not None, f'{name}: no answer after it')
    client.close()


def rubbish(verdict, machine):
    def request(**members):
        return json.dumps({'jsonrpc': '2.0', 'id': 1, **members}).encode() + b'\n'
    refused(verdict, machine, 'no JSON', b'hello there\n', -32700, GOOD)
    refused(verdict, machine, 'half JSON', b'{"jsonrpc":\n', -32700, GOOD)
    refused(verdict, machine, 'no UTF-8', b'{"a":"\xff\xfe"}\n', -32700, GOOD)
    refused(verdict, machine, 'a zero byte', b'{"a":"\0"}\n', -32700, GOOD)
    refused(verdict, machine, 'nested', b'[' * 100 + b']' * 100 + b'\n', -32700, GOOD)
    refused(verdict, machine, 'nested deeply', b'{"a":' * 40000 + b'1' + b'}' * 40000 + b'\n', -32700, GOOD)
    # What JSON-GLib's scanner takes though it is no JSON: behind it a count of brackets could believe itself in a string.
    for name, trick in (('quote', b"'\"'"), ('comment', b'1 /* " */'), ('rest', b'1 // "'), ('dollar', b'$1')):
        refused(verdict, machine, f'nested behind a {name}', b'{"a":' + trick + b',"b":' + b'[' * 200000 + b'\n', -32700,
                GOOD)
    refused(verdict, machine, 'a zero in a string', b'{"a":"x\\u0000y"}\n', -32700, GOOD)
    refused(verdict, machine, 'brackets in a string', request(method='[' * 100), -32601, GOOD)
    refused(verdict, machine, 'a batch', b'[' + GOOD[:-1] + b']\n', -32600, GOOD)
    refused(verdict, machine, 'a number', b'17\n', -32600, GOOD)
    refused(verdict, machine, 'no version', b'{"id":1,"method":"machine.info"}\n', -32600, GOOD)
    refused(verdict, machine, 'an object as id', request(id={}, method='machine.info'), -32600, GOOD)
    refused(verdict, machine, 'a number as method', request(method=3), -32600, GOOD)
    refused(verdict, machine, 'no such method', request(method='machine.explode'), -32601, GOOD)
    refused(verdict, machine, 'params as a list', request(method='machine.info', params=[1]), -32602, GOOD)
    refused(verdict, machine, 'an unknown param', request(method='machine.info', params={'x': 1}), -32602, GOOD)
    refused(verdict, machine, 'a missing param', request(method='domain.pause', params={}), -32602, GOOD)
    refused(verdict, machine, 'a wrong kind', request(method='domain.pause', params={'domain': []}), -32602, GOOD)
    refused(verdict, machine, 'no such domain', request(method='domain.pause', params={'domain': 'x'}), 2, GOOD)
    refused(verdict, machine, 'a huge domain id', request(method='domain.pause', params={'domain': 1 << 40}), 2, GOOD)
    refused(verdict, machine, 'too many CPUs', request(method='domain.create', params={
        'name': 'x', 'kernel': '/x', 'vcpus': 65}), -32602, GOOD)
    refused(verdict, machine, 'a relative kernel', request(method='domain.create', params={
        'name': 'x', 'kernel': 'x'}), -32602, GOOD)
    refused(verdict, machine, 'no such kernel', request(method='domain.create', params={
        'name': 'x', 'kernel': '/nowhere/x'}), 1, GOOD)
    refused(verdict, machine, 'a number as name', request(method='domain.create', params={
        'name': '12', 'kernel': served.WORKER}), 1, GOOD)
    refused(verdict, machine, 'too much memory', request(method='domain.create', params={
        'name': 'x', 'kernel': served.WORKER, 'memory': 4096}), 1, GOOD)


def too_much(verdict, machine):
    """100 MB without an end: refused after a little, and not kept."""
    client = served.Client(machine)
    sent = 0
    while sent < 100 << 20 and client.send(b'x' * (1 << 20)):
        sent += 1 << 20
    answer = client.message()
    print(f'100 MB: {sent >> 20} MB went, {answer}')
    verdict.check(answer is not None and answer['error']['code'] == -32600, '100 MB: no refusal')
    verdict.check(sent < 50 << 20, '100 MB: the machine took them')
    client.close()


def gone(verdict, machine):
    """Clients that do not wait for what they ask for; what may come of it later comes while hanging() waits."""
    requests = [b'"domain.console","params":{"domain":"quick"}', b'"machine.info"', b'"events.subscribe"',
                b'"domain.dump-core","params":{"domain":"quick","file":"%s"}' % machine.path('unread').encode()]
    machine.create('quick')
    for n in range(200):
        client = served.Client(machine)
        client.send(GOOD.replace(b'"machine.info"', requests[n % len(requests)]))
        client.close()
    verdict.check(machine.verb('destroy', 'quick').returncode == 0, 'after clients that went: destroy')


def shrinking(verdict, machine):
    """Kernels and initrds that become shorter while they are read: refused, or read before."""
    with open(served.WORKER, 'rb') as file:
        kernel = file.read()
    words = 0
    for n in range(24):
        what = ('kernel', 'ramdisk')[n % 2]
        path = machine.path('shrinks')
        with open(path, 'wb') as file:
            file.write(kernel.ljust(8 << 20, b'\0'))
        client = served.Client(machine)
        request = {'name': 'shrunk', 'kernel': served.WORKER, 'memory': 32, 'cmdline': 'echo', what: path}
        client.send(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'domain.create', 'params': request}).encode() + b'\n')
        time.sleep(0.001 * (n // 2))
        os.truncate(path, 0)
        answer = client.message()
        verdict.check(answer is not None, f'{what} that became shorter: no answer')
        words += 'became shorter' in str(answer)
        client.close()
        machine.verb('destroy', 'shrunk')
    print(f'files that became shorter: {words} of 24 times while they were read')
    verdict.check(machine.verb('list').returncode == 0, 'after files that became shorter: list')


def hanging(verdict, machine):
    """Half a message, an answer that is not read, silence: none of them holds up anybody."""
    half, silent = served.Client(machine), served.Client(machine)
    half.send(GOOD[:20])
    deaf = served.Client(machine)
    deaf.socket.setblocking(False)
    try:
        while True:
            deaf.socket.send(GOOD * 100)
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    # One that does not read what comes before the console it has asked for.
    machine.create('held')
    stuck = served.Client(machine)
    stuck.send(GOOD * 2000 + GOOD.replace(b'machine.info"', b'domain.console","params":{"domain":"held"}'))
    began = time.monotonic()
    verdict.check(machine.verb('list').returncode == 0, 'hanging clients: list failed')
    verdict.check(time.monotonic() - began < 10, 'hanging clients: list took long')
    answer = half.message()
    verdict.check(answer is not None and 'did not come' in answer['error']['message'], f'half a message: {answer}')
    verdict.check(half.message() is None, 'half a message: not dropped')
    deadline = time.monotonic() + 20
    while stuck.send(b'x') and time.monotonic() < deadline:
        time.sleep(0.2)
    verdict.check(time.monotonic() < deadline, 'who waits for a console and does not read is kept for ever')
    machine.verb('destroy', 'held')
    silent.send(GOOD)
    verdict.check(silent.message() is not None, 'a silent client was dropped')
    for client in (half, silent, deaf, stuck):
        client.close()


def crowd(verdict, machine):
    """Far more than there is room for, all idle: the oldest are told and let go; who speaks, or waits for events, stays."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    listener, talker = served.Client(machine), served.Client(machine)
    listener.call('events.subscribe')
    crowd_of = []
    for n in range(3000):
        crowd_of.append(served.Client(machine))
        if n % 100 == 0:
            verdict.check('result' in talker.call('machine.info'), f'a crowd of {n}: a client has no answer')
    verdict.check(machine.verb('info').returncode == 0, 'in a crowd: a verb has no answer')
    answer = crowd_of[0].message()
    verdict.check(answer is not None and 'idle' in answer['error']['message'], f'a crowd: {answer}')
    verdict.check(crowd_of[0].message() is None, 'a crowd: the first one is still there')
    verdict.check('result' in crowd_of[-1].call('machine.info'), 'a crowd: the last one has no answer')
    verdict.check('result' in talker.call('domain.create', name='seen', kernel=served.WORKER, memory=8), 'create')
    event = listener.message()
    verdict.check(event['params']['event'] == 'created', f'a crowd: the listener heard {event}')
    talker.call('domain.destroy', domain='seen')
    for client in [listener, talker, *crowd_of]:
        client.close()
    verdict.check(machine.verb('info').returncode == 0, 'after a crowd: no answer')


def deaf_listener(verdict, machine):
    """Subscribed and never reading: let go after a mebibyte of events, and nobody waits for it."""
    deaf, client = served.Client(machine), served.Client(machine)
    deaf.call('events.subscribe')
    client.call('domain.create', name='chatter', kernel=served.WORKER, memory=8, cmdline='echo')
    before = len(os.listdir(f'/proc/{machine.process.pid}/fd'))
    for n in range(20000):
        if 'result' not in client.call('domain.rename', domain=f'chatter{n - 1}' if n else 'chatter', name=f'chatter{n}'):
            verdict.check(False, f'rename {n}')
            break
        if n % 500 == 0 and len(os.listdir(f'/proc/{machine.process.pid}/fd')) < before:
            break
    print(f'a deaf listener was let go after {n} events or earlier')
    verdict.check(len(os.listdir(f'/proc/{machine.process.pid}/fd')) == before - 1, 'a deaf listener is still there')
    client.call('domain.destroy', domain=f'chatter{n}')
    for c in (deaf, client):
        c.close()


def dead_domains(verdict, machine):
    """Consoles of domains that end, have ended or never were; a core file that takes its time."""
    client, watcher = served.Client(machine), served.Client(machine)

    def make(name, arguments):
        client.call('domain.create', name=name, kernel=served.WORKER, memory=8, cmdline=arguments, on_poweroff='preserve')
    verdict.check(client.call('domain.console', domain='nobody')['error']['code'] == 2, 'console of nobody')
    make('stays', '')
    verdict.check(machine.wait_state('stays', 'shutdown'), 'stays: not kept')
    verdict.check(watcher.call('domain.console', domain='stays')['result'] is True, 'console of one that has stopped')
    watcher.send(b'typed at nobody')
    verdict.check('result' in client.call('domain.destroy', domain='stays'), 'destroy under a console')
    try:
        while watcher.socket.recv(4096):
            pass
    except ConnectionResetError:
        pass # what was typed is thrown away
    for method in ('pause', 'unpause', 'shutdown', 'sysrq', 'console', 'dump-core', 'destroy'):
        extra = {'key': 's'} if method == 'sysrq' else {'file': machine.path('c')} if method == 'dump-core' else {}
        answer = client.call(f'domain.{method}', domain='stays', **extra)
        verdict.check(answer.get('error', {}).get('code') == 2, f'{method} of a dead domain: {answer}')

    # Asked for by somebody who does not stay to hear of it.
    hasty = served.Client(machine)
    hasty.send(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'domain.create', 'params': {
        'name': 'hasty', 'kernel': served.WORKER, 'memory': 8, 'cmdline': 'echo'}}).encode() + b'\n')
    hasty.close()
    verdict.check(machine.wait_state('hasty', 'blocked'), 'a domain whose client left is not there')
    verdict.check(client.call('domain.destroy', domain='hasty').get('result') is True, 'destroy hasty')

    # A pipe that nobody reads is no file of ours to fill: it is there, hence refused.
    os.mkfifo(machine.path('fifo'))
    make('cored', 'echo')
    answer = client.call('domain.dump-core', domain='cored', file=machine.path('fifo'))
    verdict.check(answer.get('error', {}).get('code') == 1, f'dump-core into a fifo: {answer}')
    # Writing one does not hold up what is asked behind it.
    client.send(b''.join(json.dumps({'jsonrpc': '2.0', 'id': n, 'method': method, 'params': params}).encode() + b'\n'
                         for n, method, params in (
                             (1, 'domain.dump-core', {'domain': 'cored', 'file': machine.path('c')}),
                             (2, 'domain.dump-core', {'domain': 'cored', 'file': machine.path('d')}),
                             (3, 'domain.list', {}))))
    answers = [client.message() for _ in range(3)]
    verdict.check([a['id'] for a in answers] == [2, 3, 1], f'a core file, and a list behind it: {answers}')
    verdict.check(answers[0]['error']['code'] == 3 and answers[2].get('result') is True, f'two core files: {answers}')
    verdict.check(answers[1]['result'][0]['state'] == 'paused', f'while its core file is written: {answers[1]}')
    verdict.check(client.call('domain.list')['result'][0]['state'] != 'paused', 'paused after its core file')
    verdict.check(client.call('domain.destroy', domain='cored').get('result') is True, 'destroy after it')
    for c in (client, watcher):
        c.close()


def noise(verdict, machine):
    """Random bytes, and good messages with random damage."""
    rng = random.Random(4)
    sample = json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'domain.create', 'params': {
        'name': 'noise', 'kernel': '/nowhere', 'memory': 16, 'on_crash': 'restart'}}).encode()
    for turn in range(300):
        data = bytearray(rng.randbytes(rng.randrange(400)) if turn % 3 == 0 else sample)
        for _ in range(rng.randrange(4)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        client = served.Client(machine)
        client.send(bytes(data) + b'\n' + GOOD)
        if turn % 2:
            client.message()
        client.close()
    verdict.check(machine.verb('info').returncode == 0, 'after noise: no answer')
    # Some of it was near enough to a domain whose kernel is then looked for.
    deadline = time.monotonic() + 20
    while machine.states() and time.monotonic() < deadline:
        time.sleep(0.1)
    verdict.check(machine.states() == {}, f'after noise: {machine.states()}')


def who(verdict, machine):
    """The socket is the owner's alone; somebody else is turned away even where he can reach it."""
    verdict.check(stat.S_IMODE(os.stat(machine.socket).st_mode) == 0o600, 'the socket is not private')
    if os.geteuid() == 0:
        os.chmod(machine.top.name, 0o755)
        os.chmod(machine.socket, 0o666)
        done = subprocess.run(['python3', '-c', 'import socket, sys; s = socket.socket(socket.AF_UNIX); '
                               's.connect(sys.argv[1]); print(s.recv(1000))', machine.socket],
                              capture_output=True, check=False, user=65534, group=65534, extra_groups=[])
        verb = machine.verb('list', user=65534, group=65534, extra_groups=[])
        verdict.check('another user' in ''.join(verb.lines), f'the verb of another user: {verb.lines}')
        os.chmod(machine.socket, 0o600)
        verdict.check(b'another user' in done.stdout, f'another user: {done.stdout} {done.stderr}')
    second = subprocess.run([boot.xenopus(), 'serve', '--socket', machine.socket, '-m', '64'],
                            capture_output=True, timeout=30, check=False)
    verdict.check(second.returncode == 1 and b'another machine' in second.stderr, f'a second machine: {second}')
    verdict.check(machine.verb('info').returncode == 0, 'after a second machine: no answer')


def main():
    boot.require_kvm()
    verdict = boot.Verdict()
    with served.Machine() as machine:
        rubbish(verdict, machine)
        too_much(verdict, machine)
        who(verdict, machine)
        noise(verdict, machine)
        crowd(verdict, machine)
        deaf_listener(verdict, machine)
        dead_domains(verdict, machine)
        gone(verdict, machine)
        shrinking(verdict, machine)
        hanging(verdict, machine)
        fds = len(os.listdir(f'/proc/{machine.process.pid}/fd'))
        verdict.check(fds < 40, f'{fds} files are open in the end')
        verdict.check(machine.end() == 0, 'the machine did not end well')
        verdict.check(not os.path.exists(machine.socket), 'the socket is still there')
    verdict.finish()


if __name__ == '__main__':
    main()
