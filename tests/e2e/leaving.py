# SPDX-License-Identifier: MIT
"""What an xsproxyd has that leaves, without one: event channels bound in one handle, the socket
that clients connect to, and the connections of both as link/conns.h puts them.

    with Leaver(bed) as leaver:
        leaver.bind(7)
        client = leaver.client()
        with bed.live_update() as talk:
            leaver.leave(talk, talk.wanted(), daemon)
"""

import collections
import os
import socket
import struct
import subprocess
import sys

import xensim
import xsclient
from bridge_bed import TIMEOUT
from starting import FAILED, memory

SOCKETS, LISTENER, _, _, LEAVE = range(136, 141)
RING, SOCKET, DAEMON = range(3)
NO_TARGET = 0xffffffff
RECORD = struct.Struct("<IIIIQIIIIIIII")
FDS_MAX = 3  # in a message

# Holds the event channels, as only a process of the machine can: a word a line, an answer a line.
HOLDER = """
import ctypes, os, select, socket, sys
xen = ctypes.CDLL(None, use_errno=True)
xen.xenevtchn_open.restype = ctypes.c_void_p
handle = ctypes.c_void_p(xen.xenevtchn_open(None, 0))
fd = xen.xenevtchn_fd(handle)
os.set_blocking(fd, False)
for line in sys.stdin:
    word, *numbers = line.split()
    numbers = [int(number) for number in numbers]
    if word == "bind":
        answer = xen.xenevtchn_bind_interdomain(handle, *numbers)
    elif word == "bind-virq":
        answer = virq = xen.xenevtchn_bind_virq(handle, 3)
    elif word == "unbind-virq":
        answer = xen.xenevtchn_unbind(handle, virq)
    elif word == "drain":
        answer = 0
        while select.select([fd], [], [], 0)[0]:
            port = xen.xenevtchn_pending(handle)
            xen.xenevtchn_unmask(handle, port)
            answer += 1
    else:
        socket.send_fds(socket.socket(fileno=os.dup(int(sys.argv[1]))), [b"x"], [fd])
        answer = 0
    print(answer, flush=True)
"""

Has = collections.namedtuple("Has", "inward outward rest watches")
NOTHING = Has(b"", b"", 0, ())


def has(inward=b"", outward=b"", rest=0, watches=()):
    """What a connection goes on with. @watches: (path, token) each"""
    return Has(inward, outward, rest, watches)


def record(kind, number, has=NOTHING, port=0, gfn=0, local=0, target=NO_TARGET):
    """One of link/conns.h."""
    watches = b"".join(xsclient.join(*watch, "") for watch in has.watches)
    octets = has.inward + has.outward + watches
    size = RECORD.size + len(octets)
    return RECORD.pack(size + -size % 8, kind, number, port, gfn, local, target, len(has.inward),
                       len(has.outward), has.rest, len(watches), len(has.watches), 0
                       ) + octets + b"\0" * (-size % 8)


class Leaver(xsclient.Closing):
    """@bed: of starting.py; its domains have been introduced."""

    def __init__(self, bed):
        self.bed = bed
        self.rings = {0: xensim.Domain(int((bed.sim.dir / "xsd_port").read_text()), 0)}
        self.ports = {}
        self.sockets = []
        self.ours, theirs = socket.socketpair()
        with theirs:
            self.holder = subprocess.Popen(
                [sys.executable, "-S", "-c", HOLDER, str(theirs.fileno())], text=True,
                env=bed.sim.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                pass_fds=[theirs.fileno()])
        path = bed.sim.path(xensim.SOCKET)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.setblocking(False)

    def close(self):
        """No copy of anything is here any more."""
        for sock in (self.ours, self.listener, *self.sockets):
            sock.close()
        if self.holder:
            self.holder.stdin.close()
            assert self.holder.wait(TIMEOUT) == 0
            self.holder.stdout.close()
            self.holder = None

    def ask(self, word, *numbers):
        print(word, *numbers, file=self.holder.stdin, flush=True)
        return int(self.holder.stdout.readline())

    def bind(self, *domids):
        """Bind their event channels, and take what is pending by that."""
        self.rings |= self.bed.domains
        for domid in domids:
            self.ports[domid] = self.ask("bind", domid, self.rings[domid].port)
            assert self.ports[domid] > 0
        self.drain()

    def drain(self):
        """Take all events: nobody will have another one for what has come."""
        return self.ask("drain")

    def virq_is_free(self):
        """Whether VIRQ_DOM_EXC may be bound by a daemon."""
        return self.ask("bind-virq") > 0 and self.ask("unbind-virq") == 0

    def client(self):
        """A client whose connection was accepted."""
        client = xsclient.Client(self.bed.sim.path(xensim.SOCKET), timeout=TIMEOUT)
        self.sockets.append(self.listener.accept()[0])
        self.sockets[-1].setblocking(False)
        return client

    def conns(self, daemon, rings, sockets):
        """@rings, @sockets: {domid, or which it is: Has} of those that have something"""
        octets = [record(DAEMON, 0, has(str(daemon).encode()))] if daemon else []
        for domid, local in self.ports.items():
            octets.append(record(RING, domid, rings.get(domid, NOTHING), self.rings[domid].port,
                                 self.rings[domid].gfn, local))
        for number in range(len(self.sockets)):
            octets.append(record(SOCKET, number, sockets.get(number, NOTHING)))
        return b"".join(octets)

    def tell(self, talk, state, conns, missing=0):
        """LEAVE, and all that comes with it but the listening socket. @missing: how many sockets
        do not, although it says so"""
        self.ask("give")
        evtchn = socket.recv_fds(self.ours, 1, 1)[1][0]
        fds = [memory(state), memory(conns), evtchn]
        talk.send(LEAVE, *fds, value=len(self.sockets))
        for fd in fds:
            os.close(fd)
        self.give(talk, self.sockets[missing:])

    @staticmethod
    def give(talk, sockets):
        for at in range(0, len(sockets), FDS_MAX):
            talk.send(SOCKETS, *(sock.fileno() for sock in sockets[at:at + FDS_MAX]))

    def leave(self, talk, state, daemon, rings={}, sockets={}):
        """All of it. Returns None once the program has become the daemon; else as talk.failed()"""
        self.tell(talk, state, self.conns(daemon, rings, sockets))
        talk.send(LISTENER, self.listener.fileno())
        said = talk.recv()
        if not said:
            self.close()
            return None
        assert said.type == FAILED and said.value < 0, said
        return -said.value, talk.octets.decode()
