#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random requests against a model of what the machine must answer.

The model knows which domains there are and whether each is paused; every answer, and every few requests the whole list
and the audit, are compared with it. XENOPUS_MODEL_SECONDS (20) says how long, XENOPUS_MODEL_SEED which requests: if it is
not given others each time, and the seed is printed.
"""

import json
import os
import random
import time

import served
from served import boot

NAMES = [f'n{i}' for i in range(6)]
NO_DOMAIN, EXISTS = 2, 4
LAST_ID = 0x7fef  # DOMID_FIRST_RESERVED - 1


class Model:
    """Domains by name; each has an id, whether it is paused, and its settings."""

    def __init__(self, machine, verdict, seed):
        self.core = machine.path('core')
        self.machine = machine
        self.client = served.Client(machine)
        self.verdict = verdict
        self.rng = random.Random(seed)
        self.domains = {}
        self.last_id = 0
        self.requests = 0

    def ask(self, method, want, **params):
        """@want: an error code, or None for success."""
        answer = self.client.call(method, **params)
        self.requests += 1
        code = answer.get('error', {}).get('code')
        self.verdict.check(code == want, f'{method} {params}: {answer}, not {want}')
        return answer.get('result')

    def some(self):
        """A name of the pool, what is known of it, and a way to say it: by name or id."""
        name = self.rng.choice(NAMES)
        known = self.domains.get(name)
        return name, known, known['id'] if known and self.rng.random() < 0.5 else name

    def create(self):
        name, known, _ = self.some()
        paused, vcpus = self.rng.random() < 0.3, self.rng.randrange(1, 4)
        result = self.ask('domain.create', EXISTS if known else None, name=name, kernel=served.WORKER, memory=8,
                          maxmem=16, vcpus=1, maxvcpus=vcpus, paused=paused, cmdline='echo')
        if result:
            self.check_id(result['id'])
            self.domains[name] = {'id': result['id'], 'paused': paused, 'maxvcpus': vcpus, 'weight': 256,
                                  'target': 8 << 10, 'max': 16 << 10}

    def check_id(self, new):
        """Numbers go up, and begin again behind the last one there is; none is in use twice."""
        taken = [d['id'] for d in self.domains.values()]
        again = self.last_id + 64 > LAST_ID
        self.verdict.check(new not in taken and (new > self.last_id or again), f'id {new} after {self.last_id}')
        self.last_id = new

    def pause(self, value):
        _, known, say = self.some()
        self.ask('domain.pause' if value else 'domain.unpause', None if known else NO_DOMAIN, domain=say)
        if known:
            known['paused'] = value

    def destroy(self):
        name, known, say = self.some()
        self.ask('domain.destroy', None if known else NO_DOMAIN, domain=say)
        self.domains.pop(name, None)

    def rename(self):
        name, known, say = self.some()
        new = self.rng.choice(NAMES)
        want = NO_DOMAIN if not known else EXISTS if new != name and new in self.domains else None
        self.ask('domain.rename', want, domain=say, name=new)
        if want is None:
            self.domains[new] = self.domains.pop(name)

    def memory(self):
        _, known, say = self.some()
        kib = self.rng.choice([4 << 10, 8 << 10, 16 << 10, 24 << 10])
        want = NO_DOMAIN if not known else 1 if kib > known['max'] else None
        self.ask('domain.set-memory', want, domain=say, kib=kib)
        if want is None:
            known['target'] = kib

    def max_memory(self):
        _, known, say = self.some()
        kib = self.rng.choice([8 << 10, 16 << 10, 32 << 10])
        self.ask('domain.set-max-memory', None if known else NO_DOMAIN, domain=say, kib=kib)
        if known:
            known['max'] = kib

    def vcpus(self):
        _, known, say = self.some()
        n = self.rng.randrange(1, 5)
        want = NO_DOMAIN if not known else 1 if n > known['maxvcpus'] else None
        self.ask('domain.set-vcpus', want, domain=say, vcpus=n)

    def schedule(self):
        _, known, say = self.some()
        weight = self.rng.randrange(1, 1000)
        self.ask('domain.set-scheduling', None if known else NO_DOMAIN, domain=say, weight=weight,
                 cap=self.rng.randrange(0, 200))
        self.ask('domain.pin', None if known else NO_DOMAIN, domain=say, cpus=self.rng.choice(['0', '1', 'all', '0-1']))
        if known:
            known['weight'] = weight

    def wishes(self):
        _, known, say = self.some()
        self.ask('domain.sysrq', None if known else NO_DOMAIN, domain=say, key='h')
        self.ask('domain.shutdown', None if known else NO_DOMAIN, domain=say)

    def interrupt(self):
        _, known, say = self.some()
        # These guests start the first virtual CPU only, and an NMI there would be their end.
        self.ask('domain.trigger', 1 if known else NO_DOMAIN, domain=say, trigger='nmi', vcpu=self.rng.randrange(1, 4))

    def dump_core(self):
        """Also while it is paused, unpaused or destroyed by somebody else, which shows in the answer only."""
        name, known, say = self.some()
        if not known or self.rng.random() < 0.5:
            self.ask('domain.dump-core', None if known else NO_DOMAIN, domain=say, file=self.core)
            if known:
                os.unlink(self.core)
            return
        other = served.Client(self.machine)
        other.send(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'domain.dump-core',
                               'params': {'domain': say, 'file': self.core}}).encode() + b'\n')
        what = self.rng.choice(['domain.pause', 'domain.unpause', 'domain.destroy'])
        self.ask(what, None, domain=say)
        answer = other.message()
        other.close()
        if what == 'domain.destroy':
            self.domains.pop(name)
        else:
            known['paused'] = what == 'domain.pause'
        written = 'result' in answer
        self.verdict.check(written or what == 'domain.destroy', f'dump-core beside {what}: {answer}')
        self.verdict.check(os.path.exists(self.core) == written, f'dump-core beside {what}: a file, {answer}')
        if written:
            os.unlink(self.core)

    def look(self):
        _, known, say = self.some()
        vcpus = self.ask('domain.vcpus', None if known else NO_DOMAIN, domain=say)
        if known:
            self.verdict.check(len(vcpus) == known['maxvcpus'], f'vcpus of {say}: {vcpus}')
        self.ask('domain.list', None if known else NO_DOMAIN, domain=say)
        self.ask('machine.log', None)

    def compare(self):
        told = {d['name']: d for d in self.ask('domain.list', None)}
        self.verdict.check(told.keys() == self.domains.keys(), f'{sorted(told)} are there, not {sorted(self.domains)}')
        weights = {s['name']: s['weight'] for s in self.ask('domain.scheduling', None)}
        for name, known in self.domains.items():
            d = told.get(name, {})
            seen = (d.get('id'), d.get('state') == 'paused', d.get('maxvcpus'), d.get('target_kib'), d.get('maxmem_kib'),
                    weights.get(name))
            want = (known['id'], known['paused'], known['maxvcpus'], known['target'], known['max'], known['weight'])
            self.verdict.check(seen == want, f'{name}: {seen}, not {want}')
        self.verdict.check('frame table audit: 0 violations' in self.ask('machine.debug-keys', None, keys='A'), 'audit')


def main():
    boot.require_kvm()
    verdict = boot.Verdict()
    seed = int(os.environ.get('XENOPUS_MODEL_SEED', random.randrange(1 << 32)))
    print(f'seed {seed}', flush=True)
    with served.Machine(memory=128, options=['--pcpus', '2']) as machine:
        model = Model(machine, verdict, seed)
        steps = [model.create] * 4 + [lambda: model.pause(True), lambda: model.pause(False)] * 2 + \
            [model.destroy] * 2 + [model.rename, model.memory, model.max_memory, model.vcpus, model.schedule, model.wishes,
                                  model.interrupt, model.dump_core, model.look]
        end = time.monotonic() + float(os.environ.get('XENOPUS_MODEL_SECONDS', '20'))
        while time.monotonic() < end and not verdict.failed:
            for _ in range(25):
                model.rng.choice(steps)()
            model.compare()
        print(f'seed {seed}: {model.requests} requests, the last domain is {model.last_id}')
        verdict.check(machine.end() == 0, 'the machine did not end well')
    verdict.finish()


if __name__ == '__main__':
    main()
