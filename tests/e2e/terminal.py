# SPDX-License-Identifier: MIT
"""A program on a terminal of its own: what it shows, keys for it, and the terminal's size."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pyte

import xensim
import xsclient

ENTER, ESCAPE = "\r", "\x1b"
UP, DOWN = "\x1bOA", "\x1bOB"
PAGE_DOWN = "\x1b[6~"


class Terminal:
    """@argv on a pseudo terminal; wait() reads until the screen is as a test wants it."""

    def __init__(self, argv, rows=24, columns=80, **env):
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.seen = ""  # all that was written
        self._master, slave = pty.openpty()
        self._slave = slave
        self._modes = termios.tcgetattr(slave)
        self._set_size(rows, columns)
        base = {name: value for name, value in os.environ.items()
                if name not in ("LINES", "COLUMNS")}
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**base, "TERM": "xterm", "LC_ALL": "C.UTF-8", **env})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._slave)
        os.close(self._master)

    def _set_size(self, rows, columns):
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        """As the window of a terminal does: the kernel tells the program."""
        self.screen.resize(rows, columns)
        self._set_size(rows, columns)

    def press(self, keys):
        os.write(self._master, keys.encode())

    def lines(self):
        """The screen's lines without what is blank at their ends."""
        return [line.rstrip() for line in self.screen.display]

    def reversed_line(self):
        """The last line that is shown in reverse: what is chosen."""
        found = [y for y in range(self.screen.lines) if self.screen.buffer[y][0].reverse]
        return self.lines()[found[-1]] if found else ""

    def _read(self, seconds):
        if select.select([self._master], [], [], seconds)[0]:
            octets = os.read(self._master, 65536)
            self.seen += octets.decode(errors="replace")
            self._stream.feed(octets)

    def wait(self, what, why=""):
        """Read until what(lines) holds; the lines. They may be half drawn: what() asks for all."""
        deadline = time.monotonic() + xensim.TIMEOUT
        while not what(self.lines()):
            if time.monotonic() > deadline:
                raise xsclient.Timeout(f"{why} never shown; shown is:\n" + "\n".join(self.lines()))
            self._read(0.2)
        return self.lines()

    def wait_text(self, text):
        return self.wait(lambda lines: any(text in line for line in lines), repr(text))

    def wait_end(self):
        """The exit status. What it still writes is read: it must not wait for us."""
        deadline = time.monotonic() + xensim.TIMEOUT
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise xsclient.Timeout("it does not end; shown is:\n" + "\n".join(self.lines()))
            self._read(0.05)
        while select.select([self._master], [], [], 0)[0]:
            self._read(0)
        return self.process.returncode

    def is_restored(self):
        """Whether the terminal's modes are those from before."""
        return termios.tcgetattr(self._slave) == self._modes

    def signal(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
