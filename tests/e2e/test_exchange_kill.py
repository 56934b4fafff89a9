# SPDX-License-Identifier: MIT
"""While xenstored is exchanged a process is killed, at each stage; guests and clients go on, with
one daemon or the other."""

import contextlib
import signal
import threading

import pytest

from gate import Gate
from harness import DAEMONS, xensim
from native_host import executes
from ours import events_until_now, said
from relay import wait_until
from supervised import LIVE_UPDATE, Refused, Supervised
from xsclient import READ

pytestmark = pytest.mark.long

OTHER = {"C": "O", "O": "C"}
ENDS = ("xenstored was exchanged", "exchange of xenstored: xsproxyd was started anew",
        "was started again")
STAGES = {"REST": "connections are coming to rest", "ASKED": "xenstored was asked",
          "HAVE": "the state waits", "STARTED": "a starter has the state",
          "RETURN": "the new xenstored is told"}


class Scene:
    """A host with a guest and a client that have watches and a transaction each."""

    def __init__(self, flavour, tmp_path):
        self.before, self.after = flavour, OTHER[flavour]
        self.update = Gate(tmp_path / "update", "live-update", LIVE_UPDATE)
        daemon = xensim.XEN_BIN / DAEMONS[self.after]
        self.daemon = Gate(tmp_path / "daemon", DAEMONS[self.after], daemon)
        self.host = Supervised(flavour, live_update=self.update.path, log="info")
        self.guest = self.host.add_guest(7)
        self.guest.watch("data", "guest")
        self.guest.wait_watch()
        self.client = self.host.client()
        self.client.watch("/local/domain/7/data", "client")
        self.client.wait_event()
        self.tx = self.guest.start()
        self.guest.write("data/tx", "lost", tx=self.tx)
        self.asking = None

    def log(self):
        return (self.host.sim.dir / "xsproxyd.log").read_text()

    def begin(self, open_gates):
        """Begin, and go as far as the gates let it."""
        for gate in open_gates:
            gate.open()

        def ask():
            with contextlib.suppress(Refused, ValueError, OSError):
                self.host.ask("replace", **{"with": str(self.daemon.path)})
        self.asking = threading.Thread(target=ask)
        self.asking.start()

    def wait_for(self, stage):
        wait_until(lambda: STAGES[stage] in self.log())

    def wait_end(self):
        self.update.open()
        self.daemon.open()
        self.host.may_start.set()
        wait_until(lambda: any(end in self.log() for end in ENDS))
        self.asking.join()

    def goes_on(self, parted=True, once_more=False):
        """All that they had is there, and nothing has come that need not. @parted: the transaction
        conflicts; @once_more: the first event of a watch may come again"""
        assert self.guest.read("domid") == b"7"
        assert said(self.guest.end, self.tx, commit=parted) == ("EAGAIN" if parted else None)
        if once_more:
            assert set(events_until_now(self.guest)) <= {("data", "guest")}
        self.guest.write("data/x", "1")
        assert self.guest.wait_watch() == ("data/x", "guest")
        assert self.client.wait_event() == ("/local/domain/7/data/x", "client")
        assert self.client.read("/local/domain/7/data/x") == b"1"
        assert not self.client.exists("/local/domain/7/data/tx")
        self.guest.call(READ, b"domid\0")
        assert not self.guest.events
        with self.host.client() as new:
            assert new.read("/local/domain/7/data/x") == b"1"


def test_a_second_daemon():
    """An init script that does not find the first one starts another: that ends, and says why."""
    with Supervised("C", log="info") as host:
        guest, pid = host.add_guest(7), host.daemon.pid
        host.may_start.clear()
        first, second = host.daemon, host._start_once()
        second.wait()
        assert second.process.returncode == 0 and first.alive()
        assert "a second xenstored was to be started; it is not, for process" in (
            host.sim.dir / "xsproxyd.log").read_text()
        host.daemon = first
        host.may_start.set()
        assert guest.read("domid") == b"7" and host.daemon.pid == pid
        with host.client() as client:
            assert client.read("/local/domain/7/domid") == b"7"
        host.proxy.kill()
        host.start_proxy()
        assert guest.read("domid") == b"7"
        host.replace("O")
        assert guest.read("domid") == b"7"


@pytest.fixture(params=("C", "O"), name="scene")
def scene_fixture(request, tmp_path):
    scene = Scene(request.param, tmp_path)
    try:
        yield scene
    except BaseException:
        scene.host.dump()
        raise
    finally:
        scene.host.close()


def gates(scene, stage):
    """What must be open so that it gets to a stage, and not beyond."""
    if stage in ("REST", "ASKED"):
        return ()
    if stage == "HAVE":
        scene.host.may_start.clear()
    if stage in ("HAVE", "STARTED"):
        return (scene.update,)
    return (scene.update, scene.daemon)


def hold_daemon(scene, stage):
    """At REST xenstored answers nobody, so it stays there."""
    if stage != "REST":
        return
    scene.host.daemon.process.send_signal(signal.SIGSTOP)
    scene.client.send(READ, b"/local\0")


def release_daemon(scene, stage):
    if stage != "REST":
        return
    scene.host.daemon.process.send_signal(signal.SIGCONT)
    scene.client.recv_reply()


@pytest.mark.parametrize("stage", ("REST", "ASKED", "HAVE", "STARTED"))
def test_xsproxyd(scene, stage):
    hold_daemon(scene, stage)
    scene.begin(gates(scene, stage))
    scene.wait_for(stage)
    scene.host.proxy.kill()
    scene.host.start_proxy()
    release_daemon(scene, stage)
    scene.wait_end()
    scene.goes_on(parted=stage != "REST")


def test_xsproxyd_twice(scene):
    """With the state, and then with the other daemon there, which waits for it."""
    scene.begin(gates(scene, "HAVE"))
    scene.wait_for("HAVE")
    scene.host.proxy.kill()
    scene.host.start_proxy()
    scene.daemon.open()
    scene.host.may_start.set()
    scene.wait_for("STARTED")
    scene.host.proxy.kill()
    scene.host.start_proxy()
    scene.wait_end()
    scene.goes_on()
    scene.host.replace(scene.before)
    scene.guest.write("data/y", "1")
    assert scene.guest.wait_watch() == ("data/y", "guest")


def test_live_update(scene):
    """It is killed with the state; the starter finds it on disk."""
    scene.begin((scene.daemon,))
    scene.wait_for("ASKED")
    wait_until(lambda: executes(scene.host.daemon.pid, scene.update.path))
    scene.host.daemon.process.kill()
    scene.wait_end()
    scene.goes_on()


def test_new_daemon(scene):
    """Before its bridge is there: the old one is started again."""
    scene.begin((scene.update,))
    scene.wait_for("STARTED")
    wait_until(lambda: executes(scene.host.daemon.pid, scene.daemon.path))
    scene.host.daemon.process.kill()
    scene.wait_end()
    assert "the one before was started again" in scene.log()
    scene.goes_on()


# --- the new daemon is told of what there is

MANY = 3000  # watches of a client, so that it takes a while


def stopped_in_return(scene):
    """The new daemon, stopped while it is told."""
    scene.begin((scene.update, scene.daemon))
    wait_until(lambda: STAGES["RETURN"] in scene.log(), poll=0)
    daemon = scene.host.daemon.process
    daemon.send_signal(signal.SIGSTOP)
    return daemon if not any(end in scene.log() for end in ENDS) else None


def many(scene):
    client = scene.host.client()
    for number in range(MANY):
        client.watch(f"/many/{number}", "many")
        client.wait_event()
    return client


def still_has_many(scene, client):
    scene.host.dom0.write(f"/many/{MANY - 1}", "1")
    assert client.wait_event() == (f"/many/{MANY - 1}", "many")
    client.read("/many")
    assert not client.events


@pytest.mark.parametrize("who", ("xsproxyd", "xenstored"))
def test_in_return(scene, who):
    client = many(scene)
    daemon = stopped_in_return(scene)
    assert daemon, "it was too quick"
    if who == "xenstored":
        daemon.kill()
    else:
        scene.host.proxy.kill()
        scene.host.start_proxy()
        daemon.send_signal(signal.SIGCONT)
    scene.wait_end()
    still_has_many(scene, client)
    scene.goes_on(once_more=who == "xsproxyd")
