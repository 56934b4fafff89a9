# SPDX-License-Identifier: MIT
"""XSA-206, a guest whose writes make others' transactions fail for ever. Each refused commit costs
the guest that caused it a credit, which xenstored gives back at a rate, and who has none is not
served. Behind xsproxy it is the same domain that pays: dom0 and a neighbour commit what the
offender keeps changing, and are refused no more often than the credits allow."""

import re
import time

import pytest

from hostile import HOME, OFFENDER, Tireless
from ours import error_of, running, said, settings
from relay import FLAVOURS
from versions import EXPECT
from xensim import TIMEOUT
from xsclient import TRANSACTION_END, TRANSACTION_START, WRITE

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

NEIGHBOUR = 8
COMMITS = 200
LIMIT = 2 * TIMEOUT  # until somebody has paid
# xenstored: 10 credits at first, 200 a second; oxenstored: 5, 20 a second, and as many refusals for
# which nobody pays because the transaction was open longer than a twentieth of a second. Two more,
# for the one that goes below zero and for clocks that do not start together.
BURST = {"C": 12, "O": 7}
RATE = {"C": 200, "O": 40}
SHORT = 0.05  # s
LIMITED = {"C": r"wrl: domain (\d+) .*SLEEPING", "O": r"Blaming domain D(\d+) "}


class Offender(Tireless):
    """Changes a node as often as it can: several times a round, at once, so that it is faster than
    its credits come back on a busy machine, too."""

    def __init__(self, host):
        super().__init__()
        self.guest = host.guest(OFFENDER, timeout=TIMEOUT)

    def ask(self, *requests):
        """Have them all under way, then get the replies."""
        for request in requests:
            self.guest.send(*request)
        replies = [self.guest.recv_reply() for _ in requests]
        for request, reply in zip(requests, replies):
            # The first transactions all make nodes, and only one of them can.
            assert reply.type == request[0] or error_of(reply) == "EAGAIN"
        return replies


class Writer(Offender):
    """With about as much under way as its ring holds."""

    CHANGES = 30  # a round

    def _round(self, number):
        self.ask(*((WRITE, b"data/x\0%d" % i) for i in range(self.CHANGES)))


class Committer(Offender):
    """In transactions; all but one are about nodes that nobody else looks at."""

    CHANGES = 8

    def _round(self, number):
        started = self.ask(*self.CHANGES * [(TRANSACTION_START, b"\0")])
        ids = [int(reply.payload[:-1]) for reply in started]
        self.ask(*((WRITE, b"data/x%s\0%d" % (b"y" * i, number), tx)
                   for i, tx in enumerate(ids)))
        self.ask(*((TRANSACTION_END, b"T\0", tx) for tx in ids))


def logging(flavour, tmp_path):
    """The arguments that make a daemon say whom it limits; where it says so."""
    log = tmp_path / "limited.log"
    if flavour == "C":
        return ("-T", str(log), *EXPECT["C"].log_limits), log
    return settings(tmp_path, {"xenstored-log-file": log, "xenstored-log-level": "debug",
                               "xenstored-log-nb-lines": 10**6}), log


def limited(flavour, log):
    """The domains that paid so far."""
    return {int(domid) for domid in re.findall(LIMITED[flavour], log.read_text("latin-1"))}


def commit(victim, own):
    """A transaction that depends on the offender's node: whether it was committed."""
    tx = victim.start()
    value = victim.read(f"{HOME}/data/x", tx=tx)
    victim.write(own, value, tx=tx)
    result = said(victim.end, tx)
    assert result in (None, "EAGAIN")
    return result is None


def too_slow(flavour, offender, commits, seconds):
    """Whether this machine is: the C daemon's credits come back faster than they are spent, or
    oxenstored finds no transaction that was short enough."""
    if flavour == "C":
        return offender.rounds * offender.CHANGES <= RATE[flavour] * seconds
    return seconds > SHORT * commits


def play(flavour, proxied, kind, who, tmp_path):
    """Commit beside the offender, often, and until somebody had to pay: who paid."""
    args, log = logging(flavour, tmp_path)
    since = time.monotonic()
    with running(flavour, proxied, daemon_args=args) as host:
        host.add_guest(OFFENDER).close()
        guest = host.add_guest(NEIGHBOUR)
        host.dom0.write(f"{HOME}/data/x", "")
        host.dom0.set_perms(f"{HOME}/data/x", f"n{OFFENDER}", f"r{NEIGHBOUR}")
        victim = host.dom0 if who == "dom0" else guest
        offender = kind(host)
        offender.start()
        try:
            offender.more(2)
            committed = refused = 0
            while committed < COMMITS or not limited(flavour, log):
                offender.check()
                seconds = time.monotonic() - since
                if seconds > LIMIT and too_slow(flavour, offender, committed + refused, seconds):
                    pytest.skip(f"{committed + refused} commits in {seconds:.0f} s: too slow")
                assert seconds < 2 * LIMIT, f"{committed} committed, nobody limited"
                if commit(victim, f"/local/domain/{NEIGHBOUR}/data/y"):
                    committed += 1
                else:
                    refused += 1
                allowed = BURST[flavour] + RATE[flavour] * (time.monotonic() - since)
                assert refused <= allowed, f"{committed} committed, {refused} refused"
            offender.more(2)
        finally:
            offender.stop()
        return limited(flavour, log)


@pytest.mark.parametrize("kind, who", [(Writer, "dom0"), (Writer, "neighbour"),
                                       (Committer, "dom0")])
def test_xsa_206(flavour, kind, who, tmp_path):
    """The offender alone pays, direct and behind xsproxy; the other one gets its commits."""
    for proxied in (False, True):
        where = tmp_path / ("proxied" if proxied else "direct")
        where.mkdir()
        assert play(flavour, proxied, kind, who, where) == {OFFENDER}
