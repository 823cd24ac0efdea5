# SPDX-License-Identifier: MIT
"""What the tests of `xenopus serve` share: a served machine, its verbs, its protocol spoken by hand.

XENOPUS is the binary, XENOPUS_WORKER the guest that does what its arguments say.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../boot'))
import boot  # noqa: E402

WORKER = os.environ.get('XENOPUS_WORKER', '')


class Place:
    """A directory with a socket's path in it, whether a machine listens there or not."""

    def __init__(self):
        self.top = tempfile.TemporaryDirectory()
        self.socket = self.path('s')

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.top.cleanup()

    def path(self, name):
        return os.path.join(self.top.name, name)

    def verb(self, *words, **how):
        """A finished client: status, standard output, the lines of standard error."""
        how.setdefault('stdin', subprocess.DEVNULL)
        done = subprocess.run([boot.xenopus(), words[0], '--socket', self.socket, *words[1:]],
                              capture_output=True, timeout=60, check=False, **how)
        done.out = done.stdout.decode(errors='replace')
        done.lines = done.stderr.decode(errors='replace').splitlines()
        if done.returncode:
            print(f'{" ".join(words)}: status {done.returncode}: {" | ".join(done.lines)}')
        return done

    def json(self, *words):
        return json.loads(self.verb(*words[:1], '--json', *words[1:]).out)

    def config(self, name, *lines, kernel=WORKER, memory=16, arguments='echo'):
        path = self.path(name + '.cfg')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'name = "{name}"\nkernel = "{kernel}"\nmemory = {memory}\nextra = "{arguments}"\n')
            file.writelines(line + '\n' for line in lines)
        return path


class Machine(Place):
    """A served machine in a directory of its own; ends with the 'with' block."""

    def __init__(self, memory=256, options=()):
        super().__init__()
        self.log = open(self.path('log'), 'w+b')
        self.process = subprocess.Popen([boot.xenopus(), 'serve', '--socket', self.socket, '-m', str(memory),
                                         '--grace', '1', *options],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def __enter__(self):
        deadline = time.monotonic() + 30
        while not os.path.exists(self.socket) and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return self

    def __exit__(self, broken, *unused):
        # One that the test did not end must end well, too: a sanitizer speaks up at the end. After an exception nobody waits.
        if self.process.poll() is None and not broken:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.end()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        print(self.log_text(), end='')
        self.log.close()
        super().__exit__()
        if not broken and self.process.returncode != 0:
            raise AssertionError(f'the machine ended with status {self.process.returncode}')

    def log_text(self):
        with open(self.path('log'), encoding='utf-8', errors='replace') as file:
            return ''.join(f'machine: {line}' for line in file)

    def create(self, name, *lines, **how):
        return self.verb('create', self.config(name, *lines, **how))

    def states(self):
        return {d['name']: d['state'] for d in self.json('list')}

    def wait_state(self, name, state, seconds=20):
        """Until the domain is in this state; None: gone."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.states().get(name) == state:
                return True
            time.sleep(0.1)
        print(f'{name} did not become {state}: {self.states()}')
        return False

    def end(self, seconds=30):
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


class Client:
    """The protocol by hand."""

    def __init__(self, machine):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(machine.socket)
        self.socket.settimeout(20)
        self.rest = b''

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def message(self):
        """The next one; None at the end."""
        while b'\n' not in self.rest:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b''
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b'\n', 1)
        return json.loads(line)

    def call(self, method, **params):
        self.send(json.dumps({'jsonrpc': '2.0', 'id': 7, 'method': method, 'params': params}).encode() + b'\n')
        return self.message()

    def close(self):
        self.socket.close()
