# SPDX-License-Identifier: MIT
"""Many toolstack clients: a thousand are taken up, and ten thousand that come and go leave nothing
behind, neither in the keeper nor in the memory of their sessions."""

import itertools
import os
import resource
import signal
import sys

import pytest

from built import BUILD
from hostile import SANITIZED  # it keeps for a while what has been freed
from ours import running
from relay import FLAVOURS, descriptors, packet, resident, wait_until
from stress import restart
from test_fault_descriptors import served
from test_keeper_gone import kept_sockets
from xsclient import READ, WATCH, Client, join

pytestmark = pytest.mark.long

CLIENTS = 1000
WATCHES = 20
FILES = 8192
COMERS = 10_000


@pytest.fixture(name="host", params=FLAVOURS)
def a_host_of_many(request):
    """xsproxyd and a daemon that may open as many files as a thousand clients take."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(FILES, before[1])))
    try:
        with running(request.param, log="notice") as host:
            yield host
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def watching(host, number):
    """A client with watches, each of which has had its first event."""
    client = host.client()
    client.send_raw(b"".join(packet(WATCH, join(f"/many/{number}/{i}", f"token {i}"), req_id=i)
                             for i in range(WATCHES)))
    for _ in range(2 * WATCHES):
        client.recv()
    return client


def connected(host):
    return host.proxy.text().count("connected to the keeper")


def test_a_thousand_are_taken_up(host):
    """Also when the keeper had to be filled anew with all of them."""
    clients = [watching(host, number) for number in range(CLIENTS)]
    news = itertools.count()

    def all_are_there():
        for number, client in enumerate(clients):
            client.send(READ, b"/\0", req_id=number)
        for number, client in enumerate(clients):
            assert client.recv()[:2] == (READ, number)
        path = f"/many/{CLIENTS - 1}/7/{next(news)}"
        host.dom0.mkdir(path)
        assert clients[-1].wait_event() == (path, "token 7")

    restart(host, signal.SIGKILL)
    all_are_there()
    before = connected(host)
    host.keeper.kill()
    host.start_keeper()
    wait_until(lambda: connected(host) > before)
    restart(host, signal.SIGTERM)
    all_are_there()
    assert host.proxy.text().count("the keeper is gone") == 1


def memory_of(process):
    """Octets behind the memory of toolstacks' sessions."""
    for entry, name in descriptors(process).items():
        if "xsproxy-ledgers" in name:
            return os.stat(entry).st_blocks * 512
    raise AssertionError("it holds no such memory")


def sizes(host):
    """What may not grow: descriptors of both, the sessions' memory, and their own."""
    return {"keeper's descriptors": len(descriptors(host.keeper)),
            "xsproxyd's descriptors": len(descriptors(host.proxy)),
            "sessions' memory": memory_of(host.keeper),
            "keeper's memory": resident(host.keeper),
            "xsproxyd's memory": resident(host.proxy)}


def sizes_at_rest(host):
    wait_until(lambda: kept_sockets(host) == 2)  # host.dom0's; the keeper is told, not asked
    return sizes(host)


def come_and_go(host, count):
    for _ in range(count):
        with Client(host.socket) as client:
            client.read("/")


def all_gone(host, idle):
    names = [name for name in idle if "descriptors" in name]
    wait_until(lambda: all(sizes(host)[name] <= idle[name] for name in names))


def test_ten_thousand_leave_nothing(host):
    idle = sizes_at_rest(host)
    come_and_go(host, 500)
    all_gone(host, idle)
    before = sizes(host)
    come_and_go(host, COMERS)
    all_gone(host, idle)
    after = sizes(host)
    print("before", before, "after", after, file=sys.stderr)
    assert after["sessions' memory"] <= before["sessions' memory"]
    for whose in () if SANITIZED else ("keeper's memory", "xsproxyd's memory"):
        assert after[whose] < before[whose] + (1 << 20), whose


def test_many_at_once_leave_nothing(host):
    """With a restart in between, by which half of them have gone."""
    idle = sizes_at_rest(host)
    for _ in range(2):
        clients = []
        for _ in range(500):
            clients.append(Client(host.socket))
            clients[-1].read("/")
        host.proxy.kill(signal.SIGKILL)
        for client in clients[::2]:
            client.close()
        host.start_proxy()
        for client in clients[1::2]:
            client.read("/")
            client.close()
        all_gone(host, idle)
    # What the pool keeps at hand for all, and the ledgers of the first slots
    assert sizes(host)["sessions' memory"] <= idle["sessions' memory"] + (256 + 64) * 4096


@pytest.mark.parametrize("files", [60, 130])
def test_whose_limit_is_lower_now_serves_as_many_as_it_may(host, files):
    """It starts all the same, and guests are served; those that are too many are closed."""
    guest = host.add_guest(7)
    clients = [host.client() for _ in range(60)]
    for client in clients:
        assert client.directory("/")
    program = host.sim.dir / "limited"
    program.write_text(f'#!/bin/sh\nexec prlimit --nofile={files} {BUILD}/xsproxyd "$@"\n')
    program.chmod(0o755)
    restart(host, signal.SIGTERM, program=program)
    assert guest.read("domid") == b"7"
    left = sum(served(client) for client in clients)
    assert (left > 5) == (files > 100) and left < 30
    assert "raise LimitNOFILE" in host.proxy.text()
