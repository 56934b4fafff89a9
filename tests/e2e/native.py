# SPDX-License-Identifier: MIT
"""A host with a native daemon, guests and clients in all sorts of states, and somebody in
xsproxyd's place who is given it (link/start.h, link/conns.h).

    with Native("C") as native, native.live_update() as talk:
        gift = given(talk)
        talk.send(RETREAT)
        native.assert_goes_on()
"""

import collections
import os
import pathlib
import socket
import struct

import xensim
import xsclient
from harness import Host
from relay import wait_until
from starting import (CONNS, GIVE, LISTENER, LIVE_UPDATE, MSG, NATIVE, SOCKETS, STATE, Conductor)
from xsclient import CONTROL, HEADER, READ, join

RECORD = struct.Struct("<IIIIQIIIIIIII")
RING, SOCKET = range(2)
NO_TARGET = 2**32 - 1
BIG = b"B" * 2000
LAZY = 300  # replies: more than a socket's buffer holds
FULL = 4  # likewise of a ring
PATH = "/run/xenstored/socket"

Conn = collections.namedtuple("Conn", "port gfn target taken rest owed watches")
Gift = collections.namedtuple("Gift", "state rings clients sockets listener")


def records(octets):
    """(kind, number, Conn) of each."""
    at = 0
    while at < len(octets):
        (size, kind, number, port, gfn, local, target, in_len, out_len, rest, watches_len,
         watches, reserved) = RECORD.unpack_from(octets, at)
        assert (local, reserved) == (0, 0)  # of no use to xsproxyd
        body = octets[at + RECORD.size:at + size]
        words = body[in_len + out_len:in_len + out_len + watches_len].split(b"\0")[:-1]
        assert len(words) == 3 * watches
        assert size % 8 == 0 and not any(body[in_len + out_len + watches_len:])
        yield kind, number, Conn(
            port, gfn, target, body[:in_len], rest, body[in_len:in_len + out_len],
            [tuple(map(bytes.decode, words[i:i + 3])) for i in range(0, len(words), 3)])
        at += size


def receive(talk, type_):
    """(message, descriptors)"""
    octets, fds, _, _ = socket.recv_fds(talk.sock, 64, 4)
    message = MSG.unpack(octets)
    assert message[0] == type_, message
    return message, fds


def content(fd):
    with open(fd, "rb") as file:
        return os.pread(fd, os.fstat(file.fileno()).st_size, 0)


def given(talk):
    """All that a native daemon had."""
    talk.send(GIVE)
    (_, _, age, value), fds = receive(talk, STATE)
    assert not value and age < xsclient.TIMEOUT
    state, = map(content, fds)
    (_, _, _, number), fds = receive(talk, CONNS)
    found = list(records(*map(content, fds)))
    sockets = []
    while len(sockets) < number:
        _, fds = receive(talk, SOCKETS)
        assert len(fds) == 3 or len(sockets) + len(fds) == number
        sockets += [socket.socket(fileno=fd) for fd in fds]
    _, (listener,) = receive(talk, LISTENER)
    clients = {number: conn for kind, number, conn in found if kind == SOCKET}
    assert sorted(clients) == list(range(number))
    rings = {number: conn for kind, number, conn in found if kind == RING}
    assert len(rings) + len(clients) == len(found)
    return Gift(state, rings, clients, sockets, socket.socket(fileno=listener))


def with_token(gift, token):
    """(Conn, its socket) of the client that has a watch with that token."""
    (number, conn), = [(number, conn) for number, conn in gift.clients.items()
                       if [watch for watch in conn.watches if watch[1] == token]]
    return conn, gift.sockets[number]


class Native(xsclient.Closing):
    """The host. What only the C daemon hands over there is only with that."""

    def __init__(self, flavour, preloads=()):
        self.flavour = flavour
        self.host = Host(flavour, proxied=False, start=False)
        self.sim, self.dir = self.host.sim, self.host.run_dir
        self.binary = self.sim.daemon_argv(flavour)[0]
        self.native = self.dir / "native"
        self.native.symlink_to(self.binary)
        self.conductor = Conductor(self.dir)
        self.daemon = self.host.daemon = self.sim.start_daemon(
            flavour, preloads=preloads, env={"XSPROXY_DIR": self.dir}, socket=None)
        if flavour == "O":
            self.sim.nudge = xensim.NUDGE
        try:
            self._fill()
        except BaseException:
            self.close()
            raise

    def close(self):
        self.host.dump()
        self.conductor.close()
        self.host.close()

    def _fill(self):
        host, dom0 = self.host, self.host.dom0
        dom0.write("/big", BIG)
        self.guests = {domid: host.add_guest(domid) for domid in (7, 8, 9)}
        dom0.write("/local/domain/7/store/ring-ref", self.sim.list()[7]["gfn"])
        dom0.write("/local/domain/8/store/ring-ref", "no number")
        self.guests[0] = host.guest(0)
        for domid, (path, token) in self.watched().items():
            self.guests[domid].watch(path, token)
            self.guests[domid].wait_watch()
        self.idle = host.client()
        self.idle.watch("/local/domain/8", "idle")
        self.idle.wait_event()
        self.two = host.client()
        for token in "two", "three":
            self.two.watch("/two", token)
            self.two.wait_event()
        self.owes = self.flavour == "C"
        if self.owes:
            self._fill_more()

    def _fill_more(self):
        host = self.host
        host.dom0.set_target(8, 7)
        self.half = host.client()
        self.half.watch("/half", "half")
        self.half.wait_event()
        self.request = HEADER.pack(READ, 77, 0, 5) + b"/big\0"
        self.half.send_raw(self.request[:18])
        self.lazy = host.client()
        self.lazy.watch("/lazy", "lazy")
        self.lazy.wait_event()
        self.lazy_ids = [self.lazy.send(READ, join("/big")) for _ in range(LAZY)]
        host.dom0.write("/local/domain/9/big", BIG)
        self.guests[7].push(self.request[:9])
        self.guests[7].notify()
        self.full_ids = [self.guests[9].send(READ, join("big")) for _ in range(FULL)]
        wait_until(lambda: self.guests[7].req_cons == self.guests[7].req_prod)
        wait_until(lambda: self.guests[9].req_cons == self.guests[9].req_prod)
        host.dom0.read("/big")  # and looked at all that was sent before

    @staticmethod
    def watched():
        return {0: ("/local/domain/0/backend", "be"), 7: ("data", "t7"),
                9: ("@introduceDomain", "t9")}

    # What the daemon has executed.

    def ask(self):
        """The daemon writes its state and executes live-update."""
        client = self.host.client()
        assert client.control("live-update", "-f", str(LIVE_UPDATE)) in ("OK", b"OK")
        client.send(CONTROL, join("live-update", "-s"))
        return client

    def live_update(self):
        self.ask()
        return self.conductor.accept(NATIVE)

    def conduct(self):
        """Another xsproxyd."""
        self.conductor.close()
        self.conductor = Conductor(self.dir)
        return self.conductor

    def proc(self, name):
        return pathlib.Path(f"/proc/{self.daemon.pid}/{name}")

    def program(self):
        return os.readlink(self.proc("exe"))

    def is_back(self):
        return self.program() == os.path.realpath(self.binary)

    def privileged(self):
        return self.two, self.idle, self.guests[0]

    # Exactly once.

    def assert_goes_on(self):
        """Guests and clients have what they had: what is owed to them comes, and nothing twice."""
        wait_until(self.is_back)
        dom0, guests = self.host.dom0, self.guests
        if self.owes:
            self._assert_owed()
        dom0.write("/two", "again")
        dom0.write("/local/domain/8/again", "")
        dom0.write("/local/domain/7/data/again", "")
        dom0.write("/local/domain/0/backend/again", "")
        for client, want in ((self.two, [("/two", "two"), ("/two", "three")]),
                             (self.idle, [("/local/domain/8/again", "idle")]),
                             (guests[7], [("data/again", "t7")]),
                             (guests[0], [("/local/domain/0/backend/again", "be")]),
                             (guests[8], []), (guests[9], [])):
            # behind all that it has caused
            assert client.read("/big" if client in self.privileged() else "domid")
            assert sorted(client.events) == sorted(want), client
            client.events.clear()
        for domid in 7, 8, 9:
            assert guests[domid].read("domid") == str(domid).encode()
            assert dom0.is_introduced(domid)
        with xsclient.Client(self.host.socket) as new:
            assert new.read("/big") == BIG

    def _assert_owed(self):
        self.guests[7].send_raw(self.request[9:])
        self.half.send_raw(self.request[18:])
        for whose in self.guests[7], self.half:
            reply = whose.recv_reply()
            assert reply.req_id == 77 and reply.type == (
                xsclient.ERROR if whose is self.guests[7] else READ)
        for whose, ids in (self.lazy, self.lazy_ids), (self.guests[9], self.full_ids):
            for req_id in ids:
                reply = whose.recv_reply()
                assert (reply.req_id, reply.payload) == (req_id, BIG)
        self.owes = False
