# SPDX-License-Identifier: MIT
"""Tracking is exact: after any sequence of requests the tracked watches and transactions are those
of the daemon.

A random sequence (seed.py says which; XSPROXY_ROUNDS how long) runs on several guests, dom0's
ring and a toolstack socket, direct and proxied. Both times the daemon must give the very same
replies. What it knows is found out by asking it: of all watches that the sequence can have set an
UNWATCH is tried where there should be none, a WATCH (EEXIST) or an UNWATCH where there should be
one, and a READ in every transaction that was ever open. GET_DOMAIN_WATCHES and
GET_DOMAIN_TRANSACTIONS must say the same.
"""

import collections
import os
import random

import pytest

from ours import (add_watches, error_of, quiesce, running, said, tracked_transactions,
                  tracked_watches, unquiesce)
from relay import FLAVOURS, destroy, introduce
from seed import SEED
from versions import EXPECT
from xensim import home
from xsclient import (ERROR, READ, RESET_WATCHES, TRANSACTION_END, TRANSACTION_START, UNWATCH,
                      WATCH, WRITE, join)

ROUNDS = int(os.environ.get("XSPROXY_ROUNDS", 60))
GUESTS = (7, 8, 9)
WINDOW = 8  # requests under way at once: their replies and first events fit a ring

TOKENS = ("t", "T", "", "token with blanks", "\x01\x7f", "0123456789" * 4)
SUFFIXES = ("data", "data/a", "data/a/b", "device", "Data", "nowhere/at/all", "domid", "name",
            "control/shutdown", "@x", "error", "attr")
ABSOLUTE = ("/", "/local", "/local/domain", "/tool", "/none", "@introduceDomain", "@releaseDomain",
            "@nothing", "/local/domain/7/data", "/local/domain/8/data", "/local/domain/0/data")
BAD_PATHS = ("", "/data/", "data/", "//", "data//a", "data a", "data.a", "d\xe4ta", "/data?",
             "x" * 3000)
MALFORMED = (b"data", b"data\0", b"data\0t", b"\0", b"data\0t\0depth\0", b"data\0t\0001\0x\0",
             b"data\0t\0junk", b"@releaseDomain\0", b"data\0" + b"t" * 3000)
# Exactly what fits: "data", NUL, token, NUL are 4064 octets.
LONGEST = b"data\0" + b"l" * (4064 - 6) + b"\0"

Op = collections.namedtuple("Op", "type payload tx")


class Connection:
    """One connection under test, and what must be true of it according to the replies so far."""

    def __init__(self, name, peer, domid):
        self.name, self.peer, self.domid = name, peer, domid
        self.ring = name != "socket"
        self.limited = domid != 0
        self.home = f"/local/domain/{domid}"
        self.watches = {}  # canonical path and token: path as it was spelled and token, in order
        self.open = set()
        self.last_id = 0
        self.transcript = []
        paths = {f"{self.home}/{suffix}" for suffix in SUFFIXES} | set(ABSOLUTE)
        self.universe = [(path, token) for path in sorted(paths) for token in TOKENS]

    def canonical(self, path):
        return path if path.startswith(("/", "@")) else f"{self.home}/{path}"

    def spell(self, rng, path):
        """A canonical path, relative where possible and chance wants it."""
        if path.startswith(self.home + "/") and rng.random() < 0.6:
            relative = path[len(self.home) + 1:]
            # "@x" would be another path
            return path if relative.startswith("@") else relative
        return path

    def run(self, ops, meanwhile=lambda: None):
        """Send requests, many at once; their replies, in order. Follows what they say. Does
        @meanwhile before it reads the last ones."""
        replies, sent = [], collections.deque()
        for op in ops:
            long = len(op.payload) > 100
            while len(sent) > (0 if long else WINDOW):
                replies.append(self._reply(*sent.popleft()))
            if long:
                self.read_events()
            sent.append((self.peer.send(op.type, op.payload, op.tx), op))
        meanwhile()
        while sent:
            replies.append(self._reply(*sent.popleft()))
        self.peer.events.clear()
        return replies

    def read_events(self):
        """A request larger than the ring is not taken from a guest that does not read."""
        self.peer.request(READ, b"/probe\0")

    def _reply(self, req_id, op):
        msg = self.peer.recv_reply()
        assert msg.req_id == req_id, "replies come in order"
        assert error_of(msg) or msg.type == op.type
        self.transcript.append((self.name, op, msg.type, msg.payload))
        self._follow(op, msg)
        return msg

    def _follow(self, op, msg):
        err = error_of(msg)
        if op.type == TRANSACTION_END and err not in ("EINVAL", "EQUOTA"):
            self.open.discard(op.tx)
        if err:
            return
        if op.type in (WATCH, UNWATCH):
            path, token = op.payload.decode("latin-1").split("\0")[:2]
            key = self.canonical(path), token
            if op.type == WATCH:
                assert key not in self.watches
                self.watches[key] = path, token
            else:
                del self.watches[key]
        elif op.type == RESET_WATCHES:
            self.forget()
        elif op.type == TRANSACTION_START:
            self.last_id = int(msg.payload.rstrip(b"\0"))
            assert self.last_id not in self.open
            self.open.add(self.last_id)

    def forget(self):
        self.watches.clear()
        self.open.clear()


def watch_payload(path, token):
    return path.encode("latin-1") + b"\0" + token.encode("latin-1") + b"\0"


class Sequence:
    """A random sequence on one host. Its choices depend on the seed and on the replies only."""

    def __init__(self, host, seed):
        self.host = host
        self.rng = random.Random(seed)
        self.domains = {}
        self.lister = host.client() if host.proxied else None
        self.connections = []
        for domid in GUESTS:
            guest, self.domains[domid] = introduce(host, domid)
            self.connections.append(Connection(f"d{domid}", guest, domid))
        self.connections.append(Connection("dom0", host.guest(0), 0))
        self.connections.append(Connection("socket", host.client(), 0))
        # A READ of it never says ENOENT, and no transaction conflicts about it.
        for path in ("/local/domain/0/domid", "/probe"):
            host.dom0.write(path, "0")
            host.dom0.set_perms(path, "r0")

    # What a connection may ask.

    def watch(self, conn):
        path, token = self.rng.choice(conn.universe)
        return Op(WATCH, watch_payload(conn.spell(self.rng, path), token), self.any_tx(conn))

    def watch_badly(self, conn):
        type_ = self.rng.choice((WATCH, UNWATCH))
        if self.rng.random() < 0.5:
            return Op(type_, self.rng.choice(MALFORMED), 0)
        return Op(type_, watch_payload(self.rng.choice(BAD_PATHS), "t"), 0)

    def watch_longest(self, conn):
        return Op(self.rng.choice((WATCH, UNWATCH)), LONGEST, 0)

    def unwatch(self, conn):
        """One that is there, more often than not."""
        path, token = self.rng.choice(conn.universe)
        if conn.watches and self.rng.random() < 0.8:
            path, token = self.rng.choice(list(conn.watches))
        return Op(UNWATCH, watch_payload(conn.spell(self.rng, path), token), self.any_tx(conn))

    def reset(self, conn):
        tx = self.rng.choice((0, 0, 0, conn.last_id + 100))
        return Op(RESET_WATCHES, self.rng.choice((b"\0", b"junk")), tx)

    def start(self, conn):
        tx = self.any_tx(conn) if self.rng.random() < 0.2 else 0
        return Op(TRANSACTION_START, self.rng.choice((b"\0", b"\0", b"junk\0")), tx)

    def end(self, conn):
        payload = self.rng.choice((b"T\0", b"T\0", b"F\0", b"F\0", b"T", b"F", b"\0", b"TT\0",
                                   b"T\0F\0", b"t\0"))
        if conn.ring and self.rng.random() < 0.1:
            payload = b""
        return Op(TRANSACTION_END, payload, self.any_tx(conn))

    def node(self, conn):
        tx = self.any_tx(conn)
        # Outside of a transaction the C daemon slows writes down while one is open.
        if tx and self.rng.random() < 0.7:
            payload = self.rng.choice((b"data/a\0value", b"/tool\0mine", b"data/../a\0x"))
            return Op(WRITE, payload, tx)
        # Well-formed ones only: the C daemon of 4.17 aborts at others.
        return Op(READ, join(self.rng.choice(("domid", "nowhere", "data//a"))), tx)

    def any_tx(self, conn):
        """No transaction, an open one, one that was, one that never was (nor will be meanwhile: a
        guest that guesses an id before it gets it finds it unknown)."""
        return self.rng.choice((0, self.open_tx(conn), self.open_tx(conn), self.open_tx(conn),
                                self.rng.randint(0, conn.last_id), conn.last_id + 1000))

    def open_tx(self, conn):
        return self.rng.choice(sorted(conn.open)) if conn.open else 0

    # A burst of it.

    def burst(self, conn):
        choices = {self.watch: 40, self.watch_badly: 8, self.watch_longest: 1, self.unwatch: 25,
                   self.reset: 1, self.start: 12, self.end: 12, self.node: 10}
        makers = self.rng.choices(list(choices), choices.values(), k=self.rng.randint(1, 60))
        if len(conn.open) >= EXPECT[self.host.flavour].tx_limit + 4:
            makers = [maker for maker in makers if maker != self.start]
        conn.run([maker(conn) for maker in makers])

    def fill(self, conn):
        """To the quota, if it has one."""
        keys = self.rng.sample(conn.universe, len(conn.universe))
        conn.run([Op(WATCH, watch_payload(conn.spell(self.rng, path), token), 0)
                  for path, token in keys])
        more = EXPECT[self.host.flavour].tx_limit + 2 - len(conn.open)
        conn.run([Op(TRANSACTION_START, b"\0", 0) for _ in range(more)])

    def quiesced(self, conn):
        """Requests that wait in the page are as good as others."""
        ops = [self.rng.choice((self.watch, self.unwatch, self.start, self.end, self.node))(conn)
               for _ in range(WINDOW)]
        ops = [op for op in ops if len(op.payload) <= 100]
        if self.host.proxied and conn.limited:
            quiesce(self.lister, conn.domid)
            conn.run(ops, lambda: unquiesce(self.lister, conn.domid))
        else:
            conn.run(ops)

    def batch(self, conn):
        """ADD_DOMAIN_WATCHES. Direct, the guest does what it is the same as."""
        if not conn.ring:
            return
        watches = [(conn.spell(self.rng, path), token)
                   for path, token in self.rng.choices(conn.universe, k=self.rng.randint(1, 4))]
        if self.rng.random() < 0.2:
            watches.insert(self.rng.randint(0, len(watches)), ("data//", "t"))
        if self.host.proxied:
            error = add_watches(self.lister, conn.domid, watches)
        else:
            done = [said(conn.peer.watch, *watch) for watch in watches]
            error = next((err for err in done if err), None)
            for watch, err in zip(watches, done):
                if error and not err:
                    conn.peer.unwatch(*watch)
        conn.transcript.append((conn.name, watches, error))
        if not error:
            conn.watches.update((((conn.canonical(watch[0]), watch[1]), watch)
                                 for watch in watches))

    def conflict(self, conn):
        """A transaction that reads and writes what somebody else changes must fail and be gone."""
        msg, = conn.run([Op(TRANSACTION_START, b"\0", 0)])
        if error_of(msg):
            return
        tx = conn.last_id
        conn.run([Op(READ, join(conn.home + "/data"), tx),
                  Op(WRITE, (conn.home + "/data\0mine").encode(), tx)])
        self.host.dom0.write(conn.home + "/data", "theirs")
        conn.run([Op(TRANSACTION_END, b"T\0", tx)])

    def too_long(self, conn):
        """Above 4064 octets: E2BIG, at once. Direct, it would be another daemon state: not done."""
        if self.host.proxied:
            conn.read_events()
            req_id = conn.peer.send(WATCH, LONGEST[:-1] + b"l\0")
            reply = conn.peer.recv_reply()
            assert (reply.req_id, error_of(reply)) == (req_id, "E2BIG")

    def reintroduce(self, conn):
        if not conn.limited:
            return
        domain = self.domains[conn.domid]
        self.host.dom0.introduce(conn.domid, domain.gfn, domain.port)
        if self.host.flavour == "C":
            conn.forget()

    def release(self, conn):
        if not conn.limited:
            return
        if self.host.proxied or self.host.flavour == "C":
            domain = self.domains[conn.domid]
            self.host.dom0.release(conn.domid)
            home(self.host.dom0, conn.domid)
            self.host.dom0.introduce(conn.domid, domain.gfn, domain.port)
        else:
            # RELEASE by oxenstored leaves the port bound, nobody can introduce the domain again.
            conn.peer.close()
            destroy(self.host, conn.domid)
            conn.peer, self.domains[conn.domid] = introduce(self.host, conn.domid)
        conn.forget()
        conn.last_id = 0

    def reconnect(self, conn):
        if not conn.ring:
            return
        if self.host.proxied:
            conn.peer.reconnect()
            conn.peer.events.clear()
        else:
            # The same for upstream. Its reply is not compared.
            conn.peer.request(RESET_WATCHES, b"\0")
        conn.forget()

    def step(self):
        conn = self.rng.choice(self.connections)
        choices = {self.burst: 20, self.fill: 1, self.conflict: 4, self.too_long: 1,
                   self.reintroduce: 2, self.release: 1, self.reconnect: 2, self.quiesced: 4,
                   self.batch: 4}
        self.rng.choices(list(choices), choices.values())[0](conn)
        self.compare(conn)

    # What is true.

    def compare(self, conn):
        if self.host.proxied and conn.ring:
            watches = tracked_watches(self.lister, conn.domid)
            assert watches == list(conn.watches.values())
            assert tracked_transactions(self.lister, conn.domid) == conn.open
        self.probe_watches(conn)
        self.probe_transactions(conn)

    def probe_watches(self, conn):
        absent = [key for key in conn.universe if key not in conn.watches]
        replies = conn.run([Op(UNWATCH, watch_payload(*key), 0) for key in absent])
        assert {error_of(msg) for msg in replies} <= {"ENOENT"}

        present = list(conn.watches.values())
        # At its limit oxenstored does not get to EEXIST.
        full = self.host.flavour == "O" and conn.limited and len(present) >= EXPECT["O"].watch_limit
        if not full:
            replies = conn.run([Op(WATCH, watch_payload(*watch), 0) for watch in present])
            assert {error_of(msg) for msg in replies} <= {"EEXIST"}
        for watch in self.rng.sample(present, min(len(present), 10)):
            again = [Op(UNWATCH, watch_payload(*watch), 0), Op(WATCH, watch_payload(*watch), 0)]
            assert [error_of(msg) for msg in conn.run(again)] == [None, None]

    def probe_transactions(self, conn):
        ids = sorted(conn.open) + [i for i in range(max(1, conn.last_id - 20), conn.last_id + 4)
                                   if i not in conn.open]
        replies = conn.run([Op(READ, join("/probe"), i) for i in ids])
        assert {i for i, msg in zip(ids, replies) if not error_of(msg)} == conn.open
        assert {error_of(msg) for msg in replies} <= {None, EXPECT[self.host.flavour].unknown_tx}

    def finish(self):
        """Everything can be taken back, one by one, and then there is nothing."""
        for conn in self.connections:
            replies = conn.run([Op(TRANSACTION_END, b"F\0", i) for i in sorted(conn.open)] +
                               [Op(UNWATCH, watch_payload(*watch), 0)
                                for watch in list(conn.watches.values())])
            assert not any(error_of(msg) for msg in replies)
            assert not conn.watches and not conn.open
            self.compare(conn)


def play(flavour, proxied, seed):
    with running(flavour, proxied) as host:
        sequence = Sequence(host, seed)
        for step in (sequence.conflict, sequence.fill):
            for conn in sequence.connections:
                step(conn)
                sequence.compare(conn)
        for _ in range(ROUNDS):
            sequence.step()
        sequence.finish()
        return {conn.name: conn.transcript for conn in sequence.connections}


@pytest.mark.parametrize("run", range(2))
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_random(flavour, run):
    seed = SEED + run
    print(f"XSPROXY_SEED={SEED} (run {run})")
    proxied = play(flavour, True, seed)
    direct = play(flavour, False, seed)
    for name, transcript in direct.items():
        for i, pair in enumerate(zip(transcript, proxied[name], strict=True)):
            assert pair[0] == pair[1], f"{name}, message {i}: direct, then proxied"
    # It must have met what it is about.
    seen = {(entry[1].type, entry[3]) for transcript in direct.values()
            for entry in transcript if entry[2] == ERROR}
    wanted = {(WATCH, error.encode() + b"\0")
              for error in ("EINVAL", "EEXIST", EXPECT[flavour].watch_quota)}
    wanted |= {(UNWATCH, b"ENOENT\0"), (TRANSACTION_END, b"EAGAIN\0"),
               (TRANSACTION_END, b"EINVAL\0"), (TRANSACTION_START, b"EBUSY\0"),
               (TRANSACTION_START, EXPECT[flavour].tx_quota.encode() + b"\0")}
    assert wanted <= seen
