# SPDX-License-Identifier: MIT
"""Our requests by CONTROL, so by the stock xenstore-control; and requests that xsproxy itself sends
for a domain never show in what the guest gets."""

import collections
import threading

import pytest

import xsclient
from ours import (ADD_DOMAIN_WATCHES, NOT_THERE, START_DOMAIN_TRANSACTION, WORDS, add_watches, ask,
                  error_of, limits, quiesce, running, said, settle, tracked_transactions,
                  tracked_watches, unquiesce)
from relay import FLAVOURS, introduce, run_tool, wait_until
from xensim import XEN_BIN
from xsclient import CONTROL, READ, TRANSACTION_END, WATCH, WATCH_EVENT, WRITE, join

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)


def tool(host, *args):
    """What xenstore-control prints; it must succeed."""
    status, out, err = run_tool(host, XEN_BIN / "xenstore-control", *args)
    assert status == 0, err
    return out


def tool_fails(host, *args):
    """It says that it cannot, and then what `help` says."""
    status, out, err = run_tool(host, XEN_BIN / "xenstore-control", *args)
    assert status != 0
    return out + err


def control(client, *words):
    return said(client.control, *words)


def test_stock_tool(flavour):
    """All of it, from the command line."""
    with running(flavour) as host:
        assert tool(host, "hold", 7) == "OK\n"
        guest, _ = introduce(host, 7)
        page = guest.page()
        assert tool(host, "quiesce", 7) == "OK\n"
        assert tool(host, "get-domain-watches", 7).split("\n")[1:] == [""]
        assert tool(host, "add-domain-watches", 7, "data", "a", "/local/domain/7/x", "b") == "OK\n"
        gencnt, *lines = tool(host, "get-domain-watches", 7).split("\n")
        assert int(gencnt) > 0
        assert lines == ["data a", "/local/domain/7/x b", ""]
        for index, left in ((0, lines), (1, lines[1:]), (2, lines[2:]), (7, lines[2:])):
            assert tool(host, "get-domain-watches", 7, index).split("\n") == [gencnt, *left]
        assert tool(host, "get-domain-transactions", 7).strip() == ""
        for tx in (9, 5, 4294967295):
            assert tool(host, "start-domain-transaction", 7, tx) == "OK\n"
        assert set(tool(host, "get-domain-transactions", 7).split()) == {"9", "5", "4294967295"}
        settle(host)
        assert guest.page() == page
        assert tool(host, "unquiesce", 7) == "OK\n"
        assert guest.read("domid", tx=9) == b"7"
        assert [tuple(event) for event in guest.events] == [("data", "a"),
                                                            ("/local/domain/7/x", "b")]
        assert error_of(guest.call(TRANSACTION_END, b"T\0", tx=5)) == "EAGAIN"
        assert set(tool(host, "get-domain-transactions", 7).split()) == {"9", "4294967295"}
        for words in (["quiesce", 8], ["hold", 7], ["hold", 0], ["quiesce", "x"], ["quiesce"],
                      ["start-domain-transaction", 7, 9], ["add-domain-watches", 7, "data", "a"],
                      ["get-domain-watches", 8]):
            tool_fails(host, *words)
        assert guest.read("domid") == b"7"


def test_errors(flavour):
    """As by wire type, for a socket and dom0's ring."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "t")
        for client in (host.dom0, host.guest(0)):
            for words, error in (
                    (["quiesce", 8], "ENOENT"), (["quiesce", 0], "EINVAL"), (["quiesce"], "EINVAL"),
                    (["quiesce", ""], "EINVAL"), (["quiesce", "7x"], "EINVAL"),
                    (["quiesce", "07x"], "EINVAL"), (["quiesce", 0x7FF0], "EINVAL"),
                    (["quiesce", 7, 7], "EINVAL"), (["quiesce", 7, ""], "EINVAL"),
                    (["unquiesce", 8], "ENOENT"), (["unquiesce"], "EINVAL"),
                    (["hold", 7], "EEXIST"), (["hold", 0], "EINVAL"), (["hold", -1], "EINVAL"),
                    (["get-domain-watches"], "EINVAL"), (["get-domain-watches", 8], "ENOENT"),
                    (["get-domain-watches", 8, 0], "ENOENT"),
                    (["get-domain-watches", 7, "x"], "EINVAL"),
                    (["get-domain-watches", 7, 0, 0], "EINVAL"),
                    (["add-domain-watches", 7], "EINVAL"),
                    (["add-domain-watches", 7, "data"], "EINVAL"),
                    (["add-domain-watches", 7, "data", "a", "b"], "EINVAL"),
                    (["add-domain-watches", 7, "data", "t"], "EEXIST"),
                    (["add-domain-watches", 7, "data", "u", "//", "t"], "EINVAL"),
                    (["add-domain-watches", 8, "data", "t"], "ENOENT"),
                    (["start-domain-transaction", 7], "EINVAL"),
                    (["start-domain-transaction", 7, 0], "EINVAL"),
                    (["start-domain-transaction", 7, "1x"], "EINVAL"),
                    (["start-domain-transaction", 8, 1], "ENOENT"),
                    (["get-domain-transactions"], "EINVAL"),
                    (["get-domain-transactions", 8], "ENOENT")):
                assert (words, control(client, *words)) == (words, error)
            # Unterminated; and a name is not a prefix.
            assert said(client.request, CONTROL, b"quiesce\0007") == "EINVAL"
            for payload in (b"quiesce", b"quiesce 7\0", b"quiesc\0007\0", b"QUIESCE\0007\0"):
                said(client.request, CONTROL, payload)
            assert guest.read("domid") == b"7"
        assert tracked_watches(host.dom0, 7) == [("data", "t")]
        assert tracked_transactions(host.dom0, 7) == set()


def test_escapes(flavour):
    """Octets outside printable ASCII, the blank that separates and the backslash become \\xHH."""
    token = bytes(range(1, 256))
    text = "".join(chr(c) if 0x20 < c < 0x7F and c != 0x5C else f"\\x{c:02x}" for c in token)
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.request(WATCH, b"data\0" + token + b"\0")
        guest.watch("data", "")
        guest.watch("data", "a b\nc")
        assert tool(host, "get-domain-watches", 7).split("\n")[1:] == [
            f"data {text}", "data ", "data a\\x20b\\x0ac", ""]
        assert control(host.dom0, "get-domain-watches", 7).split("\n")[1:] == [
            f"data {text}", "data ", "data a\\x20b\\x0ac"]


def test_pages_of_text(flavour):
    """Cut at a line, so that the number of lines says where to go on; even lines that are four
    times as long as text come through."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        watches = [("data", "a" + "x" * (i * 37 % 900) + str(i)) for i in range(60)]
        watches += [("data", "b" + "\x01" * (i * 90) + str(i)) for i in range(10)]
        for watch in watches:
            guest.watch(*watch)
        lines, gencnt = [], None
        while True:
            first, *page = control(host.dom0, "get-domain-watches", 7, len(lines)).split("\n")
            assert gencnt in (None, first)
            gencnt = first
            if not page:
                break
            lines += page
        assert lines == [" ".join(watch).replace("\x01", "\\x01") for watch in watches]


def test_line_too_long(flavour):
    """What no reply can hold as text is an error, not the end of the list."""
    watches = [("data", "a"), ("data", "\x01" * 1100), ("data", "b")]
    with running(flavour) as host:
        guest = host.add_guest(7)
        for watch in watches:
            guest.watch(*watch)
        assert control(host.dom0, "get-domain-watches", 7).split("\n")[1:] == ["data a"]
        assert control(host.dom0, "get-domain-watches", 7, 1) == "E2BIG"
        assert control(host.dom0, "get-domain-watches", 7, 2).split("\n")[1:] == ["data b"]
        assert tracked_watches(host.dom0, 7) == watches


def test_help(flavour):
    """Upstream's own comes first, unchanged."""
    with running(flavour, proxied=False) as host:
        upstream = host.dom0.request(CONTROL, b"help\0").rstrip(b"\0\n").decode()
    with running(flavour) as host:
        text = host.dom0.request(CONTROL, b"help\0").rstrip(b"\0\n").decode()
        assert text.startswith(upstream)
        names = [line.split()[0] for line in text[len(upstream):].split("\n") if line]
        assert [name for name in names if name in WORDS] == list(WORDS)
        assert tool(host, "help").rstrip("\n") == text
        for command in WORDS:
            assert command in tool_fails(host, "quiesce", "x")


def test_everything_else_goes_upstream(flavour):
    """The very answer that upstream gives without us. Live update is refused."""
    payloads = [join(*words) for words in (
        ["check"], ["print", "hello"], ["log", "off"], ["log", "x"], ["quota"], ["quota", "7"],
        ["nonsense"], ["Quiesce", "7"], ["quiesces", "7"], [""], ["memreport", "/dev/null"])]
    payloads += [b"check", b"\0\0"]
    answers = []
    for proxied in (False, True):
        with running(flavour, proxied) as host:
            clients = host.dom0, host.guest(0)
            host.add_guest(7)
            answers.append([said(client.request, CONTROL, payload)
                            for client in clients for payload in payloads])
            if not proxied:
                continue
            for client in clients:
                for words, answer in ((["live-update"], "EINVAL"),
                                      (["live-update", "-s"], "No daemon was named."),
                                      (["live-update", "-f", "/x"], NOT_THERE),
                                      (["live-update", "-b", "1"], "No daemon was named.")):
                    assert control(client, *words) == answer
            tool_fails(host, "live-update", XEN_BIN / "xenstored")
            host.check()
    direct, proxied = answers
    # What help says of itself is another test's.
    assert proxied == direct


class Guest(threading.Thread):
    """Sends many requests at once, under ids of its own that repeat, and checks each reply."""

    # Some as xsproxy would use upstream: a small counter shifted by 5, and a slot.
    IDS = [0, 1, 2, 0xFFFFFFFF, 0x3FFFFFFF, 1 << 30, *(seq << 5 | slot for seq in range(1, 40)
                                                       for slot in (0, 1, 2, 31))]

    def __init__(self, guest):
        super().__init__(daemon=True)
        self.guest = guest
        self.count = 0
        self.events = collections.Counter()
        self.ending = False
        self.error = None
        for i in range(10):
            guest.write(f"data/{i}", f"value{i}")
        self.start()

    def run(self):
        try:
            expected = collections.deque()
            while not self.ending or expected:
                while not self.ending and len(expected) < 20:
                    expected.append(self.send())
                msg = self.guest.recv_message()
                if msg.type == WATCH_EVENT:
                    assert (msg.req_id, msg.tx_id) == (0, 0)
                    self.events[tuple(xsclient.parse_event(msg))] += 1
                    continue
                assert msg == expected.popleft()
                self.count += 1
        except BaseException as err:  # pylint: disable=broad-except
            self.error = err

    def send(self):
        """Send a request; the reply that must come."""
        sent = self.count + 7919
        req_id, i = self.IDS[sent * 31 % len(self.IDS)], sent % 10
        if i == 3:
            self.guest.send(WRITE, f"data/{i}\0value{i}".encode(), req_id=req_id)
            return xsclient.Message(WRITE, req_id, 0, b"OK\0")
        if i == 7:
            self.guest.send(READ, b"data/none\0", req_id=req_id)
            return xsclient.Message(xsclient.ERROR, req_id, 0, b"ENOENT\0")
        self.guest.send(READ, f"data/{i}\0".encode(), req_id=req_id)
        return xsclient.Message(READ, req_id, 0, f"value{i}".encode())

    def finish(self):
        self.ending = True
        self.join(30)
        assert not self.is_alive() and self.error is None, self.error


def test_injected_requests_stay_unseen(flavour, tmp_path):
    """Watches and transactions come and go by hand while the guest checks all that it gets."""
    with running(flavour, daemon_args=limits(flavour, tmp_path, transactions=2000)) as host:
        guest = Guest(host.add_guest(7))
        added = []
        for i in range(60):
            served = guest.count
            assert ask(host.dom0, START_DOMAIN_TRANSACTION, 7, i * 1000 + 1) == b"OK\0"
            good = [(f"device/{i}", f"good{j}") for j in range(5)]
            assert add_watches(host.dom0, 7, good) is None
            assert add_watches(host.dom0, 7, [(f"device/x{i}", "bad"), ("//", "bad")]) == "EINVAL"
            added += good
            if i % 10 == 0:
                quiesce(host.dom0, 7)
                unquiesce(host.dom0, 7)
            for type_, words in ((ADD_DOMAIN_WATCHES, ["data", "t", "u"]),
                                 (START_DOMAIN_TRANSACTION, [0])):
                assert ask(host.dom0, type_, 7, *words) == "EINVAL"
            wait_until(lambda: guest.count > served or guest.error)
        guest.finish()
        guest.guest.read("domid")
        guest.events.update(tuple(event) for event in guest.guest.events)
        assert guest.events == collections.Counter(added)
        assert tracked_watches(host.dom0, 7) == added
        assert tracked_transactions(host.dom0, 7) == {i * 1000 + 1 for i in range(60)}
