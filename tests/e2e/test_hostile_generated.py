# SPDX-License-Identifier: MIT
"""Requests that are odd in every way, of every type, made by odd.py from fixed seeds: whatever
comes of them, xsproxy knows a guest's watches and transactions as xenstored has them, both daemons
live, and another guest works through it.

What xenstored has is found out by asking it: a WATCH of what is tracked must be there already, an
UNWATCH of everything else must find nothing, a READ works in the open transactions only, events
come for the watches that are tracked, and in the end the quotas are as free as they were."""

import pytest

from hostile import OFFENDER, domain, replies, scene
from odd import ONE_STRING, Odd, is_string
from ours import error_of, events_until_now, said, tracked_transactions, tracked_watches
from relay import FLAVOURS, packet, wait_until
from versions import EXPECT
from xsclient import (INTRODUCE, READ, RELEASE, RESET_WATCHES, TRANSACTION_END, TRANSACTION_START,
                      UNWATCH, WATCH, join)
from xensim import home

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

SEEDS = (1, 2, 3)
BURSTS, BURST = 40, 12
PASS = "[guard]\nmalformed = pass\n"


def octets_of(text):
    return text.encode("ascii", "surrogateescape")


def canonical(path, domid=OFFENDER):
    return path if path[:1] in (b"/", b"@") else b"/local/domain/%d/" % domid + path


class Truth:
    """What xenstored has of a guest, against what xsproxy says of it."""

    def __init__(self, host, guest, odd, domid=OFFENDER):
        self.host, self.guest, self.odd, self.domid = host, guest, odd, domid
        self.ids = set()  # transactions that ever were
        host.dom0.write("/probe", "")
        host.dom0.set_perms("/probe", "r0")

    def ask(self, requests):
        """Errors of the replies to (type, payload, tx), in order."""
        octets = b"".join(packet(type_, payload, i, tx)
                          for i, (type_, payload, tx) in enumerate(requests))
        return [error_of(msg) for msg in replies(self.guest, octets, len(requests))]

    def tracked(self):
        return [tuple(map(octets_of, pair)) for pair in tracked_watches(self.host.dom0, self.domid)
                if pair[0]]

    def check(self):
        watches = self.tracked()
        keys = {(canonical(path, self.domid), token) for path, token in watches}
        assert len(keys) == len(watches)
        assert set(self.ask([(WATCH, join(*pair), 0) for pair in watches])) <= {"EEXIST"}
        absent = [pair for pair in self.odd.pairs
                  if (canonical(pair[0], self.domid), pair[1]) not in keys]
        # C daemons from 4.19 on say that a path is none.
        assert set(self.ask([(UNWATCH, join(*pair), 0) for pair in absent])) <= {"ENOENT", "EINVAL"}
        assert self.tracked() == watches
        open_ids = tracked_transactions(self.host.dom0, self.domid)
        assert open_ids <= self.ids
        ids = sorted(self.ids)[-40:]
        errors = self.ask([(READ, b"/probe\0", tx) for tx in ids])
        assert {tx for tx, error in zip(ids, errors) if not error} == open_ids & set(ids)

    def check_events(self):
        """A privileged connection changes a node: whoever watches it is told, nobody else."""
        base = f"/local/domain/{self.domid}"
        said(self.host.dom0.rm, f"{base}/data/a")
        self.host.dom0.write(f"{base}/data", "")
        self.host.dom0.set_perms(f"{base}/data", f"n{self.domid}")
        events_until_now(self.guest)
        self.host.dom0.write(f"{base}/data/a/b", "")
        node = f"{base}/data/a/b".encode()
        # One event for several watches, if it is the same for them; none of the bystander's nodes.
        want = {(node if path[:1] == b"/" else node[len(base) + 1:], token)
                for path, token in self.tracked()
                if (node + b"/").startswith(canonical(path, self.domid).rstrip(b"/") + b"/")}
        got = {tuple(map(octets_of, event)) for event in events_until_now(self.guest)
               if event[0].endswith("data/a/b")}
        assert got == want

    def check_quotas(self, flavour):
        """All that is tracked can be given back, and then there is as much room as at first."""
        errors = self.ask([(UNWATCH, join(*pair), 0) for pair in self.tracked()] +
                          [(TRANSACTION_END, b"F\0", tx)
                           for tx in tracked_transactions(self.host.dom0, self.domid)])
        assert set(errors) <= {None}
        watches, transactions = EXPECT[flavour].watch_limit, EXPECT[flavour].tx_limit
        errors = self.ask([(WATCH, b"data\0%d\0" % i, 0) for i in range(watches + 1)])
        assert errors.count(None) == watches
        errors = self.ask([(TRANSACTION_START, b"\0", 0)] * (transactions + 1))
        assert errors.count(None) == transactions
        assert self.ask([(RESET_WATCHES, b"\0", 0)]) == [None]
        assert not self.tracked() and not tracked_transactions(self.host.dom0, self.domid)


def attack(host, truth, bursts=BURSTS):
    """Bursts of odd requests, and after each the truth. The types that succeeded."""
    worked = set()
    for _ in range(bursts):
        truth.odd.present = truth.tracked()
        octets, types = truth.odd.octets(BURST, tracked_transactions(host.dom0, truth.domid))
        got = replies(truth.guest, octets, BURST)
        assert [msg.req_id for msg in got] == list(range(BURST))
        truth.ids |= {int(msg.payload.rstrip(b"\0")) for msg, type_ in zip(got, types)
                      if msg.type == type_ == TRANSACTION_START}
        worked |= {msg.type for msg, type_ in zip(got, types) if msg.type == type_}
        truth.check()
        # The quotas are for the end.
        if len(truth.tracked()) > 40:
            assert truth.ask([(RESET_WATCHES, b"\0", 0)]) == [None]
    return worked


def would_abort(type_, payload):
    """What ends a daemon that answers it by errno: it is not sent where xsproxy passes it on."""
    return type_ in ONE_STRING and not is_string(payload)


@pytest.mark.parametrize("guard", ["refuse", "pass"])
@pytest.mark.parametrize("seed", SEEDS)
def test_guest(flavour, seed, guard):
    config = PASS if guard == "pass" else ""
    avoid = {"avoid": would_abort} if EXPECT[flavour].by_errno and guard == "pass" else {}
    with scene(flavour, config=config) as host:
        truth = Truth(host, host.add_guest(OFFENDER), Odd(seed, **avoid))
        worked = attack(host, truth)
        assert {WATCH, UNWATCH, TRANSACTION_START, TRANSACTION_END} <= worked
        truth.check_events()
        truth.check_quotas(flavour)
        assert domain(host)["state"] == "running"


@pytest.mark.parametrize("seed", SEEDS)
def test_kernel(flavour, seed):
    """Dom0's ring may do more: INTRODUCE and RELEASE of guests, whose state is looked at then."""
    def avoid(type_, payload):
        """What harms a host natively, too."""
        if type_ in (INTRODUCE, RELEASE):
            return True  # see below
        return would_abort(type_, payload) and EXPECT[flavour].by_errno

    with scene(flavour) as host:
        truth = Truth(host, host.guest(0), Odd(seed, avoid), 0)
        worked = attack(host, truth, BURSTS // 2)
        assert {WATCH, UNWATCH, TRANSACTION_START, TRANSACTION_END} <= worked
        truth.check_events()


NUMBERS = ("7", "007", "0x7", "0X7", "0o7", "0b111", "0u7", "0_7", "7_", "-7", "+7", " 7", "7 ",
           "7x", "4294967303", "18446744073709551623", "")
SHAPES = ("%s|", "%s", "%s|%s|", "%s|tail", "|%s|")


def odd_release(number):
    return [shape.replace("%s", number).replace("|", "\0").encode() for shape in SHAPES]


def odd_introduce(number, gfn, port):
    good = join(number, gfn, port)
    return [good, good[:-1], good + b"more\0", good + b"tail", join(number, gfn),
            join(number, f"{gfn:#x}", port)]


@pytest.mark.parametrize("who", ["kernel", "socket"])
def test_lifecycle(flavour, who):
    """INTRODUCE and RELEASE in every spelling. The domain that xenstored takes it for is the one
    that xsproxy settles, lets go or gives back; the others go on as they were."""
    with scene(flavour) as host:
        where = host.sim.create(OFFENDER)
        home(host.dom0, OFFENDER)
        host.dom0.introduce(OFFENDER, where.gfn, where.port)
        guest = host.guest(OFFENDER)
        peer = host.guest(0) if who == "kernel" else host.client()
        odd = Odd(0)
        odd.pairs = {(b"data", b"t")}
        truth = Truth(host, guest, odd)
        requests = [(INTRODUCE, payload) for number in NUMBERS
                    for payload in odd_introduce(number, where.gfn, where.port)]
        requests += [(RELEASE, payload) for number in NUMBERS for payload in odd_release(number)]
        released = 0
        for type_, payload in requests:
            said(guest.watch, "data", "t")
            truth.ids.add(guest.start())
            error = error_of(peer_call(peer, type_, payload))
            if type_ == RELEASE and not error:
                released += 1
                wait_until(lambda: not host.dom0.is_introduced(OFFENDER))
                home(host.dom0, OFFENDER)
                host.dom0.introduce(OFFENDER, where.gfn, where.port)
                truth.ids.clear()
            assert host.dom0.is_introduced(OFFENDER)
            assert host.dom0.is_introduced(0)
            truth.check()
            guest.reset_watches()
        assert released >= 2
        # The other daemon's spellings are refused by both, or mean the same.
        assert domain(host)["state"] == "running"


def peer_call(peer, type_, payload):
    req_id = peer.send(type_, payload)
    msg = peer.recv_reply()
    assert msg.req_id == req_id
    return msg
