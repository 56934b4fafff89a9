# SPDX-License-Identifier: MIT
"""xsproxyctl enter: what it tells systemd, xsproxyd and a native daemon to do, and that all is as
before where nothing comes of it."""

import contextlib
import re
import signal
import subprocess
import threading
import time

import pytest

import xensim
from entering import (CTL, DROP_IN, KEEPER, NO_DISK, SERVICE, SMALL, SOCKET, XENSTORED, Scene,
                      native)
from harness import DAEMONS, Host
from relay import FLAVOURS, wait_until
from versions import EXPECT

WHO = "xsproxyctl enter: "
AS_BEFORE = "; all goes on as before\n"
START = ["daemon-reload", f"start {SERVICE} {XENSTORED}"]
STOP = ["daemon-reload", f"stop {XENSTORED}", f"stop {SOCKET} {SERVICE}", f"stop {KEEPER}",
        "daemon-reload"]
RESTORES = {"C": r"(--no-fork )?-U", "O": r"--live --restart( --no-fork)?"}


def program(flavour):
    return str(xensim.XEN_BIN / DAEMONS[flavour])


@contextlib.contextmanager
def stage(flavour, path, **kwargs):
    """With a guest, domain 7."""
    with native(flavour) as host:
        guest = host.add_guest(7)
        guest.write("data/x", "1")
        with Scene(host, path, **kwargs) as scene:
            scene.guest = guest
            yield scene


@pytest.fixture(params=FLAVOURS, name="scene")
def scene_fixture(request, tmp_path):
    with stage(request.param, tmp_path) as scene:
        yield scene


@pytest.fixture(name="c_scene")
def c_scene_fixture(tmp_path):
    with stage("C", tmp_path) as scene:
        yield scene


@pytest.fixture(name="o_scene")
def o_scene_fixture(tmp_path):
    with stage("O", tmp_path) as scene:
        yield scene


def serves(scene):
    """Whether the native daemon does, the same process."""
    return scene.host.daemon.alive() and scene.host.dom0.read("/local/domain/7/data/x") == b"1"


# --- it is done

def test_it_is_done(scene):
    host = scene.host
    pid = host.daemon.pid
    result, out, err = scene.ctl("enter")
    assert (result, err) == (0, "")
    assert out == (f"{DAEMONS[host.flavour]} (pid {pid}) serves; nobody was served for 5 ms\n")
    assert scene.called == START
    (command, arguments), = scene.xsproxyd.told
    assert (command, arguments) == ("enter", {
        "native": program(host.flavour), "with": program(host.flavour), "progress": True})
    executed, = scene.executed
    assert re.fullmatch(RESTORES[host.flavour], executed)
    assert host.daemon.wait() == 0
    # As long as this boot, systemd listens where no toolstack looks.
    assert (scene.run / DROP_IN).read_text() == (
        f"[Socket]\nExecStartPre=\nListenStream=\nListenStream={host.run_dir}/entering\n")
    assert not scene.mark("native").exists()


def test_another_one(scene):
    other = {"C": "O", "O": "C"}[scene.host.flavour]
    assert scene.ctl("enter", "--with", {"C": "c", "O": "oxenstored"}[other])[0] == 0
    told = scene.xsproxyd.told[0][1]
    assert told["with"] == program(other)
    assert told.get("watches") == (EXPECT["O"].watch_limit if other == "O" else None)


def test_another_one_by_force(c_scene):
    """What it would not take gets lost."""
    assert c_scene.ctl("enter", "--with", "oxenstored", "--force")[0] == 0
    assert "watches" not in c_scene.xsproxyd.told[0][1]


def test_what_stands_in_the_way_of_the_wrapper_goes(c_scene):
    """Of a leave before, of a xenstored that xsproxyd had, and of an enter that was killed."""
    for name in "left", "served":
        c_scene.mark(name).write_text("")
    c_scene.mark("native").symlink_to(program("C"))
    assert c_scene.ctl("enter")[0] == 0
    assert not c_scene.mark("left").exists() and not c_scene.mark("served").exists()


def test_where_it_runs_already(c_scene):
    """As after an enter that was killed."""
    c_scene.unit(SERVICE)
    c_scene.unit(XENSTORED, "activating")
    (c_scene.run / DROP_IN).parent.mkdir(parents=True)
    (c_scene.run / DROP_IN).write_text("")
    assert c_scene.ctl("enter")[0] == 0
    assert c_scene.called == START[1:]


@pytest.mark.parametrize("unit", (SERVICE, SOCKET))
def test_where_it_runs_since_the_boot(c_scene, unit):
    """The native daemon has put its socket in the place of systemd's."""
    c_scene.unit(unit)
    assert c_scene.ctl("enter")[0] == 0
    assert c_scene.called == [f"stop {SOCKET} {SERVICE}", *START]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_without_systemd(flavour, tmp_path):
    with stage(flavour, tmp_path, systemd=False) as scene:
        assert scene.ctl("enter")[0] == 0
        assert scene.called == []


# --- nothing comes of it

def refused(scene, outcome, becomes="native"):
    scene.xsproxyd.outcome, scene.xsproxyd.becomes = outcome, becomes
    return scene.ctl("enter")


def test_nothing_comes_of_it(scene):
    """The daemon serves on, and nothing is left of it all."""
    assert refused(scene, "Unchanged") == (1, "", f"{WHO}it is full\n")
    assert len(scene.executed) == 1
    assert scene.called == START + STOP
    assert scene.untouched() and serves(scene)
    # And it can be tried again.
    scene.xsproxyd.outcome, scene.xsproxyd.becomes = None, "nothing"
    assert scene.ctl("enter")[0] == 0


def test_a_program_that_goes_back_by_itself(c_scene):
    """Without a word to xsproxyd, as where it does not find it."""
    over = threading.Event()

    def become(_):
        Scene.become(c_scene, "native")
        over.wait()

    c_scene.become = become
    assert c_scene.ctl("enter") == (
        1, "", f"{WHO}xenstored does not hand over its state: its live update has come back to it; "
        f"see its log{AS_BEFORE}")
    over.set()
    assert c_scene.called == START + STOP and serves(c_scene)


def test_what_was_there_stays(c_scene):
    """The unit has a xenstored, after a leave; only what was started is stopped."""
    c_scene.unit(XENSTORED)
    c_scene.unit(KEEPER)
    c_scene.mark("left").write_text("")
    assert refused(c_scene, "Unchanged")[0] == 1
    assert c_scene.called == START + [f"stop {SOCKET} {SERVICE}", "daemon-reload"]
    assert c_scene.mark("left").exists()


def test_xsproxyd_is_restarted_in_the_middle(scene):
    assert refused(scene, "gone") == (
        1, "", f"{WHO}xsproxyd was restarted meanwhile{AS_BEFORE}")
    assert scene.called == START + STOP and serves(scene)


@pytest.mark.parametrize("outcome, result", (("Restored", 3), ("Lost", 4)))
def test_once_it_is_behind_xsproxyd_nothing_is_undone(c_scene, outcome, result):
    assert refused(c_scene, outcome, "nothing") == (result, "", f"{WHO}it is full\n")
    assert c_scene.called == START and (c_scene.run / DROP_IN).exists()


@pytest.mark.long
def test_xsproxyd_goes_on_while_the_program_waits_for_it(c_scene):
    """It would wait for the next one for ever."""
    c_scene.xsproxyd.outcome = "Unchanged"
    c_scene.become = lambda what: wait_until(lambda: c_scene.executed)
    pid = c_scene.host.daemon.pid
    assert c_scene.ctl("enter") == (
        1, "", f"{WHO}it is full\n{WHO}process {pid} is not the xenstored that it was, or does "
        "not answer; so xsproxyd goes on; see xsproxyctl status\n")
    assert c_scene.called == START


def test_a_systemd_that_does_not_answer(c_scene):
    """What it does not say runs would be ended if nothing came of it: maybe xenstored itself."""
    (c_scene.bin / "silent").write_text("")
    assert c_scene.ctl("enter") == (
        1, "", f"{WHO}systemctl does not say whether {XENSTORED} runs; nothing was done; try "
        "again\n")
    assert c_scene.called == [] and serves(c_scene) and not c_scene.executed


def test_units_that_do_not_start(c_scene):
    (c_scene.bin / "fails").write_text("")
    assert c_scene.ctl("enter") == (
        1, "", f"{WHO}xsproxyd cannot be started; see systemctl status xsproxy\n")
    assert c_scene.called == START + STOP
    assert c_scene.untouched() and not c_scene.xsproxyd.told


def test_where_the_wrapper_is_not_chosen(c_scene):
    """Nobody would start the next daemon."""
    (c_scene.bin / f"skips {XENSTORED}").write_text("")
    result, out, err = c_scene.ctl("enter")
    assert (result, out) == (1, "") and "/usr/libexec/xsproxy/select-xenstored on" in err
    assert err.count("\n") == 1
    assert c_scene.called == START + STOP
    assert c_scene.untouched() and not c_scene.xsproxyd.told


def test_an_xsproxyd_that_does_not_answer(tmp_path):
    with stage("C", tmp_path, systemd=False, xsproxyd=False) as scene:
        assert scene.ctl("enter") == (
            1, "", f"{WHO}no xsproxyd answers on {scene.host.run_dir}/control, and there is no "
            "systemd that starts it\n")
        assert scene.untouched()


# --- who is in the way

IN_THE_WAY = {
    "C": r"domain 7 has had a transaction open for \d+ s; try again, or see --timeout and --force",
    "O": "domain 7 has 1 transaction open; try again, or see --timeout"}


def test_a_transaction_is_waited_for(scene):
    guest = scene.guest
    tx = guest.start()
    with scene.start("enter", "-v") as process:
        assert process.stderr.readline() == f"{WHO}waiting for the native xenstored's state\n"
        assert process.poll() is None and not scene.executed
        guest.end(tx)
        assert process.wait(xensim.TIMEOUT) == 0
    assert len(scene.executed) == 1


@pytest.mark.parametrize("seconds", (0, 1))
def test_a_transaction_that_does_not_end(scene, seconds):
    guest = scene.guest
    tx = guest.start()
    result, out, err = scene.ctl("enter", "--timeout", seconds)
    assert (result, out) == (1, "")
    way = IN_THE_WAY[scene.host.flavour]
    assert re.fullmatch(f"{WHO}xenstored does not hand over its state: {way}{AS_BEFORE}", err)
    assert scene.called == START + STOP
    # Nor does it when that ends, for nobody expects it.
    guest.end(tx)
    assert serves(scene)
    tx = guest.start()
    guest.end(tx)
    assert serves(scene) and not scene.executed and scene.untouched()


def test_it_is_tried_again(c_scene):
    """While the daemon waits for some to end it lets nobody begin, so it is not for long."""
    guest, other = c_scene.guest, c_scene.host.client()
    tx = guest.start()

    def is_held_back():
        since = time.monotonic()
        other.end(other.start())
        return time.monotonic() - since > 0.5

    with c_scene.start("enter") as process:
        wait_until(is_held_back)
        assert process.poll() is None and not c_scene.executed
        guest.end(tx)
        assert process.wait(xensim.TIMEOUT) == 0
    assert len(c_scene.executed) == 1


def test_force_does_it_all_the_same(c_scene):
    c_scene.guest.start()
    assert c_scene.ctl("enter", "--timeout", "1", "--force")[0] == 0
    assert len(c_scene.executed) == 1


def test_oxenstored_is_never_forced(o_scene):
    """It would write its state again and again, and never execute anything."""
    o_scene.guest.start()
    result, _, err = o_scene.ctl("enter", "--timeout", "0", "--force")
    assert result == 1 and "domain 7 has 1 transaction open" in err


def test_oxenstored_does_not_let_go_of_targets(o_scene):
    o_scene.host.add_guest(8)
    o_scene.host.dom0.set_target(8, 7)
    assert o_scene.ctl("enter", "--timeout", "0") == (
        1, "", f"{WHO}xenstored does not hand over its state: domain 8 has a target "
        f"(SET_TARGET); try again, or see --timeout{AS_BEFORE}")


def test_one_at_a_time(c_scene):
    """Or what the one has made the other would take away."""
    tx = c_scene.guest.start()
    with c_scene.start("enter", "-v") as process:
        assert process.stderr.readline() == f"{WHO}waiting for the native xenstored's state\n"
        called = c_scene.called
        for command in "enter", "leave":
            assert c_scene.ctl(command)[2] == (
                f"xsproxyctl {command}: another xsproxyctl is just entering or leaving\n")
        assert c_scene.called == called and c_scene.mark("native").is_symlink()
        c_scene.guest.end(tx)
        assert process.wait(xensim.TIMEOUT) == 0


@pytest.mark.parametrize("sig", (signal.SIGINT, signal.SIGTERM))
def test_it_is_interrupted(scene, sig):
    guest = scene.guest
    tx = guest.start()
    with scene.start("enter", "-v") as process:
        assert process.stderr.readline() == f"{WHO}waiting for the native xenstored's state\n"
        process.send_signal(sig)
        _, err = process.communicate(timeout=xensim.TIMEOUT)
    assert process.returncode == 1
    assert err == (f"{WHO}xenstored does not hand over its state: interrupted by a signal"
                   f"{AS_BEFORE}")
    guest.end(tx)
    assert serves(scene) and not scene.executed
    assert scene.called == START + STOP and scene.untouched()


# --- what is looked at before

def test_dry_run(scene):
    host = scene.host
    other = {"C": "O", "O": "C"}[host.flavour]
    scene.guest.start()
    args = ("enter", "--dry-run", "--with", program(other))
    result, out, err = scene.ctl(*args)
    said = "domain 7 has 1 transaction open\n" if host.flavour == "C" else ""
    assert (result, out, err) == (0, f"{said}nothing would be lost with {program(other)}\n", "")
    if host.flavour == "C":
        host.dom0.write("/tool/large", "x" * 3000)
        result, out, err = scene.ctl(*args)
        assert (result, err) == (1, "") and out.endswith(
            f"1 thing would be lost with {program(other)}\n")
        result, out, err = scene.ctl("enter", "--with", "oxenstored")
        assert result == 1 and err.endswith("--force enters all the same\n")
    assert scene.called == [] and scene.untouched() and not scene.xsproxyd.told


def test_one_that_is_behind_xsproxyd_already(tmp_path):
    with Host("C", start=False) as host:
        host.start_daemon()
        with Scene(host, tmp_path) as scene:
            assert scene.ctl("enter") == (
                0, f"xenstored (pid {host.daemon.pid}) is behind xsproxyd already\n", "")
            assert scene.called == []


def test_one_whose_bridge_has_given_up(tmp_path):
    """It has it, and runs without xsproxy all the same."""
    with Host("C", start=False) as host:
        host.run_dir.chmod(0o755)
        host.start_daemon()
        with Scene(host, tmp_path) as scene:
            assert scene.ctl("enter") == (
                1, "", f"xsproxyctl enter: xenstored (pid {host.daemon.pid}) has loaded xsproxy's "
                "bridge, which does not serve; its log says why; mend that, then reboot dom0\n")
            assert scene.called == []


def says(scene, text):
    """It fails with that line, and has touched nothing."""
    assert scene.ctl("enter") == (1, "", f"{WHO}{text}\n")
    assert scene.called == [] and scene.untouched() and not scene.xsproxyd.told


def test_no_room(scene):
    scene.mount = SMALL
    says(scene, NO_DISK)


def test_no_xenstored(c_scene):
    none = "no xenstored runs; /run/xenstore.pid would name it"
    c_scene.pid_file.write_text("1\n")
    says(c_scene, none)
    c_scene.pid_file.unlink()
    says(c_scene, none)
    (c_scene.etc / "xen").unlink()
    says(c_scene, none.replace("/run/xenstore.pid", "/run/xen/xenstored.pid"))
    (c_scene.run / "xen").mkdir()
    (c_scene.run / "xen/xenstored.pid").write_text(f"{c_scene.host.daemon.pid}\n")
    assert c_scene.ctl("enter", "--dry-run")[0] == 0


def test_one_in_a_domain_of_its_own(c_scene):
    (c_scene.etc / "xencommons").write_text("XENSTORETYPE=domain\n")
    says(c_scene, "xenstored runs in a domain of its own (XENSTORETYPE in "
         "/etc/default/xencommons), where it cannot be replaced")


def test_one_that_does_not_answer_where_it_should(c_scene, tmp_path):
    c_scene.configure(tmp_path / "none")
    says(c_scene, f"xenstored (pid {c_scene.host.daemon.pid}) does not answer on {tmp_path}/none: "
         "No such file or directory")


def test_no_program(c_scene, tmp_path):
    c_scene.configure(c_scene.host.socket, "none")
    says(c_scene, f"{tmp_path}/none cannot be executed: No such file or directory; see "
         "[xenstored] live-update in xsproxy.conf(5)")


def test_a_program_that_would_look_elsewhere(tmp_path):
    """Its own environment says where, which is the native daemon's."""
    with native("C", env=False) as host, Scene(host, tmp_path) as scene:
        says(scene, f"xsproxyd's run-dir is {host.run_dir}, where a live update of process "
             f"{host.daemon.pid} would not look for it")


def test_a_wrong_configuration(c_scene):
    c_scene.config.write_text("[xsproxy]\nsock = /x\n")
    result, out, err = c_scene.ctl("enter")
    assert (result, out) == (1, "") and f"{WHO}{c_scene.config}:2: [xsproxy] sock = /x: " in err


def test_only_root():
    done = subprocess.run([CTL, "enter"], user=65534, extra_groups=[], capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"{WHO}only root may\n")
