# SPDX-License-Identifier: MIT
"""XSA-206, a guest whose writes make others' transactions fail for ever. Each refused commit costs
the guest that caused it a credit, which xenstored gives back at a rate, and who has none is not
served. Behind xsproxy it is the same domain that pays: dom0 and a neighbour commit what the
offender keeps changing, and are refused no more often than the credits allow."""

import re
import time

import pytest

from hostile import HOME, OFFENDER, Tireless
from ours import running, said, settings
from relay import FLAVOURS
from xensim import TIMEOUT
from xsclient import WRITE

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

NEIGHBOUR = 8
COMMITS = 200
LIMIT = 6 * TIMEOUT  # until somebody has paid
# xenstored: 10 credits at first, 200 a second; oxenstored: 5, 20 a second, and as many refusals for
# which nobody pays because the transaction was open longer than a twentieth of a second. Two more,
# for the one that goes below zero and for clocks that do not start together.
BURST = {"C": 12, "O": 7}
RATE = {"C": 200, "O": 40}
LIMITED = {"C": r"wrl: domain (\d+) .*SLEEPING", "O": r"Blaming domain D(\d+) "}


class Writer(Tireless):
    """The offender: writes a node, with about as much under way as its ring holds."""

    def __init__(self, host):
        super().__init__()
        self.guest = host.guest(OFFENDER, timeout=TIMEOUT)

    def _round(self, number):
        for i in range(30):
            self.guest.send(WRITE, b"data/x\0%d" % (30 * number + i))
        for _ in range(30):
            assert self.guest.recv_reply().type == WRITE


class Committer(Tireless):
    """The offender: writes a node in one transaction after the other."""

    def __init__(self, host):
        super().__init__()
        self.guest = host.guest(OFFENDER, timeout=TIMEOUT)

    def _round(self, number):
        tx = self.guest.start()
        self.guest.write("data/x", number, tx=tx)
        assert said(self.guest.end, tx) in (None, "EAGAIN")


def logging(flavour, tmp_path):
    """The arguments that make a daemon say whom it limits; where it says so."""
    log = tmp_path / "limited.log"
    if flavour == "C":
        return ("-T", str(log)), log
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
                assert time.monotonic() < since + LIMIT, f"{committed} committed, nobody limited"
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
