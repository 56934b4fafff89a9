# SPDX-License-Identifier: MIT
"""What survives xsproxyd's leaving a host to a native xenstored, whichever daemon follows which."""

import pytest

import things
from native_host import Native
from ours import quiesce, said
from relay import FLAVOURS, introduce, wait_until
from supervised import Refused
from xensim import XEN_BIN


@pytest.fixture(params=FLAVOURS, name="host")
def host_fixture(request):
    """xsproxyd is before a daemon of this kind."""
    with Native("O" if request.param == "C" else "C", log="info") as host:
        host.enter(request.param)
        yield host
        host.check()


@pytest.fixture(params=FLAVOURS, name="after")
def after_fixture(request):
    return request.param


@pytest.mark.parametrize("thing", things.THINGS, ids=lambda thing: thing.__name__)
def test_goes_on(host, after, thing):
    things.moved(host, [thing], lambda: host.leave(after))
    assert host.is_native()


@pytest.mark.parametrize("thing", (things.replies_in_part, things.requests_in_part),
                         ids=lambda thing: thing.__name__)
def test_goes_on_with_c(host, thing):
    """What oxenstored has no place for."""
    things.moved(host, [thing], lambda: host.leave("C"))
    assert host.is_native()


def test_there_and_back(host, after):
    """And once more: xsproxyd is started anew, for the one that has left is nobody's any more."""
    guest, client = host.add_guest(7), host.client()
    guest.watch("data", "t")
    guest.wait_watch()
    client.watch("/local/domain/7/data", "c")
    client.wait_event()
    for daemon in (after, "C", "O"):
        host.leave(daemon)
        assert host.is_native()
        host.dismiss()
        guest.write("data/native", daemon)
        assert guest.wait_watch().path == "data/native"
        assert client.wait_event().path == "/local/domain/7/data/native"
        host.enter(after)
        assert host.is_behind()
        guest.write("data/behind", daemon)
        assert guest.wait_watch().path == "data/behind"
        assert client.wait_event().path == "/local/domain/7/data/behind"


def test_domains_come_and_go(host, after):
    guests = {domid: host.add_guest(domid) for domid in (7, 8)}
    host.leave(after)
    watcher = host.client()
    for special in ("@introduceDomain", "@releaseDomain"):
        watcher.watch(special, special)
        watcher.wait_event()
    introduce(host, 9)
    assert watcher.wait_event(path="@introduceDomain")
    host.sim.destroy(7)
    assert watcher.wait_event(path="@releaseDomain")
    wait_until(lambda: not host.dom0.is_introduced(7))
    assert guests[8].read("domid") == b"8"


def test_transaction_is_waited_for(host, after):
    """Until it has ended; whoever does not end it stays, and nobody notices."""
    guest = host.add_guest(7)
    tx = guest.start()
    guest.write("data/x", "1", tx=tx)

    def end(stage):
        if stage == "waiting for open transactions":
            guest.end(tx)
    host.leave(after, at=end)
    assert guest.read("data/x") == b"1"
    assert host.is_native()


def test_transaction_that_does_not_end(host, after):
    guest = host.add_guest(7)
    tx = guest.start()
    with pytest.raises(Refused, match="domain 7 has an open transaction"):
        host.leave(after)
    guest.write("data/x", "1", tx=tx)
    guest.end(tx)
    assert host.is_behind()
    tx = guest.start()
    host.leave(after, force=True)
    assert said(guest.end, tx) in ("ENOENT", "EIO", "EINVAL")
    assert guest.read("data/x") == b"1"


def test_refused(host, after):
    """A quiesced domain would run; there is no such daemon. All goes on."""
    guest = host.add_guest(7)
    quiesce(host.dom0, 7)
    with pytest.raises(Refused, match="a domain is quiesced or held"):
        host.leave(after)
    assert host.is_behind()
    guest.send(2, b"domid\0", req_id=5)
    host.dom0.directory("/")
    assert guest.get("rsp_prod") == guest.get("rsp_cons")


def test_target(host, after):
    """oxenstored's state does not say who has whom; it is told when it serves."""
    if host.serves == "O":
        pytest.skip("as long as a domain has a target oxenstored writes no state")
    things.moved(host, [things.target], lambda: host.leave(after))


def test_client_that_does_not_read(host):
    """What it has sent beyond that nobody can take; once it reads, it can be left."""
    host.dom0.write("/big", b"B" * 2000)
    client = host.client()
    for _ in range(300):
        client.send(2, b"/big\0")
    with pytest.raises(Refused, match="has sent more than it takes the answers of"):
        host.leave("C")
    assert host.is_behind()
    for _ in range(300):
        assert len(client.recv_reply().payload) == 2000
    host.leave("C")
    assert client.read("/big") == b"B" * 2000


def test_no_such_daemon(host, after):
    guest = host.add_guest(7)
    guest.watch("data", "t")
    guest.wait_watch()
    with pytest.raises(Refused, match="the native xenstored cannot be started"):
        host.leave(after, path=str(XEN_BIN / "nothing/xenstored"))
    assert host.is_behind()
    guest.write("data/x", "1")
    assert guest.wait_watch().path == "data/x"
    host.leave(after)
    assert guest.read("data/x") == b"1"
