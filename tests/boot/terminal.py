# SPDX-License-Identifier: MIT
"""A pseudo-terminal with xenopus on it."""

import os
import pty
import select
import signal
import sys
import termios
import time


class Terminal:
    """xenopus on a pseudo-terminal, with what it printed so far."""

    def __init__(self, words):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.output = ''
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            for fd in (0, 1, 2):
                os.dup2(self.slave, fd)
            # The first terminal that a session leader opens is its controlling terminal.
            os.close(os.open(os.ttyname(self.slave), os.O_RDWR))
            os.closerange(3, 100)
            # A shell's background job starts with this one ignored, and it would stay so.
            signal.signal(signal.SIGQUIT, signal.SIG_DFL)
            os.execv(words[0], words)

    def expect(self, text, seconds=200):
        """Wait for text behind all that was expected before; True if it came."""
        deadline = time.monotonic() + seconds
        while text not in self.output:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                print(f"FAIL '{text}' did not come; the last output was: {self.output[-300:]!r}")
                return False
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return False
            sys.stdout.write(data.decode(errors='replace'))
            sys.stdout.flush()
            self.output += data.decode(errors='replace')
        self.output = self.output.split(text, 1)[1]
        return True

    def send(self, text):
        """Type; reads meanwhile, because a terminal that nobody reads stops to take input."""
        data = text.encode()
        os.set_blocking(self.master, False)
        while data:
            readable, writable, _ = select.select([self.master], [self.master], [], 10)
            if readable:
                self.output += os.read(self.master, 65536).decode(errors='replace')
            elif writable:
                data = data[os.write(self.master, data):]
            else:
                break
        os.set_blocking(self.master, True)

    def wait(self, seconds=30):
        """The wait status, or None if it does not end; reads on, so that it cannot block."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return status
            if select.select([self.master], [], [], 0.05)[0]:
                self.output += os.read(self.master, 65536).decode(errors='replace')
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None

    def modes_restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def modes_raw(self):
        """Neither echo nor line editing nor signals from keys: all that is the guest's."""
        flags = termios.tcgetattr(self.slave)[3]
        return not flags & (termios.ECHO | termios.ICANON | termios.ISIG)
