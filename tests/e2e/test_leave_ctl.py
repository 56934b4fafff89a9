# SPDX-License-Identifier: MIT
"""xsproxyctl leave: xenstored serves without xsproxyd, whose units are ended only then."""

import pytest

import xensim
import xsclient
from entering import DROP_IN, KEEPER, SERVICE, SOCKET, Scene
from harness import DAEMONS, Host

WHO = "xsproxyctl leave: "
STOP = [f"stop {SOCKET} {SERVICE}", f"stop {KEEPER}", "daemon-reload"]
MARKS = ("served", "bridge", "upstream", "native")


@pytest.fixture(params=("C", "O"), name="scene")
def scene_fixture(request, tmp_path):
    """With the bridge in xenstored, and no xsproxyd but the stand-in."""
    with Host(request.param, start=False) as host:
        host.start_daemon()
        with Scene(host, tmp_path) as scene:
            scene.configure(host.run_dir / "upstream")
            scene.mark("served").write_text("")
            scene.xsproxyd.state = "running"
            yield scene


@pytest.fixture(name="native")
def native_fixture(tmp_path):
    with Host("C", proxied=False) as host, Scene(host, tmp_path) as scene:
        yield scene


def is_ended(scene):
    """Whether xsproxyd is, and nobody waits for it."""
    return (scene.called == STOP and scene.mark("left").exists() and
            not any(scene.mark(name).exists() for name in MARKS))


def test_it_is_done(scene):
    flavour = scene.host.flavour
    drop_in = scene.run / DROP_IN
    drop_in.parent.mkdir()
    drop_in.write_text("")
    scene.mark("entering").write_text("")
    scene.xsproxyd.becomes = "native"
    result, out, err = scene.ctl("leave")
    assert (result, err) == (0, "")
    assert out == (f"{DAEMONS[flavour]} (pid {scene.host.daemon.pid}) serves without xsproxy; "
                   "nobody was served for 5 ms\n")
    assert scene.xsproxyd.told == [("leave", {
        "with": str(xensim.XEN_BIN / DAEMONS[flavour]), "force": False, "reads": True,
        "whole": flavour == "O", "progress": True})]
    assert is_ended(scene)
    assert not drop_in.parent.exists() and not scene.mark("entering").exists()


def test_by_force(scene):
    scene.xsproxyd.becomes = "native"
    assert scene.ctl("leave", "--force")[0] == 0
    assert scene.xsproxyd.told[0][1]["force"] is True


@pytest.mark.parametrize("outcome, result", (("Unchanged", 1), ("Restored", 3), ("Lost", 4)))
def test_nothing_comes_of_it(scene, outcome, result):
    scene.xsproxyd.outcome = outcome
    assert scene.ctl("leave") == (result, "", f"{WHO}it is full\n")
    assert scene.called == [] and not scene.mark("left").exists()
    assert scene.mark("served").exists()


@pytest.mark.parametrize("args", ((), ("--dry-run",)))
def test_what_is_in_the_way_is_said_before_all_else(scene, args):
    scene.xsproxyd.hindrance = "a domain is quiesced"
    assert scene.ctl("leave", *args) == (1, "", f"{WHO}a domain is quiesced\n")
    assert not scene.xsproxyd.told and scene.called == []


def test_xsproxyd_is_restarted_in_the_middle(scene):
    """What runs says what came of it."""
    scene.xsproxyd.outcome, scene.xsproxyd.becomes = "gone", "native"
    scene.xsproxyd.state = "waiting"
    result, out, err = scene.ctl("leave")
    daemon = f"{DAEMONS[scene.host.flavour]} (pid {scene.host.daemon.pid})"
    assert (result, out, err) == (0, f"{daemon} serves without xsproxy\n", "")
    assert is_ended(scene)


def test_xsproxyd_is_not_ended_while_xenstored_has_the_bridge(scene):
    """Whatever it says."""
    result, _, err = scene.ctl("leave")
    assert result == 1 and err == (
        f"{WHO}/run/xenstore.pid names no xenstored without the bridge, so xsproxyd is left "
        "running; try again\n")
    assert scene.called == [] and scene.mark("served").exists()


def test_dry_run(scene):
    path = xensim.XEN_BIN / DAEMONS[scene.host.flavour]
    assert scene.ctl("leave", "--dry-run") == (0, f"nothing would be lost with {path}\n", "")
    assert scene.called == [] and not scene.xsproxyd.told


@pytest.mark.parametrize("scene", "C", indirect=True)
def test_what_would_be_lost(scene):
    with xsclient.Client(scene.host.run_dir / "upstream") as client:
        client.write("/tool/large", "x" * 3000)
    result, _, err = scene.ctl("leave", "--with", "oxenstored")
    assert result == 1 and err.endswith("--force leaves all the same\n")
    assert not scene.xsproxyd.told and scene.called == []


def test_where_it_is_not_behind_xsproxyd(native):
    """As after a leave that was ended before it was done."""
    said = f"xenstored (pid {native.host.daemon.pid}) is not behind xsproxyd\n"
    assert native.ctl("leave", "--dry-run") == (0, said, "")
    assert native.called == []
    assert native.ctl("leave") == (0, said, "")
    assert is_ended(native) and not native.xsproxyd.told


def test_without_systemd(tmp_path):
    with Host("C", proxied=False) as host, Scene(host, tmp_path, systemd=False) as scene:
        result, _, err = scene.ctl("leave")
        assert (result, err) == (0, f"{WHO}warning: there is no systemd: end xsproxyd, and then "
                                 "xsproxy-keeper\n")
        assert scene.mark("left").exists() and scene.called == []


def test_no_xenstored(native):
    native.pid_file.unlink()
    assert native.ctl("leave") == (
        1, "", f"{WHO}no xenstored runs; /run/xenstore.pid would name it\n")
    assert native.called == []
