# SPDX-License-Identifier: MIT
"""What a host starts as its xenstored, and when it waits for xsproxyd."""

import errno
import os
import signal
import subprocess

import pytest

import xensim
import xsclient
from bridge_bed import BRIDGE, BUILD, wait_until
from starting import (AFRESH, ENOUGH, LEFT, LIVE_UPDATE, STARTER, STATE, WANT, Bed)

pytest_plugins = ("bridge_bed",)

WAITS = "xsproxy: xenstored waits for xsproxyd"


@pytest.fixture(name="bed")
def a_bed(sim, tools):
    with Bed(sim, tools) as bed:
        yield bed


@pytest.fixture(params=xensim.FLAVOURS)
def flavour(request):
    return request.param


def assert_serves(bed):
    bed.daemon.wait_ready()
    with bed.client() as client:
        client.write("/tool/x", "1")
        assert client.read("/tool/x") == b"1"


# --- afresh

def test_the_first_one_needs_nobody(bed, flavour):
    daemon = bed.start(flavour, "--pid-file", bed.sim.dir / "pid", LD_PRELOAD="")
    assert_serves(bed)
    assert daemon.text().count("xsproxy") == 0
    assert bed.argv() == [str(bed.sim.daemon_argv(flavour)[0]), "--no-fork", "--pid-file",
                          str(bed.sim.dir / "pid")]
    assert int((bed.sim.dir / "pid").read_text()) == daemon.pid
    env = bed.environ()
    assert env["LD_PRELOAD"] == f"{BRIDGE}:{BUILD}/libxensim.so"
    assert env.get("XENSTORED_PATH") == (str(bed.dir / "upstream") if flavour == "C" else None)
    assert "XSPROXY_RINGS" not in env


def test_afresh(bed, flavour):
    bed.serve()
    bed.conduct()
    bed.start(flavour, XSPROXY_RINGS="77")
    with bed.conductor.accept() as talk:
        talk.send(AFRESH)
        assert talk.recv() is None
    assert_serves(bed)
    assert WAITS not in bed.daemon.text() and "XSPROXY_RINGS" not in bed.environ()


def test_what_was_left_is_not_given_to_the_next_one(bed, flavour):
    for name, begin in ("state_dump", b"xenstore"), ("db", b"$xenstored-dump-format\n"):
        (bed.stored / name).write_bytes(begin)
    bed.start(flavour)
    assert_serves(bed)
    assert not (bed.stored / "state_dump").exists() and not (bed.stored / "db").exists()


def test_it_waits_for_xsproxyd(bed, flavour):
    """Which may have what the guests had: with an empty store they would be lost."""
    bed.serve()
    daemon = bed.start(flavour)
    wait_until(lambda: WAITS in daemon.text())
    for _ in range(3):
        with bed.conduct() as conductor, conductor.accept():
            pass  # and once more away, with the starter's socket
    with bed.conduct().accept() as talk:
        talk.send(AFRESH)
    assert_serves(bed)
    assert daemon.text().count(WAITS) == 1


def test_it_waits_no_more_without_the_file(bed):
    """What an administrator can do who has removed xsproxy."""
    bed.serve()
    daemon = bed.start("C")
    wait_until(lambda: WAITS in daemon.text())
    (bed.dir / "served").unlink()
    assert_serves(bed)


@pytest.mark.parametrize("answers", (False, True))
def test_an_xsproxyd_that_says_nothing_of_use(bed, answers):
    """None has served yet, so there is nothing to wait for."""
    bed.conduct()
    bed.start("C")
    with bed.conductor.accept() as talk:
        if answers:
            talk.send(4711)
            assert talk.recv() is None
        assert_serves(bed)


def test_what_was_spoken_of_is_waited_for(bed):
    """Also if the file is gone: there is a state."""
    bed.conduct()
    daemon = bed.start("C")
    with bed.conductor.accept() as talk:
        talk.send(WANT)
        assert talk.recv().type == STATE
    bed.conductor.close()
    wait_until(lambda: WAITS in daemon.text())
    with bed.conduct().accept() as talk:
        talk.send(AFRESH)
    assert_serves(bed)


@pytest.mark.parametrize("mode", (0o755, 0o777))
def test_a_directory_of_others_has_no_xsproxyd(bed, mode):
    bed.serve()
    bed.conduct()
    bed.dir.chmod(mode)
    bed.start("C")
    bed.daemon.wait_ready()
    assert WAITS not in bed.daemon.text()  # what becomes of it then is the bridge's
    with bed.sim.client() as client:
        client.directory("/")


def test_enough(bed):
    bed.serve()
    bed.conduct()
    bed.start("C")
    with bed.conductor.accept() as talk:
        talk.send(ENOUGH)
        bed.daemon.ended = True
        assert bed.daemon.wait() == 0


def test_a_signal_ends_it(bed):
    bed.serve()
    daemon = bed.start("C")
    wait_until(lambda: WAITS in daemon.text())
    assert daemon.kill(signal.SIGTERM) == -signal.SIGTERM


def test_a_daemon_that_is_not_there(bed):
    bed.start("C", daemon="/nonexistent/xenstored")
    bed.daemon.ended = True
    assert bed.daemon.wait() == 127
    assert bed.daemon.text() == ("xsproxy: cannot start /nonexistent/xenstored: No such file or "
                                 "directory\n")


@pytest.mark.parametrize("argv, status", [
    ([STARTER, "--help"], 0), ([STARTER], 2), ([STARTER, "xenstored"], 2),
    ([LIVE_UPDATE, "--live", "--restart", "--help"], 0)])
def test_usage(argv, status):
    done = subprocess.run(argv, capture_output=True, text=True, check=False,
                          env={"XSPROXY_DIR": "/nonexistent"})
    assert done.returncode == status
    said = done.stdout + done.stderr
    assert said.startswith("Usage: starter DAEMON") if argv[0] == STARTER else not said


def test_a_question_is_answered_by_the_daemon(bed):
    """At once, and nothing is touched."""
    bed.serve()
    (bed.stored / "state_dump").write_bytes(b"xenstore")
    done = subprocess.run([STARTER, bed.sim.daemon_argv("C")[0], "--help"], capture_output=True,
                          text=True, check=False, env=bed.sim.env(XSPROXY_DIR=bed.dir,
                                                                  XSPROXY_STORED_DIR=bed.stored))
    assert done.returncode == 0 and "--pid-file" in done.stderr
    assert (bed.stored / "state_dump").exists()


# --- a live update

def test_a_live_update_hands_over_the_state(bed, flavour):
    bed.serving(flavour)
    bed.conduct()
    with bed.client() as client:
        client.write("/tool/x", "handed over")
    state = bed.handed_over()
    assert state.startswith(b"xenstore" if flavour == "C" else b"$xenstored-dump-format\n")
    assert b"handed over" in state or b"handed over".hex().encode() in state
    # For the next one, in case that who was told has ended meanwhile.
    assert (bed.stored / LEFT[flavour]).read_bytes() == state


def test_a_live_update_lets_go_of_all(bed, flavour):
    """Clients and the next daemon must not wait for what has become nothing."""
    bed.serving(flavour)
    bed.conduct()
    with bed.client() as other, bed.live_update():
        fds = [os.readlink(fd) for fd in bed.proc("fd").iterdir() if int(fd.name) > 2]
        assert len(fds) == 1 and fds[0].startswith("socket:"), fds
        with pytest.raises((xsclient.Closed, ConnectionError)):
            other.read("/")


def test_a_live_update_while_xsproxyd_comes_and_goes(bed, flavour):
    bed.serving(flavour)
    bed.conduct()
    with bed.live_update():
        bed.conductor.close()
    wait_until(lambda: WAITS in bed.daemon.text())
    with bed.conduct().accept(1) as talk:
        state = talk.wanted()
    with bed.conductor.accept(1) as talk:
        assert talk.wanted() == state
        talk.send(ENOUGH)
        bed.daemon.ended = True
        assert bed.daemon.wait() == 0


def test_a_live_update_that_was_killed(bed, flavour):
    """The next one finds what the daemon has left."""
    bed.serving(flavour)
    bed.conduct()
    with bed.live_update():
        bed.daemon.kill()
    bed.start(flavour)
    with bed.conductor.accept() as talk:
        state = talk.wanted()
    assert state == (bed.stored / LEFT[flavour]).read_bytes()


def test_a_live_update_is_never_afresh(bed, flavour):
    bed.serving(flavour)
    bed.conduct()
    with bed.live_update() as talk:
        talk.send(AFRESH)
        bed.daemon.ended = True
        assert bed.daemon.wait() == 0


def test_nothing_was_left(bed):
    bed.serve()
    bed.conduct()
    bed.start("C")
    with bed.conductor.accept() as talk:
        talk.send(WANT)
        said = talk.recv()
        assert (said.type, said.value, talk.octets) == (STATE, -errno.ENOENT, None)
    assert "no xenstored has left a state" in bed.daemon.text()


CONFIGURATION = """
xenstored-kva = /proc/xen/xsd_kva
xenstored-port = /proc/xen/xsd_port
access-log-file = /var/log/xen/xenstored-access.log
access-log-nb-lines = 5
access-log-nb-files = 2
access-log-special-ops = true
"""


def test_what_oxenstored_writes_now_and_then(bed):
    """When its access log is full it writes its state, too; that is soon no longer true."""
    bed.sim.path("/var/log/xen").mkdir(parents=True, exist_ok=True)
    config = bed.sim.dir / "oxenstored.conf"
    config.write_text(CONFIGURATION)
    bed.serving("O", "--config-file", config)
    with bed.client() as client:
        for _ in range(10):
            client.get_domain_path(7)
            client.write("/data", "x")
    assert (bed.stored / "db").read_bytes().startswith(b"$xenstored-dump-format\nglobal,-1\n")
    bed.daemon.kill()
    bed.conduct()
    bed.start("O")
    with bed.conductor.accept() as talk:
        talk.send(WANT)
        assert talk.recv() == (STATE, 0, -errno.ENOENT)


# --- the wrapper

WRAPPER = BUILD / "xenstored-wrapper"


def wrapped(bed, flavour, starter):
    env = {**xensim.SAY_READY, "XSPROXY_DIR": bed.dir, "XSPROXY_BRIDGE": BRIDGE,
           "XSPROXY_STARTER": starter, "XSPROXY_XENSTORED": bed.sim.daemon_argv(flavour)[0],
           "XSPROXY_STORED_DIR": bed.stored}
    bed.daemon = bed.sim.start("wrapped", [WRAPPER, "--no-fork"], ready=False, env=env,
                               polite=False)


def test_the_wrapper_becomes_the_starter(bed, flavour):
    bed.serve()
    bed.conduct()
    wrapped(bed, flavour, STARTER)
    with bed.conductor.accept() as talk:
        # Nothing but the daemon runs with the bridge.
        assert os.readlink(bed.proc("exe")) == str(STARTER)
        assert bed.environ()["LD_PRELOAD"] == f"{BUILD}/libxensim.so"
        talk.send(AFRESH)
    assert_serves(bed)
    assert bed.environ()["LD_PRELOAD"] == f"{BRIDGE}:{BUILD}/libxensim.so"
    assert bed.argv()[1:] == ["--no-fork"]


@pytest.mark.parametrize("starter, says", [("missing", False), ("false", True)])
def test_the_wrapper_without_the_starter(bed, flavour, starter, says):
    program = bed.sim.dir / starter
    if says:
        program.write_text("#!/bin/false\n")
        program.chmod(0o755)
    bed.serve()
    wrapped(bed, flavour, program)
    assert_serves(bed)
    assert ("does not run" in bed.daemon.text()) == says
    assert bed.environ()["LD_PRELOAD"] == f"{BRIDGE}:{BUILD}/libxensim.so"
