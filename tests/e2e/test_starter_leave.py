# SPDX-License-Identifier: MIT
"""A daemon becomes one without the bridge, which serves guests' own rings, clients and whoever comes:
what the starter does when xsproxyd leaves."""

import pytest

import xensim
import xsclient
from bridge_bed import BUILD
from leaving import Leaver, has
from starting import Bed

pytest_plugins = ("bridge_bed",)

PAIRS = [(before, after) for before in xensim.FLAVOURS for after in xensim.FLAVOURS]


@pytest.fixture(name="bed")
def a_bed(sim, tools):
    with Bed(sim, tools) as bed:
        bed.conduct()
        yield bed


@pytest.fixture(params=PAIRS, ids="".join, name="pair")
def pair_fixture(request):
    return request.param


def native(bed, flavour):
    return bed.sim.daemon_argv(flavour)[0]


def new_client(bed):
    return xsclient.Client(bed.sim.path(xensim.SOCKET))


@pytest.mark.parametrize("before, after", PAIRS)
def test_all_goes_on(bed, before, after):
    pid_file = bed.sim.dir / "pid"
    bed.serving(before, "--pid-file", pid_file)
    with bed.client() as client:
        bed.introduce(client, 7, 8)
    pid = bed.daemon.pid
    with Leaver(bed) as leaver:
        leaver.bind(0, 7, 8)
        client = leaver.client()
        guest = bed.sim.guest(7)
        kernel = bed.sim.guest(0)
        late = guest.send(xsclient.READ, b"domid\0")
        leaver.drain()
        with bed.live_update() as talk:
            state = talk.wanted()
            assert leaver.leave(talk, state, native(bed, after),
                                {7: has(watches=[("data", "t7")])},
                                {0: has(watches=[("/local/domain/7", "tc")])}) is None
    assert xsclient.check(guest.recv_reply(), xsclient.READ) == b"7"
    assert guest.read("domid") == b"7"
    assert kernel.read("/local/domain/8/domid") == b"8"
    client.write("/local/domain/7/data/x", "1")
    assert guest.wait_watch() == ("data/x", "t7")
    assert client.wait_event() == ("/local/domain/7/data/x", "tc")
    with new_client(bed) as other:
        assert other.is_introduced(8)
        bed.sim.destroy(8)
    print(bed.argv(), bed.environ(), late, pid, pid_file.read_text(), BUILD)
