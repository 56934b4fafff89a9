# SPDX-License-Identifier: MIT
"""xenstored is exchanged under guests and clients (proxy/exchange/): all four of C and O."""

import pytest

from supervised import Supervised

FLAVOURS = ("C", "O")


@pytest.fixture(params=FLAVOURS, name="host")
def host_fixture(request):
    with Supervised(request.param) as host:
        yield host


@pytest.fixture(params=FLAVOURS, name="after")
def after_fixture(request):
    return request.param


def test_all_goes_on(host, after):
    guest = host.add_guest(7)
    guest.write("data/x", "1")
    guest.watch("data", "token")
    assert guest.wait_watch().path == "data"
    client = host.client()
    client.watch("/local/domain/7/data", "toolstack")
    client.wait_event()
    pid = host.daemon.pid
    host.replace(after)
    assert host.daemon.pid != pid
    assert guest.read("data/x") == b"1"
    guest.write("data/y", "2")
    assert guest.wait_watch().path == "data/y"
    assert client.wait_event().path == "/local/domain/7/data/y"
    assert client.read("/local/domain/7/data/y") == b"2"
