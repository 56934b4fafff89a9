# SPDX-License-Identifier: MIT
"""The mirror of the store: that it is what the store is, whoever has changed that, and how."""

import contextlib
import random
import threading

import pytest

from crashing import crash
from mirrored import differences, wait_whole
from relay import FLAVOURS, wait_until
from supervised import Supervised
from xsclient import XsError


@pytest.fixture(params=FLAVOURS, name="host")
def host_fixture(request):
    with Supervised(request.param, log="info") as host:
        yield host
        host.check()


def test_what_was_there(host):
    """The store is read when xsproxyd comes."""
    host.add_guest(7)
    for i in range(300):
        host.dom0.write(f"/tool/d{i % 7}/n{i}", str(i))
    host.dom0.set_perms("/tool/d3", "n0", "r7")
    wait_whole(host)
    assert differences(host) == 0
    status = host.ask("mirror")
    assert status["nodes"] > 300


def test_special_watches(host):
    """Whoever may have them was set before there was a mirror; no directory lists them."""
    if host.flavour == "C":
        pytest.skip("before 4.19 it tells nobody")
    host.add_guest(7)
    host.dom0.set_perms("@releaseDomain", "n0", "r7")
    host.proxy.kill()
    host.keeper.kill()  # with the mirror that there was
    host.start_keeper()
    host.start_proxy()
    host._dom0 = None
    wait_whole(host)
    crash(host)
    assert host.dom0.get_perms("@releaseDomain") == ["n0", "r7"]
    assert host.dom0.get_perms("@introduceDomain") == ["n0"]


def test_what_changes(host):
    guest = host.add_guest(7)
    wait_whole(host)
    guest.write("data/a/b/c", "1")
    guest.mkdir("data/d")
    guest.write("data/d", "")
    guest.set_perms("data/a/b", "n7", "r0")
    guest.write("data/a/b/x/y", "2")
    guest.rm("data/a/b/c")
    host.dom0.write("/local/domain/7/data/z/zz", "3")
    host.dom0.set_perms("/local/domain/7/data/z", "n0", "b7")
    guest.write("data/z/mine", "4")
    host.dom0.rm("/local/domain/7/data/d")
    host.dom0.rm("/local/domain/7/data/not-there")
    with pytest.raises(XsError):
        guest.write("/local/domain/0/x", "5")
    assert differences(host) == 0
    assert host.ask("mirror")["reread"] == 0 or host.flavour == "O"


def test_transactions(host):
    guest = host.add_guest(7)
    client = host.client()
    wait_whole(host)
    for peer, top in ((guest, "data"), (client, "/local/domain/7/data")):
        tx = peer.start()
        peer.write(f"{top}/tx/kept", "1", tx)
        peer.rm(f"{top}/tx/kept", tx)
        peer.write(f"{top}/tx/kept", "2", tx)
        peer.end(tx, True)
        tx = peer.start()
        peer.write(f"{top}/tx/dropped", "1", tx)
        peer.end(tx, False)
    tx = client.start()
    client.write("/local/domain/7/data/tx/kept", "a", tx)
    guest.write("data/tx/kept", "b")
    # oxenstored carries it out once more, over what the guest has written.
    with contextlib.nullcontext() if host.flavour == "O" else pytest.raises(XsError):
        client.end(tx, True)
    assert differences(host) == 0


def test_domains_that_end(host):
    guests = {domid: host.add_guest(domid) for domid in (7, 8)}
    wait_whole(host)
    host.dom0.write("/tool/shared", "x")
    host.dom0.set_perms("/tool/shared", "n0", "r7", "r8")
    guests[7].write("data/x", "1")
    guests[8].write("data/x", "1")
    host.sim.destroy(7)
    host.dom0.release(8)
    wait_until(lambda: not host.dom0.exists("/local/domain/7/data"))
    assert differences(host) == 0


def test_beyond_what_a_transaction_may_have(host):
    client = host.client()
    wait_whole(host)
    tx = client.start()
    for i in range(1500):
        client.write(f"/tool/large/n{i}", "x" * 1500, tx)
    client.end(tx, True)
    assert host.ask("mirror")["beyond"] > 100
    assert differences(host) == 0


def change(peer, top, chance):
    """Something, anywhere below @top: whether it was to be done."""
    path = top + "".join(f"/{chance.choice('abc')}" for _ in range(chance.randint(1, 4)))
    tx = 0
    if chance.random() < 0.2:
        tx = peer.start()
    for _ in range(chance.randint(1, 3) if tx else 1):
        kind = chance.random()
        if kind < 0.6:
            peer.write(path, str(chance.randint(0, 99)), tx)
        elif kind < 0.7:
            peer.mkdir(path, tx)
        elif kind < 0.9:
            peer.rm(path, tx)
        else:
            peer.set_perms(path, f"n{chance.choice((0, 7))}", "b7", "b8", tx=tx)
    if tx:
        peer.end(tx, chance.random() < 0.8)


@pytest.mark.parametrize("seed", range(3))
def test_all_at_the_same_time(host, seed):
    """Guests, dom0's ring and a client change the same nodes, as fast as they can."""
    guests = [host.add_guest(domid) for domid in (7, 8)]
    host.dom0.mkdir("/tool/common")
    host.dom0.set_perms("/tool/common", "n0", "b7", "b8")
    wait_whole(host)

    def work(number, peer):
        chance = random.Random(seed * 10 + number)
        for _ in range(400):
            try:
                change(peer, "/tool/common", chance)
            except XsError:
                pass

    peers = [*guests, host.dom0, host.client()]
    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(peers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert differences(host) == 0
