# SPDX-License-Identifier: MIT
"""xsproxyd at the limit of its descriptors: a toolstack client waits or is turned away, guests, the
control socket and the way back to xenstored are not touched, and nothing spins."""

import os
import resource
import time

import pytest

from control import Control
from harness import NO_MIRROR, Host
from relay import FLAVOURS, wait_until
from xsclient import DIRECTORY, Closed

RESERVE = 80  # proxy/local.c
SAID = "cannot accept toolstack clients"

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)


def limit(host, spare):
    """Leave xsproxyd about so many descriptors more than it has and reserves; none for None."""
    number = 3
    if spare is not None:
        number = max(map(int, os.listdir(f"/proc/{host.proxy.pid}/fd"))) + 1 + spare + RESERVE
    resource.prlimit(host.proxy.pid, resource.RLIMIT_NOFILE, (number, 4096))


def served(client):
    """Whether a client is served, or turned away; it is never left alone."""
    try:
        return client.directory("/") != []
    except (Closed, ConnectionError):
        return False


def answered(client):
    """The same for one that has sent its request."""
    try:
        return client.recv_reply().type == DIRECTORY
    except (Closed, ConnectionError):
        return False


def guests_work(host, guest):
    assert guest.read("domid") == b"7"
    host.dom0.write("/local/domain/7/data/x", "1")
    assert guest.wait_watch() == ("data/x", "token")


def everybody_else_works(host, guest):
    guests_work(host, guest)
    with Control(host) as control:
        assert control.run("status")["state"] == "running"


@pytest.fixture
def host(flavour):
    with Host(flavour, config=NO_MIRROR) as host:
        yield host
        host.check()


@pytest.fixture
def guest(host):
    guest = host.add_guest(7)
    guest.watch("data/x", "token")
    guest.wait_watch()
    return guest


def test_too_many_clients(host, guest):
    limit(host, 10)
    with Control(host):  # one that was there before
        clients = [host.client() for _ in range(50)]
        results = [served(client) for client in clients]
        # Each takes two: its own and one to xenstored.
        assert 0 < sum(results) <= 5
        everybody_else_works(host, guest)
        for client in clients:
            client.close()
        wait_until(lambda: served(host.client()))
        everybody_else_works(host, guest)


def test_nothing_spins(host, guest):
    limit(host, None)
    client = host.client()
    start = time.monotonic()
    wait_until(lambda: host.proxy.text().count(SAID) >= 5)
    # The first is an error, those that follow are for who debugs: one each 100 ms.
    count, took = host.proxy.text().count(SAID), time.monotonic() - start
    assert count <= took / 0.1 + 2
    guests_work(host, guest)
    limit(host, 100)
    assert served(client)


def test_xenstored_comes_back_while_clients_wait(host, guest):
    """However many there are, the bridge finds a descriptor."""
    limit(host, 10)
    host.daemon.kill()
    host.sim.daemons.remove(host.daemon)
    wait_until(lambda: "is gone" in host.proxy.text())
    clients = [host.client() for _ in range(50)]
    for client in clients:
        try:
            client.send(DIRECTORY, b"/\0")
        except ConnectionError:
            pass
    with Control(host) as control:
        control.wait(lambda status: status["clients"] >= 10, "status")
    host.start_daemon()
    assert sum(answered(client) for client in clients) > 0
