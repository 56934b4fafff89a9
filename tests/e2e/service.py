# SPDX-License-Identifier: MIT
"""xsproxyd started as systemd would, for the tests of the service."""

import contextlib
import socket
import sys

import xensim
from harness import wait_said

XSPROXYD = xensim.BUILD / "xsproxyd"


class Notify:
    """What systemd hears from the service."""

    def __init__(self, path):
        self.path = path
        self.process = None  # who says it
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.settimeout(xensim.TIMEOUT)

    def close(self):
        self.sock.close()

    def wait(self, word):
        return wait_said(self.process, self.sock, word)


def stuff(address, datagram):
    """Fill the queue of a socket that nobody reads, whatever net.unix.max_dgram_qlen is: one sender
    alone may come to the end of its own first. Return: how many datagrams there are."""
    sent, before = 0, None
    while sent != before:
        before = sent
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender, \
                contextlib.suppress(BlockingIOError):
            while True:
                sender.sendto(datagram, address)
                sent += 1
    return sent


ACTIVATE = ("import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True); "
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
            "os.execv(sys.argv[2], sys.argv[2:])")


@contextlib.contextmanager
def proxy_with(host, argv=(), env=None, **popen):
    """xsproxyd as systemd would start it."""
    path = host.sim.dir / "systemd"
    path.unlink(missing_ok=True)
    if host.keeps and not host.keeper:
        host.start_keeper()
    with contextlib.closing(Notify(path)) as notify:
        host.proxy = host.sim.start(
            "xsproxyd", [*argv, XSPROXYD, "--config", host._config()], ready=False,
            env=dict(env or {}, NOTIFY_SOCKET=path), **popen)
        notify.process = host.proxy
        yield notify


def proxy_on(host, listener):
    """The same with a listening socket that systemd holds."""
    return proxy_with(host, [sys.executable, "-c", ACTIVATE, listener.fileno()],
                      pass_fds=[listener.fileno()])
