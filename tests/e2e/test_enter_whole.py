# SPDX-License-Identifier: MIT
"""xsproxyctl enter and leave with all that they need but systemd: xsproxyd is put before a native
daemon and leaves it again, while guests and clients go on."""

import pathlib
import re

import pytest

from native_host import Native
from entering import SERVICE, SOCKET, XENSTORED, Whole
from harness import BRIDGE, DAEMONS
from relay import FLAVOURS
from supervised import Refused

WITH = {"C": "c", "O": "oxenstored"}


@pytest.fixture(params=FLAVOURS, name="scene")
def scene_fixture(request, tmp_path):
    with Native(request.param) as host, Whole(host, tmp_path) as scene:
        yield scene
        host.check()


def served(scene, args, more):
    """Whether the command has done it, and says so."""
    result, out, err = scene.ctl(*args)
    daemon = f"{DAEMONS[scene.host.serves]} \\(pid {scene.host.daemon.pid}\\)"
    assert (result, err) == (0, "")
    return re.fullmatch(f"{daemon} serves{more}; nobody was served for \\d+ ms\n", out)


def is_native(host):
    """Guests' rings are the daemon's, which has no bridge."""
    maps = pathlib.Path(f"/proc/{host.daemon.pid}/maps").read_text()
    return str(BRIDGE) not in maps and host.bound_by() == {host.daemon.pid}


@pytest.mark.parametrize("after", FLAVOURS)
def test_there_and_back(scene, after):
    host = scene.host
    guest, tool = host.add_guest(7), host.client()
    guest.watch("data", "guest")
    guest.wait_watch()
    tool.watch("/local/domain/7/data", "tool")
    tool.wait_event()

    def go_on(value):
        guest.write("data/x", value)
        assert guest.wait_watch() == ("data/x", "guest")
        assert tool.wait_event() == ("/local/domain/7/data/x", "tool")
        assert host.client().read("/local/domain/7/data/x") == value.encode()

    host.prepare()
    host.serves = after
    assert served(scene, ("enter", "--with", WITH[after]), "")
    assert host.is_behind()
    go_on("1")
    host.serves = host.flavour
    assert served(scene, ("leave", "--with", WITH[host.flavour]), " without xsproxy")
    assert is_native(host)
    go_on("2")
    host.dismiss()
    go_on("3")
    assert scene.mark("left").exists() and not scene.mark("served").exists()


def test_a_transaction_that_does_not_end(scene):
    """It goes on where it was, and can be ended."""
    host = scene.host
    guest = host.add_guest(7)
    tx = guest.start()
    guest.write("data/x", "1", tx=tx)
    host.prepare()
    result, _, err = scene.ctl("enter", "--timeout", "1")
    assert result == 1 and "domain 7 has" in err and err.count("\n") == 1
    guest.end(tx)
    assert guest.read("data/x") == b"1" and is_native(host)
    assert not scene.mark("native").exists()
    assert host.ask("status")["exchange"] is None
    assert served(scene, ("enter",), "")
    assert guest.read("data/x") == b"1" and host.is_behind()


def test_what_hinders(scene):
    """xsproxyd says it, and the units that were started for it are ended."""
    host = scene.host
    host.add_guest(7).write("data/x", "1")
    host.prepare()
    host.keeper.kill()
    result, _, err = scene.ctl("enter")
    assert (result, err) == (1, "xsproxyctl enter: there is no keeper; start xsproxy-keeper\n")
    assert f"stop {XENSTORED}" in scene.called and f"stop {SOCKET} {SERVICE}" in scene.called
    assert is_native(host) and host.client().read("/local/domain/7/data/x") == b"1"
    with pytest.raises(Refused):
        host.ask("leave")
