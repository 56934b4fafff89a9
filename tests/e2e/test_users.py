# SPDX-License-Identifier: MIT
"""Toolstack clients that are not root: whom the socket's mode and [socket] users let in, and what
they may ask."""

import grp
import os
import signal
import socket
import stat
import subprocess

import pytest

import xensim
from control import Control
from ours import running
from harness import Host
from service import proxy_on

GROUP = grp.getgrnam("nogroup").gr_gid


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
