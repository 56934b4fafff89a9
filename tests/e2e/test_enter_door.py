# SPDX-License-Identifier: MIT
"""Where toolstacks are served once systemd's socket lies where none of them looks: before xsproxyd
is put before a native daemon, and after."""

import os
import signal
import socket
import stat

import pytest

import xsclient
from harness import Host
from relay import wait_until
from service import proxy_on


@pytest.fixture(name="entering")
def entering_fixture():
    """systemd's socket, with the drop-in of `xsproxyctl enter`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        yield listener


def listen(listener, host):
    listener.bind(str(host.run_dir / "entering"))
    listener.listen(16)


def serves(host):
    """Whether it does at once, and says nothing of systemd's socket."""
    client = host.client()
    client.send(xsclient.DIRECTORY, b"/\0")
    with_answer = client.recv_reply().type == xsclient.DIRECTORY
    return with_answer and "systemd holds" not in host.proxy.text()


def test_until_then_the_toolstacks_socket_is_not_ours(entering):
    with Host("C", start=False) as host:
        listen(entering, host)
        host.socket.write_text("the native daemon's")
        with proxy_on(host, entering) as notify:
            notify.wait("READY=1")
            client = xsclient.Client(host.run_dir / "entering")
            client.send(xsclient.DIRECTORY, b"/\0")
            wait_until(lambda: "waiting for a xenstored" in host.proxy.text())
            assert "systemd holds" not in host.proxy.text()
            assert host.proxy.kill(signal.SIGTERM) == 0
            client.close()
        assert host.socket.read_text() == "the native daemon's"
        assert (host.run_dir / "entering").is_socket()


@pytest.mark.parametrize("sig", (signal.SIGTERM, signal.SIGKILL))
def test_afterwards_it_is_the_keepers(entering, sig):
    """However often xsproxyd is restarted, and whoever waits there meanwhile."""
    with Host("C") as host:
        listen(entering, host)
        inode = os.stat(host.socket).st_ino
        stays = host.client()
        assert stays.directory("/")
        host.proxy.kill(sig)
        for _ in range(2):
            waits = host.client()
            waits.send(xsclient.DIRECTORY, b"/\0")
            with proxy_on(host, entering) as notify:
                notify.wait("READY=1")
                assert waits.recv_reply().type == xsclient.DIRECTORY
                assert stays.directory("/") and serves(host)
                host.proxy.kill(sig)
            assert os.stat(host.socket).st_ino == inode
        host.check()


def test_afterwards_by_another_name(entering, tmp_path):
    """A native daemon may have been told of /var/run."""
    with Host("C") as host:
        listen(entering, host)
        inode, stays = os.stat(host.socket).st_ino, host.client()
        assert stays.directory("/")
        host.proxy.kill()
        alias = tmp_path / "alias"
        alias.symlink_to(host.socket.parent)
        host.socket = alias / host.socket.name
        with proxy_on(host, entering) as notify:
            notify.wait("READY=1")
            assert stays.directory("/") and serves(host)
            assert os.stat(host.socket).st_ino == inode
            host.proxy.kill()


def test_afterwards_without_a_keeper_there_is_a_new_one(entering):
    with Host("C", keeper=False) as host:
        listen(entering, host)
        host.proxy.kill(signal.SIGTERM)
        assert not host.socket.exists()
        with proxy_on(host, entering) as notify:
            notify.wait("READY=1")
            assert serves(host)
            assert stat.S_IMODE(os.stat(host.socket).st_mode) == 0o600
            assert host.proxy.kill(signal.SIGTERM) == 0
        # Nobody has it now.
        assert not host.socket.exists() and (host.run_dir / "entering").is_socket()
