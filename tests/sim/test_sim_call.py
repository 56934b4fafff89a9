# SPDX-License-Identifier: MIT
"""What the simulated Xen says of event channels: EVTCHNOP_status."""

import errno
import struct

import pytest
from dom0proc import Dom0Proc
from xensim import XenSim

VIRQ_DOM_EXC = 3
EVENT_CHANNEL_OP, STATUS, SELF = 32, 5, 0x7ff0  # as Xen's headers have it
CLOSED, UNBOUND, INTERDOMAIN, VIRQ = 0, 1, 2, 4
ASKED = struct.Struct("<HxxI")
TOLD = struct.Struct("<IIHxxI")


@pytest.fixture
def proc():
    with XenSim() as sim, Dom0Proc(sim) as process:
        process.sim = sim
        yield process


def status(proc, port, dom=SELF, hypercall=EVENT_CHANNEL_OP, op=STATUS):
    """(status, domid or VIRQ, port)"""
    xcall = proc.call("xencall_open", None, 0)
    buffer = proc.call("xencall_alloc_buffer", xcall, ASKED.size + TOLD.size)
    for at, octet in enumerate(ASKED.pack(dom, port)):
        proc.poke(buffer + at, octet)
    proc.call("xencall2", xcall, hypercall, op, buffer)
    octets = bytes(proc.peek(buffer + ASKED.size + at) for at in range(TOLD.size))
    proc.call("xencall_free_buffer", xcall, buffer)
    proc.call("xencall_close", xcall)
    said, vcpu, dom, port = TOLD.unpack(octets)
    assert vcpu == 0
    return said, dom, port


def test_status(proc):
    """As of what another process has bound, which is dom0's too."""
    port, _ = proc.sim.create(7)
    with Dom0Proc(proc.sim) as other:
        xce = other.call("xenevtchn_open", None, 0)
        local = other.call("xenevtchn_bind_interdomain", xce, 7, port)
        virq = other.call("xenevtchn_bind_virq", xce, VIRQ_DOM_EXC)
        offered = other.call("xenevtchn_bind_unbound_port", xce, 7)
        assert status(proc, local) == (INTERDOMAIN, 7, port)
        assert status(proc, virq)[:2] == (VIRQ, VIRQ_DOM_EXC)
        assert status(proc, offered)[:2] == (UNBOUND, 7)
        proc.sim.destroy(7)
        assert status(proc, local)[:2] == (UNBOUND, 7)
        other.call("xenevtchn_unbind", xce, local)
        assert status(proc, local)[0] == CLOSED


def test_status_of_dom0s_own(proc):
    """Whose Xenstore ring has both ends in dom0."""
    kernel = int((proc.sim.dir / "xsd_port").read_text())
    xce = proc.call("xenevtchn_open", None, 0)
    local = proc.call("xenevtchn_bind_interdomain", xce, 0, kernel)
    assert status(proc, local) == (INTERDOMAIN, 0, kernel)


@pytest.mark.parametrize("number, wrong", [
    (errno.EINVAL, {"port": 99999}), (errno.EPERM, {"port": 1, "dom": 7}),
    (errno.ENOSYS, {"port": 1, "hypercall": 17}), (errno.ENOSYS, {"port": 1, "op": 0})])
def test_what_it_does_not_answer(proc, number, wrong):
    with pytest.raises(OSError) as info:
        status(proc, **wrong)
    assert info.value.errno == number
