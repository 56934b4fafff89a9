# SPDX-License-Identifier: MIT
"""A hold of a domain that is destroyed before its INTRODUCE ends with it, and does not catch the
next domain of that number. One that is set before Xen has the domain waits for it, however long."""

import signal

import pytest

from control import Control
from ours import GET_DOMAIN_STATE, HOLD, ask, running, settle
from relay import FLAVOURS, destroy, introduce, wait_until

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

OVER = "d{}: the domain ended before its INTRODUCE, and so does its hold"


def hold(host, *domids):
    for domid in domids:
        assert ask(host.dom0, HOLD, domid) == b"OK\0"


def seen(host, domid):
    """xsproxyd has noticed that Xen has it."""
    with Control(host) as control:
        control.wait(lambda shown: shown["exists"], "domain", domid=domid)


def comes_and_goes(host, domid):
    """In Xen alone; afterwards xsproxyd has looked at all holds at least once."""
    host.sim.create(domid)
    seen(host, domid)
    host.sim.destroy(domid)
    wait_until(lambda: ask(host.dom0, GET_DOMAIN_STATE, domid) == "ENOENT")
    assert OVER.format(domid) in host.proxy.text()


def serves(host, domid):
    guest, _ = introduce(host, domid)
    assert guest.read("domid") == str(domid).encode()


def is_held(host, domid):
    guest, _ = introduce(host, domid)
    page = guest.page()
    guest.notify()
    settle(host)
    assert guest.page() == page
    assert ask(host.dom0, GET_DOMAIN_STATE, domid) == b"held\0"


def restart(host):
    host.proxy.kill(signal.SIGKILL)
    host.start_proxy()
    host._dom0 = host.client()  # pylint: disable=protected-access
    host.dom0.directory("/")


def test_ends_with_the_domain(flavour):
    with running(flavour) as host:
        hold(host, 7)
        comes_and_goes(host, 7)
        serves(host, 7)
        destroy(host, 7)
        # Once more, and the next one is held if somebody says so.
        hold(host, 7)
        host.sim.create(7)
        seen(host, 7)
        host.sim.destroy(7)
        wait_until(lambda: ask(host.dom0, GET_DOMAIN_STATE, 7) == "ENOENT")
        hold(host, 7)
        is_held(host, 7)


def test_set_before_the_domain_exists(flavour):
    """However often xsproxyd looks, and whatever becomes of other holds."""
    with running(flavour) as host:
        hold(host, 7, 8, 9)
        for domid in (8, 9):
            comes_and_goes(host, domid)
        assert ask(host.dom0, GET_DOMAIN_STATE, 7) == b"held\0"
        is_held(host, 7)


def test_over_a_restart(flavour):
    """Of xsproxyd: it looks anew."""
    with running(flavour) as host:
        hold(host, 7, 8)
        host.sim.create(7)
        seen(host, 7)
        restart(host)
        seen(host, 7)
        host.sim.destroy(7)
        wait_until(lambda: ask(host.dom0, GET_DOMAIN_STATE, 7) == "ENOENT")
        serves(host, 7)
        is_held(host, 8)


def test_the_one_before_lingers(flavour):
    """Xen still has the domain that had the id before: its end is not that of the next one."""
    with running(flavour) as host:
        serves(host, 7)
        host.dom0.release(7)
        hold(host, 7, 8)
        comes_and_goes(host, 8)
        host.sim.destroy(7)
        hold(host, 8)
        comes_and_goes(host, 8)
        assert ask(host.dom0, GET_DOMAIN_STATE, 7) == b"held\0"
        is_held(host, 7)
