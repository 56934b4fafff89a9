# SPDX-License-Identifier: MIT
"""Toolstack clients: many at once, in a hurry, with replies of any size, or that never read. None
of them disturbs another one or makes xsproxyd grow."""

import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading

import pytest

import xsclient
from harness import Host
from relay import (FLAVOURS, Tape, introduce, open_files, packet, pattern, resident, same,
                   wait_closed, wait_until)
from xsclient import (DIRECTORY, ERROR, HEADER, INTRODUCE, READ, WATCH, WATCH_EVENT, WRITE, Closed,
                      XsError)

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)


def fill(client):
    """Send READs of /tool/v until nothing more goes; how many went whole, and what is left."""
    request, sent = packet(READ, b"/tool/v\0"), 0
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client.sock.setblocking(False)
    while select.select([], [client.sock], [], 0.3)[1]:
        try:
            sent += client.sock.send(request[sent % len(request):] + request * 50)
        except BlockingIOError:
            pass
    whole = -(-sent // len(request))
    return whole, (request * whole)[sent:] if sent % len(request) else b""


def test_hundred_clients(flavour):
    """All connected at the same time, though upstream accepts one after the other."""
    with Host(flavour) as host:
        before = open_files(host.proxy)
        clients = [host.client() for _ in range(100)]
        for i, client in enumerate(clients):
            client.send(WRITE, b"/tool/%d\0%d" % (i, i), req_id=1)
            client.send(WATCH, b"/tool/%d\0t\0" % i, req_id=2)
        for client in clients:
            assert [client.recv_reply().req_id for _ in range(2)] == [1, 2]
            client.wait_event()
        assert len(host.dom0.directory("/tool")) >= 100
        for i in range(100):
            host.dom0.write(f"/tool/{i}", "again")
        for i, client in enumerate(clients):
            assert client.wait_event() == (f"/tool/{i}", "t")
            client.close()
        wait_closed(host.proxy, before)


def test_storm(flavour):
    """100 clients that come, ask and go, from 10 threads."""
    failures = []

    def one(host, n):
        try:
            for i in range(10):
                with xsclient.Client(host.socket) as client:
                    client.write(f"/tool/{n}", i)
                    assert client.read(f"/tool/{n}") == b"%d" % i
        except Exception as err:  # pylint: disable=broad-except
            failures.append(err)

    with Host(flavour) as host:
        before = open_files(host.proxy)
        threads = [threading.Thread(target=one, args=(host, n)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        wait_closed(host.proxy, before)
        host.check()


def test_request_and_gone(flavour):
    """A client that asks and closes at once has asked: the request is carried out."""
    with Host(flavour) as host:
        host.dom0.watch("/tool", "t")
        host.dom0.wait_event()
        before = open_files(host.proxy)
        for i in range(50):
            with host.client() as client:
                client.send_raw(packet(WRITE, b"/tool/%d\0x" % i) * (1 + i % 3))
        seen = set()
        while len(seen) < 50:
            seen.add(host.dom0.wait_event().path)
        wait_closed(host.proxy, before)
        # An INTRODUCE that must wait for its domain to settle, too.
        guest, domain = introduce(host, 7)
        host.dom0.release(7)
        with host.client() as client:
            client.send(INTRODUCE, xsclient.join(7, domain.gfn, domain.port))
        wait_until(lambda: host.dom0.is_introduced(7))
        guest.push(packet(READ, b"domid\0", 4))
        assert guest.recv_message().req_id == 4
        wait_closed(host.proxy, before)


def test_request_that_waits_for_another_and_gone(flavour):
    """Which of the two comes first is not known: one waits for a moment, and is carried out."""
    with Host(flavour) as host:
        first = host.client()
        first.directory("/tool")
        os.kill(host.daemon.pid, signal.SIGSTOP)
        first.send(WRITE, b"/tool/new/first\0x")
        with host.client() as client:
            client.send(WRITE, b"/tool/new/second\0x")
        assert wait_until(lambda: host.ask_json("mirror")["return"]["waits"])
        os.kill(host.daemon.pid, signal.SIGCONT)
        first.recv_reply()
        wait_until(lambda: host.dom0.directory("/tool/new") == ["first", "second"])


@pytest.mark.parametrize("octets", [
    b"", b"\0", packet(READ, b"/tool\0")[:16], packet(WRITE, b"/tool/no\0xyz")[:-1],
    packet(READ, b"/tool\0") + packet(WRITE, b"/tool/no\0x")[:9]])
def test_half_a_request_and_gone(flavour, octets):
    with Host(flavour) as host:
        before = open_files(host.proxy)
        for _ in range(30):
            with host.client() as client:
                client.send_raw(octets)
        wait_closed(host.proxy, before)
        with pytest.raises(XsError):
            host.dom0.read("/tool/no")
        host.check()


def test_gone_with_transactions(flavour):
    """What a client held upstream ends with it."""
    with Host(flavour) as host:
        before = open_files(host.proxy)
        for i in range(30):
            with host.client() as client:
                tx = client.start()
                client.write("/tool/in-tx", i, tx=tx)
                client.watch("/tool", "t")
        wait_closed(host.proxy, before)
        assert not host.dom0.exists("/tool/in-tx")
        with host.client() as client:
            assert client.start() == 1


def test_oversize(flavour):
    """The C daemon closes such a connection, and so do we in front of either. (The OCaml daemon by
    itself would read on in the middle of the message.)"""
    for proxied in (True, False)[:2 if flavour == "C" else 1]:
        with Host(flavour, proxied) as host:
            for length in (4097, 0xFFFFFFFF):
                client = host.client()
                client.send_raw(HEADER.pack(READ, 1, 0, length) + b"x" * 100)
                with pytest.raises((Closed, ConnectionError)):
                    client.recv()
            assert host.dom0.directory("/")


@pytest.mark.parametrize("children", [80, 1500])
def test_large_replies(flavour, children):
    """oxenstored's replies may exceed 4096 octets on a socket; the C daemon refuses. What comes
    after such a reply is not disturbed."""
    def scenario(host):
        tx = host.dom0.start()
        for i in range(children):
            host.dom0.write(f"/tool/many/{i:060}", "", tx=tx)
        host.dom0.end(tx)
        tape = Tape(host.client())
        tape.ok(WATCH, "/tool/event", "t")
        tape.event("/tool/event")
        for i in range(5):
            tape.peer.send(DIRECTORY, b"/tool/many\0", req_id=i)
            tape.peer.send(READ, b"/tool/none\0", req_id=100)
        replies = [tape.reply() for _ in range(10)]
        assert [msg.req_id for msg in replies] == [0, 100, 1, 100, 2, 100, 3, 100, 4, 100]
        tape.call(WRITE, payload=b"/tool/event\0x")
        tape.call(READ, "/tool/event")
        return tape.messages

    replies = [msg for msg in same(flavour, scenario) if msg.req_id in range(5) and
               msg.type in (DIRECTORY, ERROR)]
    assert len(replies) >= 5
    for msg in replies[:5]:
        assert (len(msg.payload) == 61 * children) == (flavour == "O")


def test_never_reads(flavour):
    """Its requests are taken no further than its answers fit; others go on; when it reads after all
    it gets every answer."""
    with Host(flavour) as host:
        host.dom0.write("/tool/v", pattern(2000))
        before = resident(host.proxy)
        lazy = [host.client() for _ in range(4)]
        went = [fill(client) for client in lazy]
        assert resident(host.proxy) - before < 16 << 20
        guest = host.add_guest(7)
        assert guest.read("name") == b"guest-7"
        assert host.client().read("/tool/v") == pattern(2000)
        for client, (count, rest) in zip(lazy, went):
            assert count > 100
            assert client.recv_reply().payload == pattern(2000)
            sender = threading.Thread(target=client.sock.sendall, args=(rest,))
            client.sock.settimeout(client.timeout)
            sender.start()
            for _ in range(count - 1):
                assert client.recv_reply().payload == pattern(2000)
            sender.join()
        host.check()


@pytest.mark.parametrize("kind", ["guest", "client"])
def test_events_for_one_that_never_reads(flavour, kind):
    """3000 events wait in xsproxyd, without a word from it and without stopping the writer."""
    with Host(flavour) as host:
        host.dom0.write("/tool/e", "")
        host.dom0.set_perms("/tool/e", "r0")
        for i in range(100):
            host.dom0.write(f"/tool/e/{i}", "")
        lazy = host.add_guest(7) if kind == "guest" else host.client()
        lazy.watch("/tool/e", "t")
        count = 3000
        for i in range(count):
            # The C daemon drops an event that equals one which it still has queued.
            host.dom0.write(f"/tool/e/{i % 100}", i)
            if i % 50 == 0:
                assert host.dom0.read(f"/tool/e/{i % 100}") == b"%d" % i
        expected = ["/tool/e"] + [f"/tool/e/{i % 100}" for i in range(count)]
        tape = Tape(lazy)
        seen = [event.path for event in lazy.events]
        while len(seen) < len(expected):
            msg = tape.recv()
            assert msg.type == WATCH_EVENT
            seen.append(xsclient.parse_event(msg).path)
        assert seen == expected
        assert host.dom0.read("/tool/v" if host.dom0.exists("/tool/v") else "/tool/e") == b""


def test_socket_is_private(flavour):
    """Who can connect is dom0: 0600 in 0700 directories, and no other user even so."""
    with Host(flavour) as host:
        for path in (host.socket, host.run_dir / "bridge", host.run_dir / "upstream"):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
        assert stat.S_IMODE(os.stat(host.run_dir).st_mode) == 0o700
        os.chmod(host.sim.dir, 0o755)
        os.chmod(host.socket, 0o666)
        code = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                "s.sendall(bytes(16)); print(len(s.recv(100)))")
        done = subprocess.run([sys.executable, "-c", code, host.socket], user=65534, group=65534,
                              extra_groups=[], capture_output=True, text=True, check=False,
                              timeout=xsclient.TIMEOUT, cwd="/")
        assert done.stdout == "0\n" or "ConnectionResetError" in done.stderr \
            or "BrokenPipeError" in done.stderr, done
        wait_until(lambda: "on the Xenstore socket; list the user" in host.proxy.text())
        assert host.client().directory("/")
