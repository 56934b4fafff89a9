# SPDX-License-Identifier: MIT
"""xsproxyd without memory: every single allocation of a script fails in turn.

Whoever is concerned gets an error, or waits a moment; nobody waits for ever, xsproxyd lives, others
are served, and what the failure left behind is no more than without it.
"""

import os
import select
import threading

import pytest

import xsclient
from control import Control, ControlError
from failing import Plan
from harness import BUILD, Host
from ours import (ADD_DOMAIN_WATCHES, GET_DOMAIN_STATE, GET_DOMAIN_TRANSACTIONS, GET_DOMAIN_WATCHES,
                  HOLD, QUIESCE, RESET_DOMAIN, START_DOMAIN_TRANSACTION, UNQUIESCE, ask, settle,
                  tracked_transactions, tracked_watches)
from relay import FLAVOURS, packet, wait_until
from xsclient import (READ, TRANSACTION_END, TRANSACTION_START, UNWATCH, WATCH, WRITE, Closed,
                      XsError, join)

pytestmark = pytest.mark.long

PROGRAM = BUILD / "xsproxyd-failing"
LARGE = join("data/large") + b"x" * 1900
FAILED = (XsError, Closed, ConnectionError, ControlError)


class World:
    """A host with guest 7, which the script uses, guest 9, which only looks on, and domain 8, which
    comes and goes."""

    def __init__(self, flavour):
        # With one a toolstack client that there is no memory for is closed, host.dom0 too.
        self.host = Host(flavour, start=False, keeper=False)
        self.plan = Plan(self.host.sim.dir)
        try:
            self.host.start_daemon()
            self.start_proxy()
            self.host.settle_mirror()  # its connection is one descriptor
            self.guest, self.other = self.host.add_guest(7), self.host.add_guest(9)
            self.other.watch("data/x", "other")
            self.other.wait_watch()
            self.coming = self.host.sim.create(8)
        except BaseException:
            self.close()
            raise

    def start_proxy(self, **kwargs):
        return self.host.start_proxy(program=PROGRAM.name, env=self.plan.env, **kwargs)

    def close(self):
        print("failed:", self.plan.where(PROGRAM))
        self.host.dump()
        self.host.close()

    def clean_up(self):
        """What the script may have left behind, whether it got that far or not."""
        for request, args in ((UNQUIESCE, [7]), (UNQUIESCE, [8]),
                              (xsclient.RELEASE, [8])):
            ask(self.host.dom0, request, *args)
        for tx in tracked_transactions(self.host.dom0, 7):
            self.guest.call(TRANSACTION_END, b"F\0", tx=tx)
        self.guest.reset_watches()

    def check(self):
        """Everything works, and is as before the script."""
        self.clean_up()
        self.host.dom0.write("/local/domain/9/data/x", "1")
        assert self.other.wait_watch() == ("data/x", "other")
        assert self.other.read("domid") == b"9"
        assert self.guest.read("domid") == b"7"
        self.guest.events.clear()
        assert tracked_watches(self.host.dom0, 7) == []
        assert tracked_transactions(self.host.dom0, 7) == set()
        assert tracked_watches(self.host.dom0, 9) == [("data/x", "other")]
        assert not self.host.dom0.is_introduced(8)
        with Control(self.host) as control:
            assert {dom["domid"]: dom["state"] for dom in control.run("domains")["domains"]} == {
                0: "running", 7: "running", 9: "running"}
        self.host.proxy.check()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.host.proxy.pid}/fd"))


@pytest.fixture
def world(flavour):
    world = World(flavour)
    yield world
    world.close()


# --- the scripts; each step may fail, but must end


def clients(world):
    with world.host.client() as client:
        client.watch("/local/domain/7/data", "token")
        client.wait_event()
        client.write("/local/domain/7/data/y", "1")
        client.wait_event()
        tx = client.start()
        client.write("/local/domain/7/data/y", "2" * 2000, tx=tx)
        client.end(tx)
        assert client.read("/local/domain/7/data/y") == b"2" * 2000
        client.unwatch("/local/domain/7/data", "token")


def rings(world):
    """A guest always gets its answers: they are checked even here."""
    guest = world.guest
    for i in range(24):
        guest.call(WATCH, join("data", "%050d" % i))
    guest.call(WRITE, LARGE)
    guest.call(READ, b"data/large\0")
    guest.call(TRANSACTION_START, b"\0")
    # What it does not read waits for it.
    for _ in range(4):
        guest.send(READ, b"data/large\0")
    settle(world.host)
    for _ in range(4):
        guest.recv_reply()
    for i in range(12):
        guest.call(UNWATCH, join("data", "%050d" % i))


def requests(world):
    with world.host.client() as client:
        for type_, *words in (
                (QUIESCE, 7), (ADD_DOMAIN_WATCHES, 7, "data", "a", "data/b", "b" * 1100),
                (START_DOMAIN_TRANSACTION, 7, 5), (GET_DOMAIN_WATCHES, 7, 0),
                (GET_DOMAIN_TRANSACTIONS, 7), (GET_DOMAIN_STATE, 7), (RESET_DOMAIN, 7),
                (UNQUIESCE, 7), (HOLD, 8)):
            ask(client, type_, *words)
        client.control("quiesce", "7")


def commands(world):
    with Control(world.host) as control:
        for command, args in (
                ("status", {}), ("domains", {}), ("domain", {"domid": 9}),
                ("watches", {"domid": 9}), ("transactions", {"domid": 9}),
                ("quiesce", {"domid": 7, "lease": True}), ("unquiesce", {"domid": 7}),
                ("quiesce", {"domid": 7, "lease": True}), ("log-level", {"level": "debug"}),
                ("hold", {"domid": 9}), ("domain", {"domid": 77}), ("stats", {"domid": 9}),
                ("load", {}), ("flight", {"domid": 9})):
            control.said(command, **args)


def trace(world):
    """Who is told that a trace runs gets frames."""
    with Control(world.host) as control:
        if control.said("trace", domids=[9], path="/local", ops=["READ"]) != {}:
            return
        assert wait_until(lambda: world.other.read("domid") and
                          select.select([control.sock], [], [], 0.05)[0])


def domains(world):
    with world.host.client() as client:
        for _ in range(2):
            ask(client, xsclient.INTRODUCE, 8, world.coming.gfn, world.coming.port)
        client.release(8)


SCRIPTS = (clients, rings, requests, commands, trace, domains)
# The control socket does not care which daemon it is.
CASES = [pytest.param(script, flavour, id=f"{script.__name__}-{flavour}")
         for script in SCRIPTS for flavour in FLAVOURS
         if flavour == "C" or script not in (commands, trace)]


@pytest.mark.parametrize("script, flavour", CASES)
def test_each_allocation(world, script):
    script(world)
    world.check()
    before = world.descriptors()
    nth = failed = 1
    while failed:
        world.plan.arm(nth)
        try:
            script(world)
        except FAILED:
            pass
        failed = world.plan.disarm()
        world.check()
        nth += 1
    print(script.__name__, nth - 2, "allocations failed")
    wait_until(lambda: world.descriptors() <= before)
    assert nth > 5
    assert world.host.proxy.stop() == 0  # with LeakSanitizer: nothing leaked


@pytest.mark.parametrize("script, flavour", CASES)
def test_none_for_a_while(world, script):
    """No allocation succeeds, until ten have failed and the script waits or has ended."""
    script(world)
    world.check()
    world.plan.arm(1, more=1 << 40)

    def run():
        try:
            script(world)
        except FAILED:
            pass

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: world.plan.failed >= 10 or not thread.is_alive())
    assert world.plan.disarm()
    thread.join()
    world.check()
    assert world.host.proxy.stop() == 0


def restart(world):
    """Kill xsproxyd and start it again, with an allocation that fails. Return: how many failed."""
    proxy = world.host.proxy
    proxy.kill()
    world.host.sim.daemons.remove(proxy)
    proxy.log.unlink()
    try:
        world.start_proxy()
        with world.host.client() as client:
            client.directory("/")
    except FAILED:
        pass  # there was not enough for this client
    except AssertionError:
        proxy = world.host.proxy
        assert proxy.wait() == 2
        said = [line for line in proxy.text().splitlines() if "libevent" not in line]
        assert said and all("memory" in line for line in said), said
    failed = world.plan.disarm()
    if not world.host.proxy.alive():
        world.host.sim.daemons.remove(world.host.proxy)
        world.start_proxy()
    world.host._dom0 = None  # pylint: disable=protected-access
    return failed


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_each_allocation_of_a_start(world):
    """It ends with one line that says why, or guests that are in the middle of everything are taken
    up whole, sooner or later."""
    guests = (world.guest, world.other)
    for guest in guests:
        for i in range(3):
            guest.watch("data", "%040d" % i)
            guest.wait_watch()
    world.guest.watch("data/x", "other")
    world.guest.wait_watch()
    nth = failed = 1
    while failed:
        transactions = [guest.start() for guest in guests]
        ask(world.host.dom0, QUIESCE, 9)
        for guest in guests:
            world.host.dom0.write(f"/local/domain/{guest.domid}/data/x", "1")
            guest.send(READ, b"domid\0", req_id=99)
            guest.push(packet(WRITE, LARGE, req_id=100)[:900])
        settle(world.host)
        world.plan.arm(nth)
        failed = restart(world)
        ask(world.host.dom0, UNQUIESCE, 9)
        for guest, transaction in zip(guests, transactions):
            guest.send_raw(packet(WRITE, LARGE, req_id=100)[900:])
            assert [guest.recv_reply().req_id for _ in range(2)] == [99, 100]
            guest.end(transaction)
            assert guest.read("domid") == str(guest.domid).encode()
            # Of each watch for each of two writes, and of the one below for the first of them.
            assert guest.events.count(("data/x", "other")) == 1 and len(guest.events) == 7
            guest.events.clear()
            assert len(tracked_watches(world.host.dom0, guest.domid)) == 4
        nth += 1
    print(nth - 2, "allocations failed")
    assert nth > 30
    assert world.host.proxy.stop() == 0
