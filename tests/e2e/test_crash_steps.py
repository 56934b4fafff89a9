# SPDX-License-Identifier: MIT
"""xenstored crashes, and the next one ends, too, while it loads the store."""

import signal

import pytest

from crashing import crash, over, processes_end
from harness import DAEMONS, xensim
from mirrored import differences, wait_whole
from relay import FLAVOURS, wait_until
from supervised import Supervised
from xsclient import GET_PERMS, SET_PERMS

NODES = 300


def fail_at_start(host, tmp_path, times):
    """The next daemons end at once, so many of them."""
    path, count = tmp_path / DAEMONS[host.flavour], tmp_path / "count"
    path.write_text(f'#!/bin/sh\necho >>"{count}"\n'
                    f'[ "$(wc -l <"{count}")" -gt {times} ] || exit 1\n'
                    f'exec "{xensim.XEN_BIN / DAEMONS[host.flavour]}" "$@"\n')
    path.chmod(0o755)
    host.sim.daemon_argv = lambda _, *args: [path, "--no-fork", *args]


def perms(client, path):
    return client.request(GET_PERMS, path.encode() + b"\0")


def add_nodes(client):
    for i in range(NODES):
        client.write(f"/tool/n{i % 7}/m{i}", str(i) * 4)
    client.write("/tool/empty", "")
    client.request(SET_PERMS, b"/tool/n3\0n7\0r8\0b0\0")


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_each_node_is_told(flavour, times, tmp_path):
    with Supervised(flavour, log="info") as host:
        guest = host.add_guest(7)
        host.add_guest(8)
        guest.write("data/x", "1")
        guest.watch("data", "token")
        assert guest.wait_watch().path == "data"
        client = host.client()
        add_nodes(client)
        wait_whole(host)
        before = [perms(client, path) for path in ("/tool", "/tool/n3", "/local/domain/7/data")]
        fail_at_start(host, tmp_path, times)
        crash(host)
        assert guest.read("data/x") == b"1"
        assert guest.wait_watch().path == "data"
        guest.write("data/y", "2")
        assert guest.wait_watch().path == "data/y"
        for i in range(NODES):
            assert client.read(f"/tool/n{i % 7}/m{i}") == str(i).encode() * 4
        assert client.read("/tool/empty") == b""
        assert before == [perms(client, path)
                          for path in ("/tool", "/tool/n3", "/local/domain/7/data")]
        assert host.proxy.text().count("xenstored has ended over its state") == times
        # The crash, and not what came of it.
        assert "has ended unasked (signal KILL)" in host.proxy.text()
        assert differences(host) == 0
        host.check()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_other_daemon(flavour, tmp_path):
    """One that does not start at all: what is installed beside it does."""
    other = {"C": "O", "O": "C"}[flavour]
    (tmp_path / DAEMONS[other]).symlink_to(xensim.XEN_BIN / DAEMONS[other])
    with Supervised(flavour, log="info") as host:
        guest = host.add_guest(7)
        guest.write("data/x", "1")
        guest.watch("data", "token")
        guest.wait_watch()
        client = host.client()
        wait_whole(host)
        fail_at_start(host, tmp_path, 1000)
        crash(host)
        assert guest.read("data/x") == b"1"
        assert guest.wait_watch().path == "data"
        assert f"now {DAEMONS[other]} is started" in host.proxy.text()
        assert host.ask("status")["xenstored"]["name"] == DAEMONS[other]
        # It is the one that there is from now on.
        crash(host)
        assert host.ask("status")["xenstored"]["name"] == DAEMONS[other]
        assert client.read("/local/domain/7/data/x") == b"1"
        # Each daemon has nodes that it makes by itself.
        assert differences(host) <= 3
        assert differences(host) == 0
        host.check()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_each_has_its_turn(flavour, tmp_path):
    """The one that took the other's place crashes, and starts no more: that one does by now."""
    other = {"C": "O", "O": "C"}[flavour]
    beside = tmp_path / DAEMONS[other]
    beside.symlink_to(xensim.XEN_BIN / DAEMONS[other])
    with Supervised(flavour, log="info") as host:
        guest = host.add_guest(7)
        guest.write("data/x", "1")
        wait_whole(host)
        fail_at_start(host, tmp_path, 1000)
        crash(host)
        assert host.ask("status")["xenstored"]["name"] == DAEMONS[other]
        fail_at_start(host, tmp_path, 0)
        beside.unlink()
        beside.write_text("#!/bin/sh\nexit 1\n")
        beside.chmod(0o755)
        crash(host)
        assert host.ask("status")["xenstored"]["name"] == DAEMONS[flavour]
        assert guest.read("data/x") == b"1"
        host.check()


@pytest.mark.parametrize("line", ["xenstored has ended over its state",
                                  "the new xenstored is told of watches and transactions"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_xsproxyd_is_killed_meanwhile(flavour, line, tmp_path):
    """The next one tells all of it once more."""
    with Supervised(flavour, log="info") as host:
        guest = host.add_guest(7)
        guest.write("data/x", "1")
        client = host.client()
        add_nodes(client)
        wait_whole(host)
        fail_at_start(host, tmp_path, 1)
        before = processes_end(host)
        host.daemon.kill()
        wait_until(lambda: line in host.proxy.text())
        host.proxy.kill(signal.SIGKILL)
        host.start_proxy()
        wait_until(lambda: over(host, before))
        assert guest.read("data/x") == b"1"
        for i in range(NODES):
            assert client.read(f"/tool/n{i % 7}/m{i}") == str(i).encode() * 4
        assert differences(host) == 0
        host.check()
