# SPDX-License-Identifier: MIT
"""A daemon goes on with the rings of the one before (bridge/adopt.h): all four of C and O."""

import os
import select

import pytest

from adopting import make_state, start, write_state
from bridge_bed import (
    BIND, CONNECTION, MAP, PAGE, Stack, TIMEOUT, UNBIND, UNMAP, wait_until)
import xensim
import xsclient

pytest_plugins = ("bridge_bed",)  # sim, tools

FLAVOUR = {"C": 1, "O": 2}
STAYS, QUIET, FORGOTTEN, DIES, LATER = 7, 8, 9, 10, 11
VALUE = f"/local/domain/{STAYS}/x"


class Scene:
    """A daemon of @before with rings, and an owner who keeps them."""

    def __init__(self, sim, tools, before):
        self.stack = Stack(sim, before, tools)
        self.sim = sim
        self.rings = {0: xensim.Domain(int((sim.dir / "xsd_port").read_text()), 0)}
        self.owner = self.stack.owner()
        for domid in (STAYS, QUIET, FORGOTTEN, DIES):
            self.rings[domid] = xensim.Domain(*self.stack.introduce(domid))
            self.stack.settle(self.owner, domid)
        self.write("first")
        assert self.owner.read(STAYS, VALUE) == "first"

    def write(self, value):
        with self.stack.client() as dom0:
            dom0.write(VALUE, value)
            dom0.set_perms(VALUE, "r0")

    def attached(self, *without):
        return {domid: self.owner.attach(domid) for domid in self.rings if domid not in without}

    def becomes(self, after, *without, meanwhile=lambda: None):
        """The rings of all but @without go on with a daemon of @after."""
        work = write_state(self.stack)
        self.stack.flavour = after
        rings = {domid: ring for domid, ring in self.rings.items() if domid not in without}
        state = make_state(self.stack, work, rings)
        meanwhile()
        start(self.stack, state, self.owner.memfd)
        return work

    def come_back(self, policy=lambda msg: 0):
        """Another owner, with what the first one has kept."""
        before, self.owner = self.owner, self.stack.owner(policy)
        assert os.fstat(before.memfd).st_ino == os.fstat(self.owner.memfd).st_ino
        before.close()

    def put_in(self):
        """Requests while there is no daemon; the bells are for one that is no more."""
        for domid in (0, STAYS):
            self.owner.send(domid, xsclient.READ, VALUE.encode() + b"\0", 77)

    def take_out(self, value):
        for domid in (0, STAYS):
            assert self.owner.recv(domid) == (xsclient.READ, 77, value.encode())


@pytest.fixture(params=xensim.FLAVOURS, name="scene")
def scene_fixture(request, sim, tools):
    scene = Scene(sim, tools, request.param)
    yield scene
    scene.owner.close()
    scene.stack.daemon.check()


@pytest.fixture(params=xensim.FLAVOURS, name="after")
def after_fixture(request):
    return request.param


def test_rings_go_on(scene, after):
    before = scene.attached()
    scene.becomes(after, meanwhile=scene.put_in)
    scene.come_back()
    scene.take_out("first")
    scene.write("second")
    assert {scene.owner.read(domid, VALUE) for domid in scene.rings} == {"second"}
    scene.put_in()
    scene.take_out("second")
    now = scene.attached()
    for domid, at in before.items():
        # Who has no name for the frame leaves the one that is there.
        assert now[domid]._replace(gfn=at.gfn) == at
        assert now[domid].gfn == (at.gfn if after == "C" else scene.rings[domid].gfn)
    owner = scene.owner
    assert owner.messages == []
    assert owner.lib.owner_flavour(owner.arena) == FLAVOUR[after]
    assert owner.lib.owner_pid(owner.arena) == scene.stack.daemon.pid
    wait_until(lambda: not select.select([owner.wake_stored], [], [], 0)[0])


def numbers(attached):
    return {(at.map_gen, at.bind_gen, at.mapped) for at in attached.values()}


def test_not_in_the_state_or_dead(scene, after):
    assert numbers(scene.attached()) == {(1, 1, 1)}
    scene.becomes(after, FORGOTTEN, meanwhile=lambda: scene.sim.destroy(DIES))

    def is_gone(domid):
        return numbers({domid: scene.owner.attach(domid)}) == {(2, 2, 0)}

    # At once, before anybody connects; oxenstored would not look for who died, were it not told to.
    wait_until(lambda: is_gone(FORGOTTEN) and is_gone(DIES))
    scene.come_back()
    assert numbers(scene.attached(FORGOTTEN, DIES)) == {(1, 1, 1)}
    assert not any(scene.owner.memory[FORGOTTEN * PAGE:(FORGOTTEN + 1) * PAGE])
    with scene.stack.client() as dom0:
        assert [domid for domid in scene.rings if dom0.is_introduced(domid)] == [0, STAYS, QUIET]
    assert "goes on with" in scene.stack.daemon.text()
    assert scene.sim.zombies() == []


def test_afterwards_all_is_as_ever(scene, after):
    """INTRODUCE anew, RELEASE, death; and the C daemon's mark, which dom0 has from the second
    bind on."""
    marks = []

    def policy(msg):
        if msg.type == BIND:
            marks.append(scene.owner.get(msg.domid, CONNECTION))
        return 0

    scene.becomes(after, FORGOTTEN)
    scene.come_back(policy)
    owner, before = scene.owner, scene.attached()
    with scene.stack.client() as dom0:
        for domid, messages in ((STAYS, [UNBIND, BIND]), (FORGOTTEN, [MAP, BIND]),
                                *([(0, [UNBIND, BIND])] if after == "C" else [])):
            port, gfn = scene.rings[domid]
            dom0.introduce(domid, gfn, port)
            assert owner.types(domid) == messages
            scene.stack.settle(owner, domid)
            assert owner.read(domid, VALUE) == "first"
            assert owner.attach(domid).bind_gen > before[domid].bind_gen
        assert marks == ([1, 1, 1] if after == "C" else [0, 0])
        dom0.release(QUIET)
        assert owner.types(QUIET) == [UNBIND, UNMAP]
    scene.stack.introduce(LATER)
    assert owner.types(LATER) == [MAP, BIND]
    scene.sim.destroy(LATER)
    owner.wait(UNMAP, LATER)


def test_once_more(scene, after):
    """Twice, and there and back again; no child of the daemon's sees the rings."""
    first = scene.stack.flavour
    scene.becomes(after)
    scene.come_back()
    work = scene.becomes(first, meanwhile=scene.put_in)
    assert "XSPROXY_RINGS" not in (work / "environment").read_text()
    assert "xsproxy-rings" not in (work / "descriptors").read_text()
    scene.come_back()
    scene.take_out("first")
    assert numbers(scene.attached()) == {(1, 1, 1)}


@pytest.mark.parametrize("lost", ["none", "other"])
def test_rings_are_lost(scene, lost):
    """What it is given is no descriptor, or of something else: it makes new rings."""
    work = write_state(scene.stack)
    state = make_state(scene.stack, work, scene.rings)
    with open("/dev/null", "rb") as other:
        start(scene.stack, state, "none" if lost == "none" else other.fileno())
    old = scene.owner
    scene.owner = scene.stack.owner()
    with old:
        assert os.fstat(old.memfd).st_ino != os.fstat(scene.owner.memfd).st_ino
    assert scene.stack.daemon.text().count("making new ones") == 1
    port, gfn = scene.rings[STAYS]
    with scene.stack.client() as dom0:
        dom0.introduce(STAYS, gfn, port)
    scene.stack.settle(scene.owner, STAYS)
    assert scene.owner.read(STAYS, VALUE) == "first"


def test_no_bridge_for_the_rings(scene):
    """It would take the real pages, which somebody else serves."""
    stack = scene.stack
    state = make_state(stack, write_state(stack), scene.rings)
    stack.dir.chmod(0o755)
    start(stack, state, scene.owner.memfd, ready=False)
    stack.daemon.ended = True
    assert stack.daemon.wait(TIMEOUT) not in (0, None)
    assert "ends instead" in stack.daemon.text()
    assert {dom["maps"] for domid, dom in scene.sim.list().items() if domid} == {0}
    # All is there for the next one.
    stack.dir.chmod(0o700)
    scene.put_in()
    start(stack, make_state(stack, stack.sim.dir / "dumped-0", scene.rings), scene.owner.memfd)
    scene.come_back()
    scene.take_out("first")
