# SPDX-License-Identifier: MIT
"""A session travels: to another daemon and back, each way the same stream; with XSPROXY_OTHER_XEN
(other_xen.py) also between this machine's Xen and another one's."""

import contextlib

import pytest

from migration import HOME, ROUTES
from migration_load import Load, arrive, ends_transactions, export_under_load, prepare
from other_xen import OTHER, OtherSim, OtherXen
from ours import running, tracked_transactions, tracked_watches

# Whether it is the other Xen's, here and there
VERSIONS = [(False, False)] + ([(False, True), (True, False), (True, True)] if OTHER else [])


@pytest.fixture(scope="module", name="other")
def other_fixture(tmp_path_factory):
    return OtherXen(OTHER, tmp_path_factory.mktemp("other")) if OTHER else None


@pytest.fixture(name="start")
def start_fixture(other):
    """start(flavour, is_other): a host of that kind; all are sound at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda flavour, is_other: stack.enter_context(
            running(flavour, sim=OtherSim(other) if is_other else None))


def travel(source, target, load):
    """The guest, which works all the time, goes from one host to the other."""
    octets = export_under_load(source, load, 7)
    load.until_stuck()
    load.events.clear()
    arrive(target, octets, load)
    load.more(100)


def fire(host, load):
    """Each watch does. From 4.19 on new readers of @releaseDomain hear of that, too."""
    host.dom0.write(f"{HOME}/control/shutdown", "suspend")
    load.wait_for(("control/shutdown", "relative"))
    host.dom0.write(f"{HOME}/data/abs/below", "x")
    load.wait_for((f"{HOME}/data/abs/below", "absolute"))
    host.dom0.write(f"{HOME}/device/vif", "")
    load.wait_for(("device/vif", ""))
    host.add_guest(9)
    host.dom0.set_perms("@releaseDomain", "n0", "r7")
    host.sim.destroy(9)
    host.dom0.directory("/")
    load.wait_for(("@releaseDomain", "special"))
    load.events.clear()


@pytest.mark.parametrize("other_here, other_there", VERSIONS, ids=lambda other: "other" * other)
@pytest.mark.parametrize("here, there", ROUTES)
def test_there_and_back(start, here, there, other_here, other_there):
    hosts = [start(here, other_here), start(there, other_there), start(here, other_here)]
    load = Load(hosts[0].add_guest(7))
    watches, first, second = prepare(load.guest)
    load.more(100)
    for source, target in zip(hosts, hosts[1:]):
        travel(source, target, load)
        for event in watches:
            load.wait_for(event)
        assert load.events == []
        assert tracked_watches(target.dom0, 7) == watches
        assert {first, second} <= tracked_transactions(target.dom0, 7)
    load.finish()
    fire(hosts[2], load)
    ends_transactions(load.guest, first, second)
