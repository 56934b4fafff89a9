# SPDX-License-Identifier: MIT
"""The bridge alone: what xenstored attaches, and how it is told (bridge_bed.py)."""

import contextlib
import errno
import os
import stat
import subprocess

import pytest

from bridge_bed import BIND, CONNECTION, HELLO, MAP, Msg, UNBIND, UNMAP, wait_until
import xensim
import xsclient
from xsclient import XsError

pytest_plugins = ("bridge_bed",)  # stack, cold, sim, tools


# Without an owner.


def test_starts_alone(stack):
    for name in ("bridge", "upstream"):
        mode = (stack.dir / name).stat().st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert not stack.sim.path(xensim.SOCKET).exists()
    done = subprocess.run(["xenstore-ls", "/tool"], capture_output=True, text=True, check=True,
                          env={"XENSTORED_PATH": str(stack.dir / "upstream"),
                               "PATH": os.environ["PATH"]})
    assert "xenstored" in done.stdout


def test_introduces_alone(stack):
    port, gfn = stack.introduce(7)
    with stack.client() as dom0:
        dom0.introduce(7, gfn, port)
        assert dom0.is_introduced(7)
        dom0.release(7)
        assert not dom0.is_introduced(7)
        dom0.introduce(7, gfn, port)
    # Nothing real was touched.
    assert stack.sim.list()[7]["maps"] == 0
    assert stack.sim.list()[7]["port"] == "unbound"


def test_domain_dies_alone(stack):
    stack.introduce(7)
    with stack.client() as dom0:
        dom0.watch("@releaseDomain", "t")
        dom0.wait_event()
        stack.sim.destroy(7)
        dom0.wait_event()
        assert not dom0.is_introduced(7)
    assert stack.sim.zombies() == []


# The link.


def test_hello(stack):
    port, gfn = stack.introduce(7)
    with stack.owner() as owner:
        assert owner.hello == Msg(HELLO, 0, 0, 2)
        assert owner.lib.owner_flavour(owner.arena) == (1 if stack.flavour == "C" else 2)
        assert owner.lib.owner_pid(owner.arena) == stack.daemon.pid
        dom0_port = int((stack.sim.dir / "xsd_port").read_text())
        assert owner.attach(0) == (1, 1, dom0_port, 0, 1)
        assert owner.attach(7) == (1, 1, port, 0 if stack.flavour == "C" else gfn, 1)
        assert owner.attach(8).mapped == 0
        assert owner.messages == []
        # Nobody introduced dom0, so nobody would take the mark away.
        assert owner.get(0, CONNECTION) == 0


def test_round_trips(stack):
    states = []
    with stack.owner(lambda msg: states.append(owner.attach(msg.domid)) or 0) as owner:
        port, gfn = stack.introduce(7)
        if stack.flavour == "C":
            gfn = 0
        assert owner.wait(MAP, 7).value == 0
        assert owner.wait(BIND, 7).value == port
        with stack.client() as dom0:
            dom0.release(7)
            owner.wait(UNBIND, 7)
            owner.wait(UNMAP, 7)
            # The memory shows what the message tells, when the message comes.
            assert [s[:2] + (s.mapped,) for s in states] == [
                (1, 0, 1), (1, 1, 1), (1, 2, 1), (2, 2, 0)]
            assert states[1] == (1, 1, port, gfn, 1)
            dom0.introduce(7, gfn, port)
            assert owner.attach(7) == (3, 3, port, gfn, 1)


def test_connection_is_marked_for_c_only(stack):
    """Set when xsproxyd hears of the bind, gone when the daemon is done with the indexes."""
    seen = []

    def policy(msg):
        if msg.type == BIND:
            seen.append(owner.get(7, CONNECTION))
        return 0

    with stack.owner(policy) as owner:
        port, gfn = stack.introduce(7)
        stack.settle(owner, 7)
        with stack.client() as dom0:
            dom0.introduce(7, gfn, port)
        stack.settle(owner, 7)
        assert seen == ([1, 1] if stack.flavour == "C" else [0, 0])


def test_drives_a_ring(stack):
    with stack.owner() as owner:
        stack.introduce(7)
        stack.settle(owner, 7)
        with stack.client() as dom0:
            dom0.write("/local/domain/7/x", "value")
            dom0.set_perms("/local/domain/7/x", "n0", "r7")
            for _ in range(50):
                assert owner.read(7, "x") == "value"
            owner.send(7, xsclient.WATCH, b"x\0token\0")
            assert owner.recv(7)[0] == xsclient.WATCH
            assert owner.recv(7)[0] == xsclient.WATCH_EVENT
            dom0.write("/local/domain/7/x", "new")
            assert owner.recv(7) == (xsclient.WATCH_EVENT, 0, b"x\0token\0")
        # The dom0 kernel's ring is one like the others.
        assert owner.read(0, "/local/domain/7/x") == "new"


def test_many_domains(stack):
    with stack.owner() as owner:
        domains = stack.sim.create_range(1, 100)
        with stack.client() as dom0:
            for domid, (port, gfn) in domains.items():
                dom0.introduce(domid, gfn, port)
                dom0.mkdir(f"/local/domain/{domid}")
                dom0.set_perms(f"/local/domain/{domid}", f"n{domid}")
        for domid in domains:
            stack.settle(owner, domid)
            owner.send(domid, xsclient.WRITE, b"me\0%d" % domid)
        for domid in domains:
            assert owner.recv(domid)[0] == xsclient.WRITE
            assert owner.read(domid, "me") == str(domid)
        stack.sim.destroy("1-100")
        for domid in domains:
            wait_until(lambda d=domid: not owner.attach(d).mapped)
    assert stack.sim.zombies() == []


def test_rebind_keeps_the_port(stack):
    """oxenstored would serve the domain every 20 s only, if its local port changed."""
    with stack.owner() as owner:
        port, gfn = stack.introduce(7)
        stack.settle(owner, 7)
        with stack.client() as dom0:
            dom0.write("/local/domain/7/x", "1")
            dom0.set_perms("/local/domain/7/x", "n0", "r7")
            owner.types(7)
            for _ in range(3):
                dom0.introduce(7, gfn, port)
                stack.settle(owner, 7)
                assert owner.types(7) == [UNBIND, BIND]
                for _ in range(5):
                    assert owner.read(7, "x", timeout=5) == "1"


def test_bind_without_unbind(stack):
    """oxenstored unmaps at RELEASE and says nothing of its port."""
    with stack.owner() as owner:
        port, gfn = stack.introduce(7)
        with stack.client() as dom0:
            dom0.release(7)
            dom0.introduce(7, gfn, port)
            dom0.release(7)
        assert owner.types(7) == [MAP, BIND, UNBIND, UNMAP] * 2


def test_destroy_is_told(stack):
    with stack.owner() as owner:
        stack.introduce(7)
        stack.introduce(8)
        stack.sim.destroy(7)
        owner.wait(UNBIND, 7)
        owner.wait(UNMAP, 7)
        wait_until(lambda: owner.attach(7) == (2, 2) + owner.attach(7)[2:4] + (0,))
        assert owner.attach(8).mapped
    assert stack.sim.zombies() == []


# Answers.


@pytest.mark.parametrize("refused", [MAP, BIND])
def test_refusal_fails_introduce(stack, refused):
    refuse = {refused: -errno.ENOENT}
    with stack.owner(lambda msg: refuse.get(msg.type, 0)) as owner:
        port, gfn = stack.sim.create(7)
        with stack.client() as dom0:
            for _ in range(2):
                with pytest.raises(XsError) as error:
                    dom0.introduce(7, gfn, port)
                assert error.value.name == ("ENOENT" if stack.flavour == "C" else "EINVAL")
                assert not dom0.is_introduced(7)
                # Nothing stays behind, or the domain could never die.
                assert owner.types(7) == ([MAP] if refused == MAP else [MAP, BIND, UNMAP])
                assert owner.attach(7).map_gen % 2 == owner.attach(7).bind_gen % 2 == 0
                assert not owner.attach(7).mapped
            refuse.clear()
            dom0.introduce(7, gfn, port)
            assert owner.types(7) == [MAP, BIND]


def test_refused_rebind_keeps_the_domain(stack):
    refuse = {}
    with stack.owner(lambda msg: refuse.get(msg.type, 0)) as owner:
        port, gfn = stack.introduce(7)
        refuse[BIND] = -errno.EINVAL
        with stack.client() as dom0:
            with contextlib.suppress(XsError):  # C says OK nevertheless
                dom0.introduce(7, gfn, port)
            assert owner.attach(7).mapped and owner.attach(7).bind_gen % 2 == 0
            refuse.clear()
            dom0.introduce(7, gfn, port)
            stack.settle(owner, 7)
            dom0.write("/local/domain/7", "1")
            dom0.set_perms("/local/domain/7", "n0", "r7")
            assert owner.read(7, "/local/domain/7") == "1"


def test_refused_unbind_is_ignored(stack):
    """There is no way back: the daemon is done with the domain."""
    with stack.owner(lambda msg: -errno.EIO if msg.type in (UNBIND, UNMAP) else 0) as owner:
        port, gfn = stack.introduce(7)
        with stack.client() as dom0:
            dom0.release(7)
            assert not owner.attach(7).mapped
            dom0.introduce(7, gfn, port)
