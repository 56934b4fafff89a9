# SPDX-License-Identifier: MIT
"""A bridge that answers xsproxyd late, wrongly or never.

Something else stands where xenstored's bridge should be. xsproxyd waits, says why, serves its
control socket, and takes the real one as soon as it is there. (What the bridge does with an
xsproxyd like that: test_bridge.py. Another version: test_foreign.py.)
"""

import contextlib
import os
import socket
import struct

import pytest

from control import Control
from harness import Host
from relay import FLAVOURS, wait_until

HELLO, BUSY, MAP, BIND, ACK, KEPT = 1, 2, 3, 4, 7, 9
MSG = struct.Struct("<IIIi")
VERSION, VERSION_OLD = 2, 1

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)


@contextlib.contextmanager
def impostor(host):
    """A socket in the place of the bridge's."""
    path = host.run_dir / "bridge"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(str(path))
        sock.listen(4)
        sock.settimeout(20)
        yield sock
    path.unlink()


def send(peer, *messages, fds=0):
    for message in messages:
        files = [os.memfd_create("impostor") for _ in range(fds)]
        socket.send_fds(peer, [message], files)
        for fd in files:
            os.close(fd)


ANSWERS = {
    "no descriptors": lambda peer: send(peer, MSG.pack(HELLO, 0, 0, VERSION)),
    "no rings": lambda peer: send(peer, MSG.pack(HELLO, 0, 0, VERSION), fds=3),
    "no old arena": lambda peer: send(peer, MSG.pack(HELLO, 0, 0, VERSION_OLD), fds=3),
    "kept unasked": lambda peer: send(peer, MSG.pack(KEPT, 0, 0, 0)),
    "busy": lambda peer: send(peer, MSG.pack(BUSY, 0, 0, 0)),
    "no HELLO": lambda peer: send(peer, MSG.pack(MAP, 1, 7, 0)),
    "short": lambda peer: send(peer, b"x"),
    "unknown": lambda peer: send(peer, MSG.pack(77, 0, 0, 0)),
    "gone": lambda peer: None,
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_wrong(flavour, answer):
    """It is tried again and again, and said once."""
    with Host(flavour, start=False) as host:
        with impostor(host) as sock:
            host.start_proxy()
            for _ in range(5):
                peer, _ = sock.accept()
                with peer:
                    ANSWERS[answer](peer)
                    if answer != "no HELLO":
                        continue
                    # Domains are not spoken of before.
                    peer.settimeout(20)
                    said = peer.recv(64)
                    assert not said or MSG.unpack(said)[0] == ACK and MSG.unpack(said)[3] < 0
            with Control(host) as control:
                assert control.run("status")["state"] == "waiting"
        assert host.proxy.text().count("cannot use the bridge in xenstored: ") == 1
        host.start_daemon()
        assert host.add_guest(7).read("domid") == b"7"
        host.check()


def test_never(flavour):
    """xenstored has its socket, but does not run."""
    with Host(flavour, start=False) as host:
        with impostor(host) as sock:
            host.start_proxy()
            peer, _ = sock.accept()
            wait_until(lambda: "xenstored does not answer at" in host.proxy.text())
            held = host.client()
            held.send(3, b"/\0")
            with Control(host) as control:
                assert control.run("status")["state"] == "waiting"
                assert host.proxy.text().count("xenstored does not answer at") == 1
            peer.close()
        host.start_daemon()
        held.recv_reply()
        assert host.add_guest(7).read("domid") == b"7"
        host.check()


def test_never_and_told_to_end(flavour):
    with Host(flavour, start=False) as host:
        with impostor(host) as sock:
            host.start_proxy()
            with sock.accept()[0]:
                assert host.proxy.stop() == 0
