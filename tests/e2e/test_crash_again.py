# SPDX-License-Identifier: MIT
"""xenstored crashes, and all go on: what it held, what connections had there, and what it had not
answered."""

import contextlib
import os
import signal

import pytest

from crashing import crash, over, processes_end
from harness import NO_MIRROR
from mirrored import differences, wait_whole
from ours import events_until_now, tracked_transactions
from relay import FLAVOURS, packet, wait_until
from supervised import Supervised
from xsclient import ERROR, READ, SET_PERMS, WATCH, XsError


@pytest.fixture(params=FLAVOURS, name="host")
def host_fixture(request):
    with Supervised(request.param, log="info") as host:
        wait_whole(host)
        yield host
        host.check()


def test_all_goes_on(host):
    guest = host.add_guest(7)
    guest.write("data/x", "1")
    guest.watch("data", "token")
    assert guest.wait_watch().path == "data"
    client = host.client()
    client.watch("/local/domain/7/data", "toolstack")
    client.wait_event()
    crash(host)
    assert guest.read("data/x") == b"1"
    assert events_until_now(guest) == [("data", "token")]
    assert client.wait_event().path == "/local/domain/7/data"
    guest.write("data/y", "2")
    assert guest.wait_watch().path == "data/y"
    assert client.wait_event().path == "/local/domain/7/data/y"
    assert host.dom0.read("/local/domain/7/data/y") == b"2"
    assert differences(host) == 0


def test_again_and_again(host):
    guest = host.add_guest(7)
    for i in range(5):
        guest.write(f"data/n{i}", str(i))
        crash(host)
    for i in range(5):
        assert guest.read(f"data/n{i}") == str(i).encode()
    assert host.proxy.text().count("xenstored has ended unasked (signal KILL), and") == 5
    assert differences(host) == 0


def test_a_transaction(host):
    guest = host.add_guest(7)
    tx = guest.start()
    guest.write("data/x", "1", tx)
    crash(host)
    assert tracked_transactions(host.dom0, 7) == {tx}
    with pytest.raises(XsError, match="EAGAIN"):
        guest.end(tx)
    assert not guest.exists("data/x")


@pytest.mark.parametrize("first", ["xsproxyd", "xenstored"])
def test_both_end_and_the_configuration_is_wrong(host, first):
    guest = host.add_guest(7)
    guest.write("data/x", "1")
    guest.watch("data", "token")
    guest.wait_watch()
    client = host.client()
    host.config += "[mirror]\nmemory = much\n[nonsense]\nx = 1\n"
    before = processes_end(host)
    ends = [lambda: host.proxy.kill(signal.SIGKILL), host.daemon.kill]
    for end in ends if first == "xsproxyd" else reversed(ends):
        end()
    # A request that nobody takes for now, and one that nobody has answered.
    guest.send(READ, b"data/x\0", req_id=70)
    host.start_proxy()
    wait_until(lambda: over(host, before))
    assert guest.recv_reply() == (READ, 70, 0, b"1")
    assert guest.wait_watch().path == "data"
    assert client.read("/local/domain/7/data/x") == b"1"
    assert differences(host) == 0


PASSES = "[guard]\nmalformed = pass\n"


def wait_for_another(host, before):
    wait_until(lambda: over(host, before))
    wait_whole(host)


def send_what_aborts(guest, req_id):
    """The C daemon of 4.17.7 ends of a READ that is not one string, after a WATCH."""
    guest.send_raw(packet(WATCH, b"data\0%d\0" % req_id, req_id) +
                   packet(READ, b"data/x", req_id + 1))


def test_a_request_that_ends_xenstored():
    """Others notice nothing. Its request is refused, and the second time its guest is set aside."""
    with Supervised("C", config=PASSES, log="info") as host:
        guest, other = host.add_guest(7), host.add_guest(8)
        client = host.client()
        wait_whole(host)
        other.write("data/x", "1")
        before = processes_end(host)
        send_what_aborts(guest, 50)
        other.send(READ, b"data/x\0", req_id=60)
        wait_for_another(host, before)
        assert other.recv_reply() == (READ, 60, 0, b"1")
        assert [guest.recv_reply()[:2] for _ in range(2)] == [(WATCH, 50), (ERROR, 51)]
        assert "xenstored has crashed from its request: EIO" in host.proxy.text()
        guest.write("data/x", "7")
        events_until_now(guest)
        before = processes_end(host)
        send_what_aborts(guest, 60)
        wait_for_another(host, before)
        assert other.read("data/x") == b"1"
        assert client.read("/local/domain/8/data/x") == b"1"
        states = {domain["domid"]: domain for domain in host.ask("domains")["domains"]}
        assert "twice" in states[7]["reason"], states
        assert differences(host) == 0


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_without_a_mirror(flavour):
    """Another one begins afresh; whoever is asked says so."""
    with Supervised(flavour, config=NO_MIRROR, log="info") as host:
        host.dom0.write("/tool/x", "1")
        pid = host.daemon.pid
        host.daemon.kill()
        wait_until(lambda: host.daemon.pid != pid and host.daemon.alive())
        wait_until(lambda: host.ask("status")["state"] == "running")
        with host.client() as client:
            assert not client.exists("/tool/x")


ODD = ["r65536", "r-1", "r4294967295", "b99999999999", "r08", "r+8", "r 8", "r8x", "r", "x8",
       "r8\0w0"]


def test_permissions_that_no_format_has(host):
    """A guest must not be able to have the image of the store refused."""
    guest, other = host.add_guest(7), host.add_guest(8)
    for i, perms in enumerate(ODD):
        guest.write(f"data/n{i}", str(i))
        with contextlib.suppress(XsError):
            guest.request(SET_PERMS, b"data/n%d\0n7\0%s\0" % (i, perms.encode()))
    other.write("data/x", "1")
    assert differences(host) == 0
    crash(host)
    assert other.read("data/x") == b"1"
    for i in range(len(ODD)):
        assert guest.read(f"data/n{i}") == str(i).encode()
    assert differences(host) == 0


def test_an_owner_that_no_format_has(host):
    """Toolstacks may say that, too."""
    client = host.client()
    for path, owner in (("/tool/a", "n65536"), ("/tool/b", "n-1")):
        client.write(path, "1")
        client.write(f"{path}/below", "2")
        with contextlib.suppress(XsError):
            client.request(SET_PERMS, f"{path}\0{owner}\0".encode())
    assert differences(host) == 0
    crash(host)
    for path in ("/tool/a", "/tool/b"):
        assert client.read(path) == b"1"
        assert client.read(f"{path}/below") == b"2"


def test_who_takes_no_answers(host):
    """It is waited for, but not for long, and loses nothing."""
    guest, other = host.add_guest(7), host.add_guest(8)
    guest.write("data/x", "1" * 2000)
    other.write("data/x", "1")
    before = processes_end(host)
    os.kill(host.daemon.pid, signal.SIGSTOP)
    for req_id in range(20):
        guest.send(READ, b"data/x\0", req_id=100 + req_id)
    host.daemon.kill()
    wait_until(lambda: over(host, before))
    assert other.read("data/x") == b"1"
    for req_id in range(20):
        assert guest.recv_reply() == (READ, 100 + req_id, 0, b"1" * 2000)
    assert differences(host) == 0
