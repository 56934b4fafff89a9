# SPDX-License-Identifier: MIT
"""xsproxyctl export and import: a session moves between hosts and daemons, to another domid, and
over RELEASE and INTRODUCE; and the commands about one domain."""

import json

import pytest

from migration import HOME, ROUTES, assert_runs_on, ctl, state, tree
from migration_load import Load, arrive, ends_transactions, export_under_load, prepare, still_fires
from ours import running, tracked_transactions, tracked_watches
from relay import FLAVOURS, introduce


@pytest.mark.parametrize("here, there", ROUTES)
def test_move(here, there):
    """A guest under load moves, and sees nothing but one event for each of its watches."""
    with running(here) as source, running(there) as target:
        load = Load(source.add_guest(7))
        watches, first, second = prepare(load.guest)
        load.more(100)
        octets = export_under_load(source, load, 7)
        load.until_stuck()
        assert state(source) == "quiesced"
        assert load.outstanding()
        load.events.clear()
        arrive(target, octets, load)

        load.more(100)
        for event in watches:
            load.wait_for(event)
        assert load.events == []
        load.finish()
        assert tracked_watches(target.dom0, 7) == watches
        assert {first, second} <= tracked_transactions(target.dom0, 7)
        still_fires(target, load)
        ends_transactions(load.guest, first, second)


@pytest.mark.parametrize("here, there", ROUTES)
def test_move_to_another_domid(here, there):
    with running(here) as source, running(there) as target:
        load = Load(source.add_guest(7))
        prepare(load.guest)
        load.guest.write("data/text", HOME)
        octets = export_under_load(source, load, 7)
        load.until_stuck()
        load.events.clear()
        arrive(target, octets, load, "--map-domid", "7=12", domid=12)
        load.more(50)
        load.wait_for(("/local/domain/12/data/abs", "absolute"))
        load.finish()
        assert load.guest.read("data/text") == HOME.encode()
        assert target.dom0.get_perms("/local/domain/12/data") == ["n12"]
        assert target.dom0.directory("/local/domain") == ["12"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_release_and_introduce(flavour, tmp_path):
    """The C daemon deletes the domain's nodes at RELEASE, oxenstored its permissions; import brings
    them back, where that is asked for: there is no toolstack to make them."""
    with running(flavour) as host:
        guest, domain = introduce(host, 7)
        load = Load(guest)
        watches, first, second = prepare(guest)
        load.more(50)
        assert export_under_load(host, load, 7, "-o", tmp_path / "stream") == b""
        load.until_stuck()
        before = tree(host.dom0, HOME)
        load.events.clear()

        host.dom0.release(7)
        ctl(host, "hold", 7)
        host.dom0.introduce(7, domain.gfn, domain.port)
        ctl(host, "import", 7, "--overwrite", "-i", tmp_path / "stream")
        assert tree(host.dom0, HOME) == before
        ctl(host, "unquiesce", 7)
        load.more(50)
        for event in watches:
            load.wait_for(event)
        load.finish()
        still_fires(host, load)
        ends_transactions(guest, first, second)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_simple_commands(flavour):
    with running(flavour) as host:
        assert ctl(host, "hold", 7) == b""
        assert state(host) == "held"
        guest = host.add_guest(7)
        assert "is introduced already" in ctl(host, "hold", 7, status=1)
        assert ctl(host, "unquiesce", 7) == b""
        assert_runs_on(host, guest)
        assert ctl(host, "watches", 7) == b"PATH  TOKEN\n"
        guest.watch("control/shutdown", "a b\\")
        guest.watch("@x", b"\xff\n")
        number = guest.start()
        assert ctl(host, "watches", 7) == (b"PATH              TOKEN\n"
                                           b"control/shutdown  a\\x20b\\x5c\n"
                                           b"@x                \\xff\\x0a\n")
        assert json.loads(ctl(host, "watches", 7, "--json")) == {"domid": 7, "watches": [
            {"path": "control/shutdown", "token": "a b\\x5c"},
            {"path": "@x", "token": "\\xff\n"}]}
        assert ctl(host, "transactions", 7) == b"TRANSACTION\n%d\n" % number
        assert json.loads(ctl(host, "transactions", 7, "--json")) == {
            "domid": 7, "transactions": [number]}
        assert ctl(host, "quiesce", 7) == b""
        assert state(host) == "quiesced"
        for command in ("quiesce", "unquiesce", "watches", "transactions"):
            assert "domain 8: it is not introduced" in ctl(host, command, 8, status=1)
