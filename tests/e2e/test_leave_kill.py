# SPDX-License-Identifier: MIT
"""While xsproxyd leaves a process is killed, at each stage; guests and clients go on, natively or
behind xsproxyd, and what has failed can be begun anew."""

import socket

import pytest

import native_host
from control import Control
from harness import xensim
from native_host import Behind
from relay import wait_until
from scene import Scene
from xsclient import READ

pytestmark = pytest.mark.long

DONE = "a native xenstored has all"
LINES = {"BEFORE": "waiting for open transactions", "ASKED": "xenstored was asked for its state",
         "LEAVING": "a native xenstored is given all"}


class Leaving(Scene):
    """A native xenstored takes xsproxyd's place."""

    def __init__(self, flavour, tmp_path):
        super().__init__(Behind, flavour, tmp_path)

    def begin(self, *gates):
        self.move(gates, lambda: self.host.leave(self.after, path=str(self.program.path)))

    def begin_until(self, stage):
        """Begin, and stand still there."""
        self.begin(*[self.update] * (stage == "LEAVING"))
        wait_until(lambda: LINES[stage] in self.log())
        if stage == "ASKED":
            wait_until(lambda: native_host.executes(self.host.daemon.pid, self.update.path))
        elif stage == "LEAVING":
            wait_until(lambda: native_host.executes(self.host.daemon.pid, self.program.path))

    def ends(self):
        self.moving.join(xensim.TIMEOUT)
        assert not self.moving.is_alive()

    def is_native(self):
        """It is done; xsproxyd and the keeper are not needed any more."""
        self.ends()
        self.host.wait_native(self.after)
        assert self.host.is_native()
        self.host.dismiss()
        self.all_is_there()

    def is_behind(self, why=""):
        """As before; then it can be begun anew."""
        self.ends()
        with Control(self.host) as control:
            control.wait(lambda status: (status["state"], status["exchange"]) == ("running", None),
                         "status")
        assert self.refused and why in str(self.refused)
        self.all_is_there()
        assert self.host.is_behind()
        self.refused = None
        self.begin()
        self.ends()
        assert self.refused is None
        self.is_native()


@pytest.fixture(params=("C", "O"), name="scene")
def scene_fixture(request, tmp_path):
    scene = Leaving(request.param, tmp_path)
    yield scene
    scene.close()


# --- xsproxyd

def test_xsproxyd_before_it_begins(scene):
    tx = scene.guest.start()
    scene.begin_until("BEFORE")
    scene.restart()
    scene.go_on()
    scene.ends()
    scene.guest.end(tx)
    scene.all_is_there()
    assert scene.host.is_behind()


def test_xsproxyd_when_the_daemon_was_asked(scene):
    """Then it was an exchange, for the daemon that was there."""
    scene.begin_until("ASKED")
    scene.restart()
    scene.go_on()
    scene.is_behind()


def test_xsproxyd_before_the_native_daemon_serves(scene):
    """The next one touches nothing, and finds out."""
    scene.begin_until("LEAVING")
    scene.restart()
    scene.client.send(READ, b"/local/domain/7/domid\0", req_id=1)
    scene.guest.send(READ, b"domid\0", req_id=2)
    scene.go_on()
    assert scene.client.recv_reply().req_id == 1
    assert scene.guest.recv_reply().req_id == 2
    wait_until(lambda: DONE in scene.log())
    scene.is_native()


def test_xsproxyd_twice(scene):
    scene.begin_until("ASKED")
    scene.restart()
    scene.restart()
    scene.go_on()
    scene.is_behind()


def test_xsproxyd_again_and_again(scene):
    scene.begin_until("LEAVING")
    for _ in range(3):
        scene.restart()
    scene.go_on()
    wait_until(lambda: DONE in scene.log())
    for _ in range(2):
        scene.restart()
    scene.is_native()


# --- the keeper

@pytest.mark.parametrize("stage", ("ASKED", "LEAVING"))
def test_the_keeper(scene, stage):
    scene.begin_until(stage)
    scene.host.keeper.kill()
    scene.host.start_keeper()
    scene.go_on()
    scene.is_native()


def test_both_before_the_native_daemon_serves(scene):
    """Nobody knows any more that xsproxyd has left; the daemon has all, and serves."""
    scene.begin_until("LEAVING")
    scene.host.proxy.kill()
    scene.host.keeper.kill()
    scene.go_on()
    scene.is_native()


# --- the program, and what it becomes

def test_the_program(scene):
    """Its state lies on disk: it is an exchange, for the daemon that was there."""
    scene.begin_until("ASKED")
    scene.host.daemon.process.kill()
    scene.go_on()
    scene.is_behind("the program that takes xenstored's state has ended; all goes on as before")


def test_the_native_daemon(scene):
    """Before it serves: nothing has changed."""
    scene.begin_until("LEAVING")
    scene.host.daemon.process.kill()
    scene.go_on()
    scene.is_behind("the native xenstored ended at its start")


def test_the_native_daemon_and_xsproxyd(scene):
    scene.begin_until("LEAVING")
    scene.host.proxy.kill()
    scene.host.daemon.process.kill()
    scene.host.start_proxy()
    scene.go_on()
    scene.is_behind()


# --- who has asked

def test_nobody_waits_for_it_any_more(scene):
    """What has begun goes on."""
    scene.begin_until("LEAVING")
    scene.host.control.sock.shutdown(socket.SHUT_RDWR)
    scene.ends()
    scene.go_on()
    wait_until(lambda: DONE in scene.log())
    scene.is_native()
