# SPDX-License-Identifier: MIT
"""A program that waits before it becomes another one, so that others can be stopped at a stage."""

import os


class Gate:
    """A program that waits for open() before it becomes another one."""

    def __init__(self, directory, name, program):
        directory.mkdir()
        self.path = directory / name
        self.fifo = directory / "gate"
        os.mkfifo(self.fifo)
        self.path.write_text(f'#!/bin/sh\ncase "$*" in *--help*) exec {program} "$@" ;; esac\n'
                             f'read -r line <{self.fifo}\nexec {program} "$@"\n')
        self.path.chmod(0o755)

    def open(self):
        """Whoever waits, or comes later."""
        fd = os.open(self.fifo, os.O_RDWR)
        os.write(fd, b"go\n" * 100)
        self._fd = fd
