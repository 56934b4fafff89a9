# SPDX-License-Identifier: MIT
"""Why a domain does not come to rest: each reason has words of its own, on the control socket, in
what xsproxyctl says, and in `domain`. On the wire it is EBUSY for all of them."""

import contextlib
import signal

import pytest

import xensim
import xsclient
from control import Control, ControlError
from migration import ctl, start_ctl
from ours import GET_DOMAIN_STATE, QUIESCE, error_of, quiesce, running, unquiesce
from relay import FLAVOURS, RING, packet, wait_until
from xsclient import READ, WRITE, join, strings

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

REQUEST = packet(WRITE, b"data/some\0" + b"x" * 40, req_id=5)
NO_SUCH_LENGTH = packet(READ, b"", length=5000)


def taken(guest):
    wait_until(lambda: guest.req_cons == guest.req_prod)


def ctl_start(host, *args):
    return start_ctl(host, *args, "--control", host.run_dir / "control")


def shown(host):
    return ctl(host, "domain", 7, "--control", host.run_dir / "control").decode()


def refused(host, *words):
    """Each of them is in what everybody is told, at the same time."""
    asker = host.client()
    with contextlib.ExitStack() as stack:
        control = stack.enter_context(Control(host))
        control.send("quiesce", domid=7)
        asker.send(QUIESCE, b"7\0")
        tools = [stack.enter_context(ctl_start(host, "quiesce", 7, *args))
                 for args in ((), ("--lease",))]
        assert error_of(asker.recv_reply()) == "EBUSY"
        with pytest.raises(ControlError) as error:
            control.reply()
        assert error.value.error_class == "Busy"
        said = [str(error.value), strings(asker.request(GET_DOMAIN_STATE, join(7, "why")))[1]]
        for tool in tools:
            said.append(tool.communicate(timeout=xensim.TIMEOUT)[1].decode())
            assert tool.returncode == 1
    for word in words:
        assert all(word in text for text in said), (word, said)


@pytest.mark.long
@pytest.mark.parametrize("restart", [False, True])
def test_in_the_middle_of_a_request(flavour, restart):
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.send_raw(REQUEST[:18])
        taken(guest)
        if restart:
            host.proxy.kill()
            host.start_proxy()
            host._dom0 = host.client()  # pylint: disable=protected-access
            host.dom0.directory("/")
        refused(host, "in the middle of a request for ", f"18 of {len(REQUEST)} octets")
        with Control(host) as control:
            request = control.run("domain", domid=7)["unfinished"]
        assert request["octets"] == 18 and request["of"] == len(REQUEST)
        # That took two seconds, rounded down at both ends.
        assert 1 <= request["seconds"] < 120
        assert "in the middle of a request for " in ctl(host, "export", 7, status=1)
        assert "in the middle of a request for " in shown(host)
        assert f" s, 18 of {len(REQUEST)} octets\n" in shown(host)

        guest.send_raw(REQUEST[18:])
        assert guest.recv_reply().payload == b"OK\0"
        with Control(host) as control:
            assert control.run("domain", domid=7)["unfinished"] is None
        quiesce(host.dom0, 7)
        assert strings(host.dom0.request(GET_DOMAIN_STATE, join(7, "why"))) == ["quiesced", ""]
        unquiesce(host.dom0, 7)


def test_in_the_middle_of_a_header(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.send_raw(REQUEST[:9])
        taken(guest)
        refused(host, "in the middle of a request for ", "9 octets of its header")
        with Control(host) as control:
            assert control.run("domain", domid=7)["unfinished"]["of"] is None
        assert " 9 octets of its header\n" in shown(host)


def test_does_not_read_its_replies(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.write("data/large", b"v" * 2000)
        guest.send(READ, b"data/large\0")
        guest.send(READ, b"domid\0")
        wait_until(lambda: guest.rsp_prod - guest.rsp_cons == RING)
        refused(host, "does not read", "replies that wait: 2")
        assert "not read: 0 events, 2 replies\n" in shown(host)


def test_broke_the_protocol(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.send_raw(NO_SUCH_LENGTH)
        wait_until(lambda: guest.error)
        refused(host, "broke the protocol", "longer than 4096 octets", "until it is released")


def test_xenstored_does_not_answer(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        host.dom0.directory("/")
        host.daemon.process.send_signal(signal.SIGSTOP)
        guest.send(READ, b"domid\0")
        taken(guest)
        with Control(host) as control:
            with pytest.raises(ControlError, match="xenstored has not answered .*: 1$"):
                control.run("quiesce", domid=7)
        host.daemon.process.send_signal(signal.SIGCONT)
        assert guest.recv_reply().payload == b"7"


def test_why_of_one_that_runs(flavour):
    with running(flavour) as host:
        host.add_guest(7)
        assert strings(host.dom0.request(GET_DOMAIN_STATE, join(7, "why"))) == ["running", ""]
        for words in (["whys"], [""], ["why", "why"], ["wh"]):
            with pytest.raises(xsclient.XsError, match="EINVAL"):
                host.dom0.request(GET_DOMAIN_STATE, join(7, *words))
