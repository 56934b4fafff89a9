# SPDX-License-Identifier: MIT
"""What the control socket tells of the traffic: counted, kept for a while, and shown as it passes.

Each case sends requests whose numbers, order and replies it knows, and compares.
"""

import select
import struct

import pytest

import xsclient
from control import Control, ControlError
from relay import wait_until

REQUEST, REPLY, EVENT, LOST = 1, 2, 3, 4
OURS, CLIENT = 1, 2
HEADER = struct.Struct("=IHHIIQQQII")
MESSAGE = struct.Struct("=IIII")
READ, WATCH, ERROR, WATCH_EVENT, WRITE = 2, 4, 16, 15, 11
OTHER = 9


class Frame:
    """One frame, taken apart."""

    def __init__(self, octets):
        (self.size, self.kind, self.flags, self.domid, self.session, self.time, self.took,
         self.upstream, self.number, zero) = HEADER.unpack_from(octets)
        assert self.size == len(octets) and zero == 0
        self.type = self.len = self.payload = None
        if self.kind != LOST:
            self.type, self.req_id, self.tx, self.len = MESSAGE.unpack_from(octets, HEADER.size)
            self.payload = octets[HEADER.size + MESSAGE.size:]

    def brief(self):
        return self.kind, self.type, self.payload


class Trace:
    """A trace under way; read() gives frames until @until holds for one."""

    def __init__(self, host, **arguments):
        self.control = Control(host)
        self.control.run("trace", **arguments)
        self._buf = self.control._buf  # frames may have come with the reply

    def close(self):
        self.control.close()

    def waits(self):
        """Whether there is something to read soon."""
        return bool(self._buf) or bool(select.select([self.control.sock], [], [], 0.05)[0])

    def frame(self):
        while len(self._buf) < 4 or len(self._buf) < struct.unpack_from("=I", self._buf)[0]:
            octets = self.control.sock.recv(1 << 20)
            if not octets:
                raise xsclient.Closed("the trace ended")
            self._buf += octets
        size = struct.unpack_from("=I", self._buf)[0]
        frame, self._buf = Frame(self._buf[:size]), self._buf[size:]
        return frame

    def until(self, found):
        frames = [self.frame()]
        while not found(frames[-1]):
            frames.append(self.frame())
        return frames


def is_reply(number):
    return lambda frame: frame.kind == REPLY and frame.number == number


def stats(host, domid):
    with Control(host) as control:
        return control.run("stats", domid=domid)


def test_stats_count_what_a_guest_did(host, guest):
    before = stats(host, 7)
    for _ in range(5):
        guest.write("data/x", "value")
    guest.read("data/x")
    with pytest.raises(xsclient.XsError):
        guest.read("data/none")
    after = stats(host, 7)
    assert after["requests"].get("WRITE", 0) - before["requests"].get("WRITE", 0) == 5
    assert after["requests"].get("READ", 0) - before["requests"].get("READ", 0) == 2
    assert after["errors"].get("ENOENT", 0) - before["errors"].get("ENOENT", 0) == 1
    # WRITE: header, path, NUL, value; its reply: header and "OK"; and so on
    sent = 5 * (16 + 7 + 5) + (16 + 7) + (16 + 10)
    got = 5 * (16 + 3) + (16 + 5) + (16 + 7)
    assert after["octets_in"] - before["octets_in"] == sent
    assert after["octets_out"] - before["octets_out"] == got
    times = after["time"]
    assert times["total"]["count"] - before["time"]["total"]["count"] == 7
    for part in ("total", "proxy", "upstream"):
        assert sum(count for _, count in times[part]["buckets"]) == times[part]["count"]
        assert times[part]["p50"] <= times[part]["p99"] <= times[part]["max"]
    assert times["total"]["sum"] == times["proxy"]["sum"] + times["upstream"]["sum"]
    assert 0 < times["upstream"]["sum"] < times["total"]["sum"]


def test_the_total_keeps_what_gone_sessions_did(host):
    with Control(host) as control:
        before = control.run("stats")
        client = host.client()
        for _ in range(3):
            client.directory("/")
        client.close()
        wait_until(lambda: control.run("status")["clients"] == 1)
        after = control.run("stats")
    assert after["sessions"] == before["sessions"] + 1
    assert after["requests"]["DIRECTORY"] == before["requests"].get("DIRECTORY", 0) + 3


def test_time_not_read_and_ring_full_are_counted(host, guest):
    host.dom0.write("/local/domain/7/data/big", "x" * 1000)
    with Control(host) as control:
        assert control.run("stats", domid=7)["unread"] == 0
        control.run("quiesce", domid=7)
        first = control.run("stats", domid=7)["unread"]
        second = control.run("stats", domid=7)["unread"]
        assert 0 < first < second
        control.run("unquiesce", domid=7)
        guest.read("data/big")
        assert control.run("stats", domid=7)["full"] == 0
        # Three replies of 1000 octets do not fit the ring of a guest that does not read.
        ids = [guest.send(READ, b"data/big\0") for _ in range(3)]
        wait_until(lambda: control.run("stats", domid=7)["full"])
        for _ in ids:
            assert guest.recv_reply().payload == b"x" * 1000
        still = control.run("stats", domid=7)
        while control.run("stats", domid=7)["full"] != still["full"]:
            still = control.run("stats", domid=7)


def test_load_lists_domains_and_clients(host, guest):
    host.add_guest(OTHER)
    guest.write("data/x", "1")
    guest.watch("data", "t")
    with Control(host) as control:
        load = control.run("load")
        rows = {row["domid"]: row for row in load["rows"]}
        assert list(rows) == sorted(rows) and {7, OTHER} <= set(rows)
        assert load["next"] is None
        assert rows[7]["requests"] == 2 and rows[7]["watches"] == 1
        assert rows[7]["under_way"] == 0
        assert load["clients"]["requests"] > 0
        assert [row["domid"] for row in control.run("load", index=8)["rows"]] == [OTHER]
        assert control.run("load")["time"] > load["time"]


def test_trace_shows_requests_replies_and_events(host, guest):
    trace = Trace(host, events=True, domids=[7])
    guest.write("data/x", "1")
    guest.watch("data", "tok")
    with pytest.raises(xsclient.XsError):
        guest.read("none")
    frames = trace.until(lambda frame: frame.kind == REPLY and frame.type == ERROR)
    assert {frame.domid for frame in frames} == {7}
    assert {frame.flags for frame in frames} == {0}
    requests = [frame for frame in frames if frame.kind == REQUEST]
    assert [frame.brief() for frame in requests] == [
        (REQUEST, WRITE, b"data/x\x001"), (REQUEST, WATCH, b"data\0tok\0"),
        (REQUEST, READ, b"none\0")]
    replies = {frame.number: frame for frame in frames if frame.kind == REPLY}
    assert [replies[frame.number].req_id for frame in requests] == [
        frame.req_id for frame in requests]
    assert replies[requests[2].number].payload == b"ENOENT\0"
    for frame in replies.values():
        assert 0 < frame.upstream <= frame.took
    assert [frame.payload for frame in frames if frame.kind == EVENT] == [b"data\0tok\0"]
    assert [frame.time for frame in frames] == sorted(frame.time for frame in frames)


def test_trace_filters(host, guest):
    other = host.add_guest(OTHER)
    by_op = Trace(host, ops=["WRITE"])
    by_path = Trace(host, path="/local/domain/7/data/")
    by_domain = Trace(host, domids=[OTHER], snap=2)
    fresh = Trace(host, new=True)
    guest.write("data", "1")
    guest.write("/local/domain/7/data/below", "2")
    host.dom0.write("/local/domain/7/dataset", "3")
    guest.read("data")
    other.write("data", "4")
    tenth = host.add_guest(10)
    tenth.write("data", "5")

    frames = by_op.until(lambda frame: frame.kind == REPLY and frame.domid == 10)
    assert {frame.type for frame in frames} == {WRITE}
    written = [frame.payload.split(b"\0")[1] for frame in frames
               if frame.kind == REQUEST and not frame.flags & CLIENT]
    assert written == [b"1", b"2", b"4", b"5"]

    frames = by_path.until(lambda frame: frame.kind == REPLY and frame.type == READ)
    assert [frame.payload.split(b"\0")[0] for frame in frames if frame.kind == REQUEST] == [
        b"data", b"/local/domain/7/data/below", b"data"]

    frames = by_domain.until(lambda frame: frame.kind == REPLY)
    assert [frame.brief() for frame in frames] == [(REQUEST, WRITE, b"da"), (REPLY, WRITE, b"OK")]
    assert frames[0].len == len(b"data\x004")

    frames = fresh.until(lambda frame: frame.kind == REPLY and frame.domid == 10)
    assert {frame.domid for frame in frames} == {10}
    assert frames[0].number == 1


def test_what_xsproxyd_answers_itself_is_marked(host, guest):
    trace = Trace(host)
    with pytest.raises(xsclient.XsError):
        guest.request(0x100, b"7\0")
    frames = trace.until(lambda frame: frame.kind == REPLY and frame.domid == 7)
    ours = [frame for frame in frames if frame.domid == 7]
    assert [frame.flags for frame in ours] == [OURS, OURS]
    assert ours[1].payload == b"EACCES\0" and ours[1].upstream == 0


def test_a_reader_that_is_too_slow_is_told_what_it_lost(host, guest):
    guest.write("data/x", "x" * 2000)
    slow = Trace(host, domids=[7])
    # Far more than the sockets and the buffers hold; nobody reads the trace meanwhile.
    for _ in range(2000):
        guest.read("data/x")
    assert stats(host, 7)["requests"]["READ"] == 2000
    seen = lost = 0
    frame = None
    while not frame or frame.type != WRITE:
        # It is told with the next frame that there is room for.
        guest.write("data/x", "")
        while slow.waits():
            frame = slow.frame()
            lost += frame.number if frame.kind == LOST else 0
            seen += frame.type == READ or frame.kind == REPLY and frame.type == ERROR
    assert lost > 0
    assert seen < 4000 <= seen + lost


def test_a_trace_ends_with_its_connection(host, guest):
    for _ in range(40):  # more than may run at once
        trace = Trace(host)
        trace.control.sock.sendall(b"noise\n" * 1000)
        trace.close()
    traces = []
    with pytest.raises(ControlError) as error:
        for _ in range(40):
            traces.append(Trace(host))
    assert error.value.error_class == "Busy"
    traces[0].close()
    guest.write("data/x", "1")
    with Control(host) as control:
        assert control.run("status")["state"] == "running"


def test_bad_filters_are_refused(host):
    with Control(host) as control:
        for arguments in ({"ops": ["NONE"]}, {"ops": "READ"}, {"domids": [99999]}, {"path": "x"},
                          {"domids": [True]}, {"snap": -1}, {"events": 1}):
            with pytest.raises(ControlError) as error:
                control.run("trace", **arguments)
            assert error.value.error_class == "BadRequest"
        with pytest.raises(ControlError) as error:
            control.run("stats", domid=99)
        assert error.value.error_class == "NotFound"


def flight(host, domid):
    with Control(host) as control:
        reply = control.run("flight", domid=domid)
    return [Frame(bytes.fromhex(text)) for text in reply["frames"]], reply["dropped"]


def break_protocol(guest):
    """A header that announces more than any message may have."""
    guest.send_raw(struct.pack("=IIII", READ, 1, 0, 5000))


def test_flight_keeps_the_last_messages(host, guest):
    for i in range(100):
        guest.write("data/x", f"{i}")
    frames, dropped = flight(host, 7)
    assert len(frames) == 64 and dropped == 200 - 64
    assert [frame.brief() for frame in frames[-2:]] == [
        (REQUEST, WRITE, b"data/x\x0099"), (REPLY, WRITE, b"OK\0")]
    guest.write("data/x", "y" * 500)
    frames, dropped = flight(host, 7)
    assert frames[-2].payload == b"data/x\0" + b"y" * (64 - 7) and frames[-2].len == 507


def test_flight_goes_to_the_log_when_a_guest_breaks_the_protocol(host, guest):
    guest.write("data/x", "esc\x1b[2J")
    break_protocol(guest)
    with Control(host) as control:
        control.wait(lambda domain: domain["state"] == "ended", "domain", domid=7)
    log = host.proxy.text()
    assert "longer than 4096 octets" in log
    assert r"request WRITE" in log and r"data/x\0esc\x1b[2J" in log
    assert "\x1b" not in log
    frames, _ = flight(host, 7)
    assert frames[0].payload == b"data/x\0esc\x1b[2J"


@pytest.mark.parametrize("messages", (0, 3))
def test_a_reload_forgets_what_is_no_longer_to_be_kept(host, guest, messages):
    """Of sessions that there are, too: neither `flight` nor the log has it any more."""
    for i in range(10):
        guest.write("data/x", f"secret{i}")
    assert len(flight(host, 7)[0]) > messages
    host.config = f"[flight]\nmessages = {messages}\n"
    host._config()
    with Control(host) as control:
        control.run("reload")
    frames, dropped = flight(host, 7)
    assert [frame.number for frame in frames] == [10, 10, 9][:messages][::-1]
    assert dropped == 20 - messages
    before = len(host.proxy.text())
    break_protocol(guest)
    with Control(host) as control:
        control.wait(lambda domain: domain["state"] == "ended", "domain", domid=7)
    said = host.proxy.text()[before:]
    assert "longer than 4096 octets" in said
    assert said.count("s before: ") == messages and "secret7" not in said
