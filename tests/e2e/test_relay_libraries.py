# SPDX-License-Identifier: MIT
"""Other people's clients, from Debian's own packages, on the toolstack's socket: python3-pyxs with
many threads on one connection, xenstore-watch, and as many connections as a busy dom0 has, at
once. (OCaml's library and others' are no packages.)"""

import contextlib
import pathlib
import subprocess
import sys

import pytest

import xsclient
from harness import Host
from relay import FLAVOURS, open_files, packet, wait_closed, wait_until
from xsclient import READ

LOAD = pathlib.Path(__file__).with_name("pyxs_load.py")
PATIENCE = 60
both = pytest.mark.parametrize("flavour", FLAVOURS)
either = pytest.mark.parametrize("proxied", (False, True), ids=("direct", "proxied"))


def load(path, base, threads=16, rounds=20):
    """A process of pyxs_load.py."""
    return subprocess.Popen([sys.executable, LOAD, str(path), base, str(threads), str(rounds)],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def done(process):
    """How many transactions it took; it must have gone well."""
    try:
        out = process.communicate(timeout=PATIENCE)[0]
    finally:
        process.kill()
    assert process.returncode == 0, out
    return int(out)


@pytest.mark.long
@both
@either
def test_many_threads_on_one_connection(flavour, proxied):
    """Two processes, one connection each; nothing of them is left."""
    with Host(flavour, proxied) as host:
        before = open_files(host.proxy or host.daemon)
        for path in ("/tool", "/tool/a", "/tool/b"):
            host.dom0.write(path, "")
        loads = [load(host.socket, f"/tool/{name}") for name in "ab"]
        assert [done(process) >= 16 * 20 for process in loads] == [True, True]
        assert host.dom0.directory("/tool/a") == host.dom0.directory("/tool/b") == []
        wait_closed(host.proxy or host.daemon, before)
        host.check()


@both
@pytest.mark.usefixtures("descriptors")
def test_a_thousand_clients(flavour):
    """All are there before the first asks; each gets its own answers and its own events."""
    n = 1000
    with Host(flavour) as host:
        before = open_files(host.proxy)
        host.dom0.write("/tool", "")
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(xsclient.Client(host.socket, timeout=PATIENCE))
                       for _ in range(n)]
            for i, client in enumerate(clients):
                client.send(xsclient.WATCH, b"/tool/x\0%d\0" % i)
            for i, client in enumerate(clients):
                assert client.recv_reply().type == xsclient.WATCH
                assert client.wait_event() == ("/tool/x", str(i))
            host.dom0.write("/tool/x", "1")
            for i, client in enumerate(clients):
                assert client.wait_event() == ("/tool/x", str(i))
            # Of some nothing but half a header comes; the others are served all the same.
            for client in clients[::2]:
                client.send_raw(packet(READ, b"/tool/x\0")[:7])
            for client in clients[::2]:
                client.close()
            for client in clients[1::2]:
                client.send(READ, b"/tool/x\0")
            for client in clients[1::2]:
                assert client.recv_reply().payload == b"1"
        wait_closed(host.proxy, before)
        host.check()


@both
@either
def test_xenstore_watch(flavour, proxied):
    """20 of them at once; each ends after what it was told to wait for."""
    with Host(flavour, proxied) as host:
        host.dom0.write("/tool/x", "")
        tools = [subprocess.Popen(["xenstore-watch", "-n", "3", "/tool", "/tool/x"],
                                  env=host.tool_env(), stdout=subprocess.PIPE, text=True)
                 for _ in range(20)]
        try:
            first = [[tool.stdout.readline() for _ in range(2)] for tool in tools]
            assert first == [["/tool\n", "/tool/x\n"]] * len(tools)
            # Two of the three have come with the watches.
            host.dom0.write("/tool/x", "1")
            assert [tool.communicate(timeout=PATIENCE)[0] for tool in tools] == [
                "/tool/x\n"] * len(tools)
            assert {tool.returncode for tool in tools} == {0}
        finally:
            for tool in tools:
                tool.kill()
                tool.wait()
        wait_until(lambda: host.dom0.read("/tool/x") == b"1")
        host.check()
