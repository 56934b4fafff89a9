# SPDX-License-Identifier: MIT
"""What one domain's ledger or one domain's requests can do to xsproxyd is over after two crashes:
the domain is put aside, with a reason, and the others are served."""

import contextlib
import os
import signal
import struct

import pytest

import built
import xensim
import xsclient
from control import Control, ControlError
from harness import Host
from ours import quiesce, running
from relay import FLAVOURS, descriptors, wait_until

DOMID = 66  # the one that tests/kill/crash.c crashes for
PAGE = 4096
LEDGERS_RING_OFF = 16 * PAGE
ASIDE = "crashed twice while it served this domain, so it is put aside"

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)


def is_aside(host):
    with contextlib.suppress(OSError, xsclient.Closed, ControlError), Control(host) as control:
        return control.state(DOMID) == "failed"
    return False


def start_until_it_stays(host):
    """As systemd does, which starts it again whenever it ends. Return: how often it crashed."""
    for crashes in range(5):
        host.start_proxy(program=built.need("xsproxyd-crashing"))
        wait_until(lambda: not host.proxy.alive() or is_aside(host))
        if host.proxy.alive():
            return crashes
        host.proxy.ended = True
        assert host.proxy.wait() not in (0, -signal.SIGKILL)
    raise AssertionError("it crashes at each start")


def test_a_guest_that_crashes_it_is_put_aside(flavour):
    with Host(flavour) as host:
        host.add_guest(7).close()
        domain = host.sim.create(DOMID)
        xensim.home(host.dom0, DOMID)
        host.dom0.introduce(DOMID, domain.gfn, domain.port)
        host.proxy.kill(signal.SIGTERM)
        assert start_until_it_stays(host) == 2
        assert host.proxy.text().count(ASIDE) == 1
        with Control(host) as control:
            assert control.state(7) == "running"
        assert host.guest(7).read("domid") == b"7"
        # It stays so, and nobody is said to have been put aside anew.
        host.proxy.kill(signal.SIGKILL)
        assert start_until_it_stays(host) == 0
        # The next one of that number is another one; with this xsproxyd it would crash, too.
        host.proxy.kill(signal.SIGTERM)
        host.start_proxy()
        client = host.client()
        host.sim.destroy(DOMID)
        wait_until(lambda: not client.is_introduced(DOMID))
        assert host.sim.add_guest(client, DOMID).read("domid") == str(DOMID).encode()


def test_a_guest_that_crashes_it_before_its_first_turn(flavour):
    with Host(flavour) as host:
        host.add_guest(7).close()
        host.add_guest(DOMID).close()
        quiesce(host.dom0, DOMID)
        host.proxy.kill(signal.SIGKILL)
        assert start_until_it_stays(host) == 2
        assert host.guest(7).read("domid") == b"7"
        host._dom0 = None


WORDS = {
    "record": [(1484, 25)],                           # more words than it has room for
    "record target": [(1484, 1), (1488, 0x7fffffff)],
    "state": [(36, 77)],
    "pending": [(44, 0xffffffff)],
    "up": [(64, 4000), (68, 2000), (72, 999)],
    "fifo": [(96, 0), (100, 5000)],
    "log": [(132, 0x3ffff), (136, 0xfffffff0)],
    "version": [(24, 99)],
    "all": [(off, 0xffffffff) for off in range(32, 3536, 4)],
}


def ledgers_of(host):
    """xenstored keeps them for whichever xsproxyd comes."""
    for entry, name in descriptors(host.daemon).items():
        if "xsproxy-ledgers" in name:
            return entry
    raise AssertionError("xenstored keeps no ledgers")


@pytest.mark.long
@pytest.mark.parametrize("what", [what for what in WORDS if what != "version"])
def test_a_wrong_word_costs_its_domain_its_session(flavour, what):
    with running(flavour) as host:
        victim, other = host.add_guest(8), host.add_guest(7)
        other.watch("data", "token")
        other.wait_watch()
        tx = other.start()
        victim.watch("data", "token")
        victim.wait_watch()
        for sig in (signal.SIGKILL, signal.SIGTERM):
            host.proxy.kill(sig)
            with open(ledgers_of(host), "r+b", buffering=0) as ledgers:
                for off, value in WORDS[what]:
                    ledgers.seek(LEDGERS_RING_OFF + 8 * PAGE + off)
                    ledgers.write(struct.pack("<I", value))
            host.start_proxy()
            assert other.read("domid") == b"7"
        other.write("data/x", "1", tx=tx)
        other.end(tx)
        assert other.wait_watch() == ("data/x", "token")
        # The victim's ring is reset at worst; a Linux guest then registers its watches anew.
        client = host.client()
        host.sim.destroy(8)
        wait_until(lambda: not client.is_introduced(8))
        assert host.sim.add_guest(client, 8).read("domid") == b"8"


def test_a_ledger_of_no_known_version_is_nobodys_to_touch(flavour):
    """Not a wrong word but another xsproxyd's: it stands by (test_foreign.py)."""
    with running(flavour) as host:
        host.add_guest(8).close()
        host.proxy.kill(signal.SIGKILL)
        with open(ledgers_of(host), "r+b", buffering=0) as ledgers:
            ledgers.seek(LEDGERS_RING_OFF + 8 * PAGE + WORDS["version"][0][0])
            ledgers.write(struct.pack("<I", 99))
        host.start_proxy(until="STATUS=")
        assert "ledger 99" in host.status


@pytest.mark.long
def test_domains_leave_nothing(flavour):
    """A host that has seen many domains keeps no page of those that are gone."""
    with running(flavour) as host:
        path = ledgers_of(host)
        client = host.client()
        host.add_guest(7).close()
        before = os.stat(path).st_blocks * 512
        for domid in range(100, 400):
            host.sim.add_guest(client, domid).close()
            host.sim.destroy(domid)
        wait_until(lambda: not any(client.is_introduced(domid) for domid in range(100, 400)))
        assert os.stat(path).st_blocks * 512 <= before
        # Nor do they come back to life.
        again = host.sim.add_guest(client, 150)
        assert again.read("domid") == b"150"
        again.send(xsclient.WATCH, b"data\0t\0", req_id=3)
        assert again.recv_reply().req_id == 3
