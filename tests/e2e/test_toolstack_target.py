# SPDX-License-Identifier: MIT
"""RELEASE of a domain that a stubdomain holds on to (SET_TARGET): the C daemon answers OK, keeps
it, and ends when both have ended. Behind xsproxy it does not see that RELEASE."""

import contextlib

import pytest

from harness import Host
from relay import introduce, wait_until
from xsclient import SET_TARGET, XsError, join

GUEST, STUBDOMAIN = 7, 8
HELD = "a stubdomain holds on to it"


@contextlib.contextmanager
def scene(flavour="C", config="", target=True):
    """A guest, and where its page is; its stubdomain."""
    with Host(flavour, config=config) as host:
        guest, domain = introduce(host, GUEST)
        introduce(host, STUBDOMAIN)
        if target:
            host.dom0.set_target(STUBDOMAIN, GUEST)
        yield host, guest, domain
        assert host.dom0.exists("/tool")  # the daemon answers
        host.check()


@pytest.mark.parametrize("releases", [1, 2, 3])
@pytest.mark.parametrize("order", [(STUBDOMAIN, GUEST), (GUEST, STUBDOMAIN)])
def test_both_end(releases, order):
    with scene() as (host, guest, _):
        for _ in range(releases):
            host.dom0.release(GUEST)
            assert host.dom0.is_introduced(GUEST)
            assert guest.read("name") == b"guest-7"
        assert host.proxy.text().count(HELD) == releases
        for domid in order:
            host.sim.destroy(domid)
            host.dom0.directory("/")  # it has seen that
        wait_until(lambda: not host.dom0.is_introduced(GUEST))
        assert not host.dom0.is_introduced(STUBDOMAIN)


def test_soft_resets():
    """As libxl makes them, whenever the guest likes."""
    with scene() as (host, guest, domain):
        for _ in range(3):
            guest.watch("data", "t")
            host.dom0.release(GUEST)
            host.dom0.introduce(GUEST, domain.gfn, domain.port)
            assert guest.read("name") == b"guest-7"
            with pytest.raises(XsError, match="ENOENT"):
                guest.unwatch("data", "t")
        host.dom0.watch("@releaseDomain", "r")
        host.dom0.wait_event()
        host.sim.destroy(STUBDOMAIN)
        host.dom0.wait_event()
        host.dom0.release(GUEST)
        assert not host.dom0.is_introduced(GUEST)


def test_it_survives_xsproxyd():
    with scene() as (host, _, _):
        host.proxy.kill()
        host.start_proxy()
        host._dom0 = host.client()  # pylint: disable=protected-access
        host.dom0.release(GUEST)
        assert host.dom0.is_introduced(GUEST)
        assert HELD in host.proxy.text()


def test_another_stubdomain_of_that_number():
    """The one that held on to it has ended."""
    with scene() as (host, _, _):
        host.dom0.watch("@releaseDomain", "r")
        host.dom0.wait_event()
        host.sim.destroy(STUBDOMAIN)
        host.dom0.wait_event()
        introduce(host, STUBDOMAIN)
        host.dom0.release(GUEST)
        assert not host.dom0.is_introduced(GUEST)
        assert HELD not in host.proxy.text()


def test_a_target_that_is_refused():
    with scene(target=False) as (host, _, _):
        host.dom0.send(SET_TARGET, join(STUBDOMAIN, GUEST), tx=99)
        assert host.dom0.recv_reply().payload == b"ENOENT\0"
        host.dom0.release(GUEST)
        assert not host.dom0.is_introduced(GUEST)


def test_a_target_that_was_not_seen():
    """As of an xsproxyd before this one: one RELEASE is enough to know."""
    with scene(target=False) as (host, _, _):
        host.dom0.request(SET_TARGET, join(STUBDOMAIN, GUEST) + b"not terminated")
        for _ in range(3):
            host.dom0.release(GUEST)
            assert host.dom0.is_introduced(GUEST)
        assert host.proxy.text().count(HELD) == 2


def test_what_is_passed_on():
    """By the option."""
    with scene(config="[guard]\nrelease = pass\n") as (host, _, _):
        host.dom0.release(GUEST)
        assert host.dom0.is_introduced(GUEST)
        host.dom0.release(GUEST)
        assert not host.dom0.is_introduced(GUEST)
        assert HELD not in host.proxy.text()


def test_oxenstored_releases_it():
    with scene("O") as (host, _, _):
        host.dom0.release(GUEST)
        assert not host.dom0.is_introduced(GUEST)
