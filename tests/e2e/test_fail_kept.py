# SPDX-License-Identifier: MIT
"""xsproxyd without memory when it is to take up toolstack clients: whichever allocation fails, they
are taken up whole, by this one or by the next one."""

import contextlib
import select

import pytest

import xsclient
from control import Control, ControlError
from failing import Plan
from harness import BUILD, Host
from relay import FLAVOURS, wait_until
from test_keeper import Tool

pytestmark = pytest.mark.long

PROGRAM = BUILD / "xsproxyd-failing"


class Silent(Tool):
    """What it asks is never under way while memory is short: it would be told."""

    asks = 0


def all_are_up(host):
    """Whether they are, or it has ended."""
    if not host.proxy.alive():
        return True
    with contextlib.suppress(OSError, xsclient.Closed, ControlError), Control(host) as control:
        status = control.run("status")
        return status["clients"] and not status["clients_waiting"]
    return False


def restart(host, plan, nth):
    """Kill xsproxyd and start it again; its @nth allocation fails. Return: how many failed."""
    host.proxy.kill()
    host.sim.daemons.remove(host.proxy)
    host.proxy.log.unlink()
    plan.arm(nth)
    host.start_proxy(program=PROGRAM.name, env=plan.env, wait=False)
    wait_until(lambda: all_are_up(host))
    failed = plan.disarm()
    if not host.proxy.alive():
        assert "memory" in host.proxy.text()
        host.proxy.ended = True
        host.start_proxy(program=PROGRAM.name, env=plan.env)
    return failed


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_each_allocation_while_they_are_taken_up(flavour):
    with Host(flavour, start=False) as host:
        plan = Plan(host.sim.dir)
        host.start_daemon()
        host.start_proxy(program=PROGRAM.name, env=plan.env)
        tools = [Silent(host) for _ in range(3)]
        nth = failed = 1
        while failed:
            for tool in tools:
                tool.ask()
            failed = restart(host, plan, nth)
            try:
                for tool in tools:
                    tool.check()
            except BaseException:
                print("failed:", plan.where(PROGRAM))
                raise
            nth += 1
        print(nth - 2, "allocations failed")
        assert nth > 50
        for tool in tools:
            tool.end()
        assert host.proxy.stop() == 0  # with LeakSanitizer: nothing leaked


NO_MEMORY = "no memory to take up toolstacks' connections"
IN_A_ROW = 100  # STARVED_MAX, proxy/host/slots.c


def start_without(host, plan, nth):
    """xsproxyd, whose @nth allocation fails, and no good one before: whether it has ended. Else it
    has answered what host.dom0 asks, who asks again."""
    if host.proxy.alive():
        host.proxy.kill()
    host.sim.daemons.remove(host.proxy)
    host.proxy.log.unlink()
    plan.arm(nth)
    host.start_proxy(program=PROGRAM.name, env=plan.env, wait=False)
    host.proxy.ended = True
    wait_until(lambda: not host.proxy.alive() or readable(host.dom0))
    if host.proxy.alive():
        host.dom0.recv()
        host.dom0.send(xsclient.READ, b"/\0", req_id=7)
    plan.disarm()
    return not host.proxy.alive()


def readable(client):
    return select.select([client.sock], [], [], 0.02)[0]


def test_memory_is_not_waited_for_for_ever():
    """After so many xsproxyds without, one that has the rest closes who finds none, and serves the
    others."""
    with Host("C", start=False) as host:
        plan = Plan(host.sim.dir)
        host.start_daemon()
        host.start_proxy(program=PROGRAM.name, env=plan.env)
        assert host.dom0.directory("/")
        others = [host.client() for _ in range(3)]
        for other in others:
            assert other.directory("/")
        host.dom0.send(xsclient.READ, b"/\0", req_id=7)
        nth = next(nth for nth in range(40, 300)
                   if start_without(host, plan, nth) and NO_MEMORY in host.proxy.text())
        in_a_row = 1
        # Now and then things come in another order, and it is another allocation that fails.
        for _ in range(10 * IN_A_ROW):
            if start_without(host, plan, nth):
                in_a_row += NO_MEMORY in host.proxy.text()
            elif "Cannot allocate memory" in host.proxy.text():
                break
            else:
                in_a_row = 0
        assert in_a_row == IN_A_ROW
        assert host.proxy.text().count("Cannot allocate memory") == 1
        closed = 0
        for other in others:
            try:
                assert other.directory("/")
            except (xsclient.Closed, ConnectionError):
                closed += 1
        assert closed == 1
        host.proxy.ended = False
