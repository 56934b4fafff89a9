# SPDX-License-Identifier: MIT
"""xsproxyctl import: what a stream gives a domain, and which domains and streams are refused."""

import array
import struct

import pytest

from migration import (FRESH, HOME, assert_imported, assert_runs_on, ctl, held, node, record,
                       session, state, stream, transaction, tree, watch)
from ours import HOLD, ask, error_of, quiesce, running, unquiesce
from relay import FLAVOURS
from xsclient import TRANSACTION_END


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_import(flavour):
    """Nodes in any order, owners, what was there before; the domain stays held."""
    with held(flavour) as (host, guest):
        page = guest.page()
        assert ctl(host, "import", 7, input=stream(*FRESH)) == b""
        assert_imported(host)
        assert state(host) == "held"
        assert guest.page() == page
        unquiesce(host.dom0, 7)
        events = [guest.wait_watch(), guest.wait_watch()]
        assert events == [("data", "relative"), (f"{HOME}/error/imported", "absolute")]
        assert error_of(guest.call(TRANSACTION_END, b"T\0", tx=5)) == "EAGAIN"
        assert error_of(guest.call(TRANSACTION_END, b"F\0", tx=0xffffffff)) is None
        assert not guest.events


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_import_of_nothing(flavour):
    with held(flavour) as (host, _):
        before = session(host)
        assert ctl(host, "import", 7, input=stream()) == b""
        assert session(host) == before


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_import_is_refused(flavour):
    """A domain that runs, is not there, or has something of its own."""
    with running(flavour) as host:
        octets = stream(*FRESH)
        assert "domain 7: it is not introduced" in ctl(host, "import", 7, input=octets, status=1)
        assert ask(host.dom0, HOLD, 7) == b"OK\0"
        assert "domain 7: it is not introduced" in ctl(host, "import", 7, input=octets, status=1)
        unquiesce(host.dom0, 7)
        guest = host.add_guest(7)
        before = session(host)
        assert "domain 7 is running" in ctl(host, "import", 7, input=octets, status=1)
        guest.watch("own", "own")
        quiesce(host.dom0, 7)
        assert "has watches or transactions already" in ctl(host, "import", 7, input=octets,
                                                            status=1)
        unquiesce(host.dom0, 7)
        guest.unwatch("own", "own")
        assert session(host) == before
        # Without any of its own, a domain that has run can be imported into.
        quiesce(host.dom0, 7)
        ctl(host, "import", 7, "--resume", input=octets)
        assert_imported(host)
        guest.events.clear()
        assert_runs_on(host, guest)


HOSTILE = {
    "is outside the domain's home": [
        node("/tool/xenstored", "x"), node("/local/domain/70", "x"), node("/local/domain", "x"),
        node("/", "x"), node("/local/domain/07/x", "x"), node("/vm/8", "x")],
    "'//' in the path": [node(f"{HOME}//x", "x")],
    "NUL in the path": [node(f"{HOME}/x\0y", "x"), watch("a\0b", "x")],
    "octet 0x2e in the path": [node(f"{HOME}/../8/x", "x"), watch("../8", "x")],
    "tx_id is 0": [transaction(0)],
    "but": [record(struct.pack("<II", 1, 0xffffffff) + b"/x12"),
            record(struct.pack("<II", 1, 4) + b"/x12" + struct.pack("<I", 0xffffffff)),
            record(struct.pack("<II", 2, 0xfffffffc))],
    "the stream ends inside a record's body": [struct.pack("<II", 7, 0xffffffff)],
    "was given before": [watch("x", "y") + watch("x", "y"), transaction(5)],
}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_hostile_streams(flavour):
    """Whatever else is in them, nothing is changed."""
    with held(flavour) as (host, _):
        before = session(host)
        for reason, records in HOSTILE.items():
            for bad in records:
                message = ctl(host, "import", 7, "--root", "/vm/7", input=stream(*FRESH, bad),
                                status=1)
                assert reason in message, message
                assert message.count("\n") == 1
        many = array.array("I", [7, 8, 3, 0]) * 300_000  # different transactions
        many[3::4] = array.array("I", range(1, 300_001))
        assert "longer than 4194304 octets" in ctl(
            host, "import", 7, "--max-stream", "4M", input=stream(many.tobytes()), status=1)
        large = stream(*FRESH, *[node(HOME + f"/data/{n}", bytes(2048)) for n in range(33_000)])
        assert "longer than 67108864 octets" in ctl(host, "import", 7, input=large, status=1)
        assert session(host) == before


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_roots_and_maps(flavour):
    with held(flavour) as (host, _):
        host.dom0.write("/vm", "")
        octets = stream(node("/vm/7", "v", [("n", 0), ("r", 3), ("r", 4)]))
        assert "is outside" in ctl(host, "import", 7, input=octets, status=1)
        ctl(host, "import", 7, "--root", "/vm/7", "--map-domid", "3=13", "--map-domid", "4=7",
            input=octets)
        assert tree(host.dom0, "/vm/7") == {"/vm/7": (b"v", ["n0", "r13", "r7"])}
        assert "two --map-domid name the same domain" in ctl(
            host, "import", 7, "--map-domid", "3=13", "--map-domid", "4=13", input=octets, status=1)
