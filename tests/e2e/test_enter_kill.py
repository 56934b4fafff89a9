# SPDX-License-Identifier: MIT
"""While xsproxyd is put before a native xenstored a process is killed, at each stage: guests and
clients go on, natively or behind xsproxyd, and what has failed can be begun anew."""

import os
import signal
import socket

import pytest

import native_host
import things
from native_host import Native
from gate import Gate
from ours import events_until_now
from relay import wait_until
from scene import Scene
from supervised import LIVE_UPDATE, Refused
from xsclient import READ

pytestmark = pytest.mark.long

DONE = "xenstored was exchanged"
RESTORED = "the one before was started again"
LINES = {"GIVEN": "state is being taken", "HAVE": "the state waits",
         "STARTED": "a starter has the state", "RETURN": "the new xenstored is told"}
MANY = 3000  # watches of a client, so that it takes a while
CROWD = 600  # clients, which are more than a keeper can be told of that does not listen


class Entering(Scene):
    """xsproxyd is put before a native xenstored."""

    def __init__(self, flavour, tmp_path):
        super().__init__(Native, flavour, tmp_path)
        self.native_pid = self.host.daemon.pid

    def begin(self, *gates, after=None, path=None):
        self.move(gates, lambda: self.host.enter(after or self.after,
                                                 path=path or str(self.program.path)))

    def wait_for(self, stage):
        if stage == "ASKED":
            wait_until(lambda: native_host.executes(self.native_pid, self.update.path))
        else:
            wait_until(lambda: LINES[stage] in self.log())

    def begin_until(self, stage):
        """Begin, and stand still there."""
        if stage == "HAVE":
            self.host.may_start.clear()
        gates = [] if stage == "ASKED" else [self.update]
        if stage == "RETURN":
            gates.append(self.program)
        self.begin(*gates)
        self.wait_for(stage)

    def begin_given(self):
        """Begin, and stand still where xsproxyd has all, and the keeper has not."""
        crowd = [self.host.client() for _ in range(CROWD)]
        for client in crowd:
            client.directory("/")
        self.host.prepare()
        keeper = self.host.keeper.process
        keeper.send_signal(signal.SIGSTOP)
        self.begin_until("GIVEN")
        assert LINES["HAVE"] not in self.log()
        return keeper

    def go_on(self):
        super().go_on()
        self.host.may_start.set()

    def ends(self, word=DONE):
        self.go_on()
        wait_until(lambda: word in self.log())
        self.moving.join()

    def another_keeper(self):
        """xsproxyd looks for one from time to time."""
        self.host.start_keeper()
        wait_until(lambda: "connected to the keeper" in self.log())

    def all_is_there(self, once_more=False):  # pylint: disable=arguments-differ
        """@once_more: the first event of a watch may come again"""
        assert self.guest.read("domid") == b"7"
        if once_more:
            assert set(events_until_now(self.guest)) <= {("data", "t")}
            for peer in (self.kernel, self.client):
                peer.read("/local/domain/7/domid")
                assert {event.path for event in peer.events} <= {"/local/domain/7/data"}
                peer.events.clear()
        super().all_is_there()

    def is_behind(self, once_more=False):
        assert self.host.is_behind() and self.host.daemon.pid != self.native_pid
        self.all_is_there(once_more)

    def is_native(self):
        """As before, and it can be begun anew."""
        if self.moving:
            self.moving.join()
        self.host.wait_native(self.before)
        assert self.host.is_native() and self.host.daemon.pid == self.native_pid
        self.all_is_there()
        self.refused = None
        self.begin(self.update, self.program)
        self.moving.join()
        assert self.refused is None
        self.is_behind()


@pytest.fixture(params=("C", "O"), name="scene")
def scene_fixture(request, tmp_path):
    scene = Entering(request.param, tmp_path)
    yield scene
    scene.close()


# --- xsproxyd

def test_xsproxyd_before_it_has_anything(scene):
    """The program waits for the next one, which expects nobody."""
    scene.begin_until("ASKED")
    scene.restart()
    scene.update.open()
    scene.is_native()


def test_xsproxyd_before_all_is_kept(scene):
    """So all is the native daemon's."""
    keeper = scene.begin_given()
    scene.host.proxy.kill()
    keeper.send_signal(signal.SIGCONT)
    scene.host.start_proxy()
    scene.is_native()


@pytest.mark.parametrize("stage", ("HAVE", "STARTED"))
def test_xsproxyd(scene, stage):
    scene.begin_until(stage)
    scene.restart()
    scene.ends()
    scene.is_behind()


def test_xsproxyd_again_and_again(scene):
    scene.begin_until("HAVE")
    for _ in range(3):
        scene.restart()
    scene.host.may_start.set()
    scene.wait_for("STARTED")
    scene.restart()
    scene.ends()
    scene.is_behind()
    scene.host.replace(scene.before)
    scene.is_behind()


# --- the keeper

@pytest.mark.parametrize("stage", ("ASKED", "GIVEN"))
def test_the_keeper_before_it_has_all(scene, stage):
    if stage == "GIVEN":
        scene.begin_given()
    else:
        scene.begin_until(stage)
    scene.host.keeper.kill()
    scene.update.open()
    scene.moving.join()
    assert "keeper" in str(scene.refused)
    scene.another_keeper()
    scene.is_native()


@pytest.mark.parametrize("stage", ("HAVE", "STARTED"))
def test_the_keeper(scene, stage):
    """The next one is filled: xsproxyd may be killed again."""
    scene.begin_until(stage)
    scene.host.keeper.kill()
    scene.another_keeper()
    scene.ends()
    scene.is_behind()
    scene.restart()
    scene.is_behind()


# --- the native daemon's program

def test_the_program_before_it_has_given_anything(scene):
    """All is lost, as ever when a native xenstored is killed; a fresh one is behind xsproxyd, which
    toolstacks find once it has been restarted."""
    scene.begin_until("ASKED")
    os.kill(scene.native_pid, signal.SIGKILL)
    scene.moving.join()
    assert "the native xenstored has ended" in str(scene.refused)
    wait_until(lambda: "connected to the bridge" in scene.log())
    assert scene.host.is_behind()
    scene.restart()
    with scene.host.client() as client:
        assert not client.exists("/local/domain/7")


def test_the_program_with_all_given(scene):
    """What it has handed over is enough."""
    keeper = scene.begin_given()
    os.kill(scene.native_pid, signal.SIGKILL)
    scene.wait_for("HAVE")
    keeper.send_signal(signal.SIGCONT)
    scene.ends()
    scene.is_behind()


# --- the new daemon

def test_the_new_daemon_before_its_bridge(scene):
    """The one before is started again, behind xsproxyd."""
    scene.begin_until("STARTED")
    wait_until(lambda: native_host.executes(scene.host.daemon.pid, scene.program.path))
    scene.host.daemon.process.kill()
    scene.ends(RESTORED)
    assert isinstance(scene.refused, Refused) and RESTORED in str(scene.refused)
    scene.is_behind()


def test_the_new_daemon_is_none(scene):
    scene.begin(scene.update, path="/nonexistent/xenstored")
    scene.ends(RESTORED)
    assert "cannot be started" in str(scene.refused)
    scene.is_behind()


def has_many(scene):
    for number in range(MANY):
        scene.client.watch(f"/many/{number}", "many")
        scene.client.wait_event()


def stopped_in_return(scene):
    """The new daemon, stopped while it is told of watches."""
    scene.begin(scene.update, scene.program)
    wait_until(lambda: LINES["RETURN"] in scene.log(), poll=0)
    daemon = scene.host.daemon.process
    daemon.send_signal(signal.SIGSTOP)
    assert DONE not in scene.log(), "it was too quick"
    return daemon


@pytest.mark.parametrize("who", ("xsproxyd", "xenstored", "keeper"))
def test_in_return(scene, who):
    has_many(scene)
    daemon = stopped_in_return(scene)
    if who == "xenstored":
        daemon.kill()
    elif who == "xsproxyd":
        scene.restart()
    else:
        scene.host.keeper.kill()
        scene.another_keeper()
    if who != "xenstored":
        daemon.send_signal(signal.SIGCONT)
    scene.ends(RESTORED if who == "xenstored" else DONE)
    scene.is_behind(once_more=who == "xsproxyd")
    scene.host.dom0.write(f"/many/{MANY - 1}", "1")
    assert scene.client.wait_event() == (f"/many/{MANY - 1}", "many")
    things.quiet(scene.client)


# --- it retreats

def test_nobody_expects_it(scene):
    """Somebody has the native daemon execute the program, and xsproxyd is there."""
    scene.host.prepare()
    retreat(scene)


def test_nobody_expects_it_any_more(scene):
    """Who has asked xsproxyd for it has gone."""
    scene.begin_until("ASKED")
    scene.host.control.sock.shutdown(socket.SHUT_RDWR)
    scene.moving.join()
    scene.update.open()
    scene.is_native()


def retreat(scene):
    asking = scene.host.ask_native()
    scene.wait_for("ASKED")
    scene.client.send(READ, b"/local/domain/7/domid\0", req_id=1)
    scene.update.open()
    scene.host.wait_native(scene.before)
    asking.stop()
    assert scene.client.recv_reply().payload == b"7"
    scene.is_native()


def test_there_is_no_xsproxyd(scene):
    """Nor was there ever one: the program does not wait for long."""
    scene.host.link()
    retreat(scene)


@pytest.mark.parametrize("flavour", ("C", "O"))
def test_what_goes_on_natively(flavour, tmp_path):
    """All of it."""
    more = things.OF_C if flavour == "C" else ()
    gate = Gate(tmp_path / "gate", "live-update", LIVE_UPDATE)
    with Native(flavour, live_update=gate.path, log="info") as host:
        host.prepare()

        def retreats():
            asking = host.ask_native()
            wait_until(lambda: native_host.executes(host.daemon.pid, gate.path))
            gate.open()
            host.wait_native(flavour)
            asking.stop()
        things.moved(host, (*things.THINGS, *more), retreats)
        host.check()
