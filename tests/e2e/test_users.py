# SPDX-License-Identifier: MIT
"""Toolstack clients that are not root: whom the socket's mode and [socket] users let in, and what
they may ask."""

import configparser
import contextlib
import grp
import os
import pathlib
import pwd
import signal
import socket
import stat

import pytest

import xensim
from control import Control
from harness import Host
from ours import (ADD_DOMAIN_WATCHES, GET_DOMAIN_STATE, GET_DOMAIN_TRANSACTIONS,
                  GET_DOMAIN_WATCHES, HOLD, QUIESCE, RESET_DOMAIN, START_DOMAIN_TRANSACTION,
                  UNQUIESCE, ask, running, said)
from relay import FLAVOURS
from service import proxy_on
from xsclient import CONTROL, DIRECTORY, READ, Closed, join

ROOT = pathlib.Path(__file__).resolve().parents[2]
GROUP = grp.getgrnam("nogroup").gr_gid


@pytest.fixture(name="flavour", params=FLAVOURS)
def each_flavour(request):
    return request.param


def rights(host):
    """Mode and group of the toolstack's socket."""
    st = os.stat(host.socket)
    return stat.S_IMODE(st.st_mode), st.st_gid


# --- the socket

@pytest.mark.parametrize("config, want", [
    ("", (0o600, 0)),
    ("[socket]\nmode = 0660\n", (0o660, 0)),
    ("[socket]\nmode = 0660\ngroup = nogroup\n", (0o660, GROUP)),
    (f"[socket]\ngroup = {GROUP}\n", (0o600, GROUP))])
def test_our_own_socket_has_them(config, want):
    with running("C", config=config) as host:
        assert rights(host) == want


def test_a_socket_that_cannot_have_its_group_stays_roots():
    """As in a sandbox without CAP_CHOWN; and it is said until the file asks for it no more."""
    with Host("C", start=False, config="[socket]\nmode = 0660\ngroup = nogroup\n") as host:
        host.start_daemon()
        host.start_proxy(program=without_chown(host))
        assert rights(host) == (0o600, 0)
        why = (f"cannot give {host.socket} the group nogroup and mode 0660: Operation not "
               "permitted; only root can connect; correct [socket] group and mode")
        assert why in host.proxy.text()
        with Control(host) as control:
            assert control.run("status")["config_error"] == why
            host.config = ""
            host._config()
            control.run("reload")
            assert control.run("status")["config_error"] is None


def without_chown(host):
    """xsproxyd started without that right, as a program."""
    path = host.sim.dir / "confined"
    path.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-chown {xensim.BUILD}/xsproxyd "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("mode, group, wanted, said", [
    (0o600, 0, "", ()),
    (0o660, GROUP, "", ()),
    (0o660, GROUP, "mode = 0660\ngroup = nogroup\n", ()),
    (0o600, 0, "mode = 0660\ngroup = nogroup\n",
     ("[socket] mode = 0660 is of no effect, SocketMode= of xsproxy.socket is",
      "[socket] group = nogroup is of no effect, SocketGroup= of xsproxy.socket is"))])
def test_of_systemds_socket_xsproxy_socket_decides(mode, group, wanted, said):
    with Host("C", start=False, config=f"[socket]\n{wanted}") as host:
        host.start_daemon()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(host.socket))
            os.chown(host.socket, -1, group)
            host.socket.chmod(mode)
            listener.listen(16)
            with proxy_on(host, listener) as notify:
                notify.wait("READY=1")
                assert rights(host) == (mode, group)
                lines = [line for line in host.proxy.text().splitlines() if "no effect" in line]
                assert len(lines) == len(said)
                for line, words in zip(lines, said):
                    assert f"systemd holds the toolstack's socket, {host.socket}; {words}" in line
                assert host.proxy.kill(signal.SIGTERM) == 0


# --- who is let in

USER = pwd.getpwnam("nobody").pw_uid
COMM = pathlib.Path("/proc/self/comm").read_text(encoding="ascii").strip()
ME = f"{COMM} (pid {os.getpid()}, uid {USER})"
OPEN = "[socket]\nmode = 0660\ngroup = nogroup\n"
LET_IN = OPEN + "users = nobody\n"


@contextlib.contextmanager
def as_user(uid=USER, gid=GROUP):
    """What connects is another user's: the kernel says whose it was then."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def client_of(host, **user):
    """A client of another user, who can reach the socket's directory as on any host."""
    for path in (host.sim.dir, *host.socket.parents):
        if path.is_relative_to(host.sim.dir):
            path.chmod(0o711)
    with as_user(**user):
        return host.client()


def refused(host):
    return [line for line in host.proxy.text().splitlines() if "refused" in line]


def assert_turned_away(host, **user):
    before = len(refused(host))
    client = client_of(host, **user)
    # What it sends at once may meet the end of the connection before it has left.
    with contextlib.suppress(OSError):
        client.send(DIRECTORY, b"/\0")
    with pytest.raises((Closed, ConnectionError)):
        client.recv()
    return refused(host)[before:]


def test_by_default_only_root_is(flavour):
    with running(flavour, config=OPEN) as host:
        assert assert_turned_away(host) == [
            f"xsproxyd: refused {ME} on the Xenstore socket; list the user in [socket] users if "
            "it may do what dom0 may"]
        assert host.client().directory("/")


@pytest.mark.parametrize("users", ["nobody", str(USER), "daemon, nobody", "root nobody\t7"])
def test_who_is_listed_is(flavour, users):
    with running(flavour, config=f"{OPEN}users = {users}\n") as host:
        client = client_of(host)
        client.write("/local/domain/0/x", "1")
        assert client.read("/local/domain/0/x") == b"1"
        # Root need not be listed, and another user is not.
        assert host.client().directory("/")
        assert len(assert_turned_away(host, uid=4)) == 1


def test_who_is_listed_needs_the_sockets_mode(flavour):
    with running(flavour, config="[socket]\nusers = nobody\n") as host:
        with pytest.raises(PermissionError):
            client_of(host)
        # As a host's script may do it.
        os.chown(host.socket, -1, GROUP)
        host.socket.chmod(0o660)
        assert client_of(host).directory("/")
        with pytest.raises(PermissionError):
            client_of(host, gid=4)


def test_a_reload_changes_who_is(flavour):
    with running(flavour, config=OPEN) as host, Control(host) as control:
        assert_turned_away(host)
        host.config = LET_IN
        host._config()
        control.run("reload")
        assert "[socket] users has changed" in host.proxy.text()
        client = client_of(host)
        assert client.directory("/")
        host.config = OPEN
        host._config()
        control.run("reload")
        assert_turned_away(host)
        # Who is in stays.
        assert client.directory("/")


def test_who_knocks_again_and_again_does_not_fill_the_log():
    with running("C", config=OPEN) as host:
        lines = sum((assert_turned_away(host) for _ in range(100)), [])
        assert 1 <= len(lines) < 30


def test_the_drop_in_for_a_group_lets_it_in(flavour):
    """As systemd makes the socket by it, for a group of this machine's."""
    drop_in = configparser.ConfigParser()
    drop_in.optionxform = str
    drop_in.read(ROOT / "systemd/examples/xsproxy.socket.d/group.conf")
    assert set(drop_in["Socket"]) == {"SocketMode", "SocketGroup"}
    with Host(flavour, start=False, config="[socket]\nusers = nobody\n") as host:
        host.start_daemon()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(host.socket))
            os.chown(host.socket, -1, GROUP)
            host.socket.chmod(int(drop_in["Socket"]["SocketMode"], 8))
            listener.listen(16)
            with proxy_on(host, listener) as notify:
                notify.wait("READY=1")
                assert client_of(host).directory("/")
                with pytest.raises(PermissionError):
                    client_of(host, gid=4)
                assert len(assert_turned_away(host, uid=4)) == 1
                assert host.proxy.kill(signal.SIGTERM) == 0


# --- what they may ask

CHANGES = (QUIESCE, UNQUIESCE, HOLD, ADD_DOMAIN_WATCHES, START_DOMAIN_TRANSACTION, RESET_DOMAIN)


def requests():
    """Each way to ask: what the log calls it, type, payload."""
    more = {ADD_DOMAIN_WATCHES: ("data", "token"), START_DOMAIN_TRANSACTION: (1,)}
    names = {QUIESCE: "QUIESCE", UNQUIESCE: "UNQUIESCE", HOLD: "HOLD",
             ADD_DOMAIN_WATCHES: "ADD_DOMAIN_WATCHES",
             START_DOMAIN_TRANSACTION: "START_DOMAIN_TRANSACTION", RESET_DOMAIN: "RESET_DOMAIN"}
    for type_ in CHANGES:
        yield names[type_], type_, join(7, *more.get(type_, ()))
        word = names[type_].lower().replace("_", "-")
        yield "CONTROL", CONTROL, join(word, 7, *more.get(type_, ()))
    # xenstored is root, and would open any file.
    yield "CONTROL", CONTROL, join("logfile", "/dev/null")
    yield "CONTROL", CONTROL, join("live-update", "-s")
    yield "CONTROL", CONTROL, join("help")
    yield "CONTROL", CONTROL, b"quiesce"


@pytest.mark.parametrize("name, type_, payload", requests())
def test_what_stops_or_changes_is_roots(flavour, name, type_, payload):
    with running(flavour, config=LET_IN) as host:
        guest = host.add_guest(7)
        client = client_of(host)
        assert said(client.request, type_, payload) == "EACCES"
        (line,) = refused(host)
        assert line.endswith(f": {name} of {ME} was refused with EACCES, for only root may ask; "
                             "see [socket] users-control in xsproxy.conf")
        assert ask(host.dom0, GET_DOMAIN_STATE, 7) == b"running\0"
        assert guest.read("domid") == b"7"
        # The answer came after those to what it had asked before.
        client.send(READ, b"/local/domain/7/domid\0", req_id=1)
        client.send(type_, payload, req_id=2)
        assert [client.recv_reply().req_id for _ in range(2)] == [1, 2]


def test_what_only_shows_is_everybodys(flavour):
    with running(flavour, config=LET_IN) as host:
        host.add_guest(7).watch("data", "token")
        client = client_of(host)
        assert ask(client, GET_DOMAIN_STATE, 7) == b"running\0"
        assert ask(client, GET_DOMAIN_TRANSACTIONS, 7) == b""
        assert b"token" in ask(client, GET_DOMAIN_WATCHES, 7, 0)
        assert b"token" in client.request(CONTROL, join("get-domain-watches", 7))
        assert refused(host) == []


def test_an_option_lets_them_ask(flavour):
    with running(flavour, config=f"{LET_IN}users-control = pass\n") as host:
        host.add_guest(7)
        client = client_of(host)
        assert ask(client, QUIESCE, 7) == b"OK\0"
        assert f"d7: QUIESCE by {ME}: it stands still\n" in host.proxy.text()
        client.request(CONTROL, join("unquiesce", 7))
        assert b"quiesce" in client.request(CONTROL, join("help"))
        assert refused(host) == []
        # It would have a program executed as root.
        assert said(client.request, CONTROL, join("live-update", "-f", "/bin/true")) == "EACCES"
        # And no longer.
        host.config = LET_IN
        host._config()
        with Control(host) as control:
            control.run("reload")
        assert ask(client, QUIESCE, 7) == "EACCES"


def test_root_may_ask_beside_them(flavour):
    with running(flavour, config=LET_IN) as host:
        host.add_guest(7)
        client_of(host)
        for client in (host.dom0, host.guest(0)):
            assert ask(client, QUIESCE, 7) == b"OK\0"
            assert ask(client, UNQUIESCE, 7) == b"OK\0"
        assert refused(host) == []
