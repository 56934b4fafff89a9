# SPDX-License-Identifier: MIT
"""`xsproxyctl trace` and `flight`: they print what guests sent and got, and harm nobody."""

import contextlib
import json
import pty
import re
import signal
import struct

import pytest

import xensim
import xsclient
from control import Control
from ours import QUIESCE
from watching import Watching, bare, ctl, frames_of
from xsclient import CONTROL, WRITE, join


def mark(guest):
    """A request that a test waits for: what came before it has been shown, too."""
    guest.write("data/mark", "")
    return '"data/mark"'


def refused(function, *args):
    with pytest.raises(xsclient.XsError):
        function(*args)


def some_requests(guest):
    guest.write("data/x", "va lue\x1b[31m\\\"")
    assert guest.read("data/x") == b"va lue\x1b[31m\\\""
    guest.watch("data/w", "tok")
    guest.unwatch("data/w", "tok")
    guest.mkdir("data/d")
    guest.directory("data/d")
    guest.set_perms("data/x", "n7", "r0")
    guest.get_perms("data/x")
    refused(guest.read, "data/none")
    refused(guest.write, "/vm/x", "1")
    tx = guest.start()
    guest.write("data/t", "gr\u00fcn".encode(), tx=tx)
    guest.end(tx)
    guest.rm("data/x")
    guest.reset_watches()
    refused(guest.request, QUIESCE, join(7))
    return tx


WANTED = [
    r'd7s > WRITE "data/x" "va lue\x1b[31m\\\"" = OK',
    r'd7s > READ "data/x" = "va lue\x1b[31m\\\""',
    'd7s > WATCH "data/w" "tok" = OK',
    'd7s < WATCH_EVENT "data/w" "tok"',
    'd7s > UNWATCH "data/w" "tok" = OK',
    'd7s > MKDIR "data/d" = OK',
    'd7s > DIRECTORY "data/d" = (empty)',
    'd7s > SET_PERMS "data/x" n7 r0 = OK',
    'd7s > GET_PERMS "data/x" = n7 r0',
    'd7s > READ "data/none" = ENOENT',
    'd7s > WRITE "/vm/x" "1" = EACCES',
    'd7s > TRANSACTION_START = TX',
    'd7s > tTX WRITE "data/t" "gr\u00fcn" = OK',
    'd7s > tTX TRANSACTION_END T = OK',
    'd7s > RM "data/x" = OK',
    'd7s > RESET_WATCHES = OK',
    'd7s > QUIESCE 7 = EACCES *',
]


TIMES = "time", "took", "upstream"


def timeless(obj):
    return {key: value for key, value in obj.items() if key not in TIMES}


def wanted(tx):
    return [line.replace("TX", str(tx), 1) if " tTX " in line or "= TX" in line else line
            for line in WANTED]


def test_a_line_for_each_request_and_event(host, guest):
    with Watching(host, "trace", 7, "--events") as trace:
        tx = some_requests(guest)
        lines = [bare(line) for line in trace.until(mark(guest))]
    # Before or after the reply to WATCH, as the daemon likes it
    assert sorted(lines[:-1]) == sorted(wanted(tx))
    order = [line for line in lines[:-1] if "EVENT" not in line]
    assert order == [line for line in wanted(tx) if "EVENT" not in line]


def test_objects_say_the_same(host, guest):
    with Watching(host, "trace", "--json", 7) as trace:
        tx = some_requests(guest)
        trace.until(mark(guest)[1:-1])
    objects = trace.objects()[:-1]
    assert [obj["number"] for obj in objects] == list(
        range(objects[0]["number"], objects[0]["number"] + len(objects)))
    assert {obj["name"] for obj in objects} == {"guest-7"}
    assert all(obj["domid"] == 7 and obj["kind"] == "request" and obj["answered"] and
               0 <= obj["upstream"] <= obj["took"] for obj in objects)
    assert [obj["time"] for obj in objects] == sorted(obj["time"] for obj in objects)
    rest = [{key: obj[key] for key in obj if key not in (
        "number", "req_id", "time", "took", "upstream", "domid", "name", "session", "kind",
        "answered")}
        for obj in objects]
    assert [obj["op"] for obj in rest] == [
        "WRITE", "READ", "WATCH", "UNWATCH", "MKDIR", "DIRECTORY", "SET_PERMS", "GET_PERMS", "READ",
        "WRITE", "TRANSACTION_START", "WRITE", "TRANSACTION_END", "RM", "RESET_WATCHES", "QUIESCE"]
    assert rest[1] == {"tx": 0, "op": "READ", "path": "data/x",
                       "reply": "va lue\x1b[31m\\x5c\""}
    assert rest[2] == {"tx": 0, "op": "WATCH", "path": "data/w", "token": "tok", "reply": "OK"}
    assert rest[5] == {"tx": 0, "op": "DIRECTORY", "path": "data/d", "reply": []}
    assert rest[6] == {"tx": 0, "op": "SET_PERMS", "path": "data/x", "perms": ["n7", "r0"],
                       "reply": "OK"}
    assert rest[8] == {"tx": 0, "op": "READ", "path": "data/none", "error": "ENOENT"}
    assert rest[11] == {"tx": tx, "op": "WRITE", "path": "data/t", "value": "gr\u00fcn",
                        "reply": "OK"}
    assert rest[15] == {"tx": 0, "op": "QUIESCE", "args": ["7"], "error": "EACCES", "ours": True}


def test_the_flight_recorder_says_the_same(host, guest):
    with Watching(host, "trace", "--json", "--events", 7) as trace:
        some_requests(guest)
        trace.until(mark(guest)[1:-1])
    flight = [json.loads(line) for line in ctl(host, "flight", 7, "--json").stdout.splitlines()]
    kept = flight[-len(trace.lines):]
    assert [timeless(obj) for obj in kept] == [timeless(obj) for obj in trace.objects()]
    # It keeps times a little shortened, and tells the time of day by other readings of the clocks.
    assert all(abs(a[key] - b[key]) < 1e9
               for a, b in zip(kept, trace.objects()) for key in TIMES if key in a)
    lines = ctl(host, "flight", 7).stdout.splitlines()
    assert bare(lines[-1]) == 'd7s > WRITE "data/mark" "" = OK'
    assert len(lines) == len(flight)


def test_flight_says_what_is_no_longer_kept(host, guest):
    for i in range(100):
        guest.write("data/x", str(i))
    first, *lines = ctl(host, "flight", 7).stdout.splitlines()
    assert first == f"({2 * 100 - 64} messages before these are not kept)"
    assert [bare(line) for line in lines] == [
        f'd7s > WRITE "data/x" "{i}" = OK' for i in range(68, 100)]
    done = ctl(host, "flight", 9)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("xsproxyctl flight: domain 9 ")


def test_flight_of_a_domain_of_which_nothing_is_kept(host, guest):
    """As after a restart of xsproxyd, or because the configuration says so."""
    none = ("xsproxyctl flight: warning: no message of domain 7 is kept; they are since xsproxyd "
            "was started, unless [flight] messages = 0\n")
    guest.write("data/x", "1")
    host.proxy.kill()
    host.start_proxy(until="STATUS=Relaying")
    done = ctl(host, "flight", 7)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", none)
    guest.write("data/x", "2")
    done = ctl(host, "flight", 7)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    host.config = "[flight]\nmessages = 0\n"
    host._config()
    assert ctl(host, "reload").returncode == 0
    done = ctl(host, "flight", 7)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", none)


def mark_read(guest, _):
    refused(guest.read, "data/a/mark")


def mark_error(guest, _):
    refused(guest.write, "/vm/mark", "")


def mark_write(_, other):
    other.write("data/mark", "")


# What passes a filter, and a request that passes, too: when it is shown, all before has been.
@pytest.mark.parametrize("args, shown, mark_for", [
    (["--op", "READ,rm"], ["READ a", "READ none", "RM"], mark_read),
    (["--path", "/local/domain/7/data/a"], ["WRITE a", "READ a", "RM"], mark_read),
    (["--errors"], ["READ none"], mark_read),
    (["--errors", "--op", "WRITE"], [], mark_error),
    ([9], ["WRITE of 9"], mark_write),
    ([9, 7, "--op", "WRITE"], ["WRITE a", "WRITE of 9"], mark_write),
])
def test_filters(host, guest, args, shown, mark_for):
    other = host.add_guest(9)
    with Watching(host, "trace", *args) as trace:
        guest.write("data/a/b", "1")
        guest.read("data/a/b")
        refused(guest.read, "data/none")
        other.write("data/ax", "1")
        guest.rm("data/a")
        mark_for(guest, other)
        got = [bare(line) for line in trace.until('mark"')]
    lines = {"WRITE a": 'd7s > WRITE "data/a/b" "1" = OK', "READ a": 'd7s > READ "data/a/b" = "1"',
             "READ none": 'd7s > READ "data/none" = ENOENT', "RM": 'd7s > RM "data/a" = OK',
             "WRITE of 9": 'd9s > WRITE "data/ax" "1" = OK'}
    assert got[:-1] == [lines[name] for name in shown]


def test_new_shows_a_domain_from_its_first_request(host, guest):
    with Watching(host, "trace", "--new", "--op", "WRITE") as trace:
        guest.write("data/old", "1")
        new = host.add_guest(9)
        new.write("data/first", "1")
        lines = trace.until('"data/first"')
    assert [bare(line) for line in lines if re.search(r" d9[ (]", line)][0] == (
        'd9s > WRITE "data/first" "1" = OK')
    assert not any("old" in line for line in lines)


@pytest.mark.parametrize("what", (("trace",), ("capture", "-w", "-")))
@pytest.mark.usefixtures("guest")
def test_a_domain_that_is_not_there(host, what):
    """One is told so, and sees it once it is; it may have been held before."""
    with Control(host) as control:
        control.run("hold", domid=10)
    with Watching(host, *what, 9, 7, 10, 8) as watching:
        assert watching.said.splitlines()[:-1] == [
            f"xsproxyctl {what[0]}: warning: domain {domid} is not introduced; waiting for it"
            for domid in (9, 10, 8)]
        host.add_guest(9).write("data/late", "1")
        if what == ("trace",):
            watching.until("late")
    with Watching(host, *what, 7, 9) as watching:
        assert len(watching.said.splitlines()) == 1
    with Watching(host, *what, 99, "--new") as watching:
        assert len(watching.said.splitlines()) == 1


def waiting_quiesce(host, guest):
    """A QUIESCE that waits, as the guest is in the middle of a request; its client."""
    guest.push(struct.pack("<IIII", WRITE, 1, 0, 100))
    guest.notify()
    client = host.client()
    client.send(QUIESCE, join(7))
    return client


def test_slow_ones(host, guest):
    with Watching(host, "trace", "--slower", "1500") as trace:
        mark(guest)
        client = waiting_quiesce(host, guest)  # [quiesce] timeout = 2s
        assert client.recv_reply().type == xsclient.ERROR
        lines = trace.until("EBUSY")
    assert [bare(line) for line in lines] == ["d0c > QUIESCE 7 = EBUSY *"]


def test_a_request_without_a_reply_is_shown_at_the_end(host, guest):
    other = host.add_guest(9)
    with Watching(host, "trace") as trace, Control(host) as control:
        client = waiting_quiesce(host, guest)
        control.wait(lambda stats: "QUIESCE" in stats["requests"], "stats")
        trace.until(mark(other))
        lines = trace.end()
        assert client.recv_reply().type == xsclient.ERROR
    assert [bare(line) for line in lines][-2:] == [
        'd9s > WRITE "data/mark" "" = OK', "d0c > QUIESCE 7 = (no reply)"]


def test_what_a_slow_reader_loses_is_counted(host, guest):
    with Watching(host, "trace", "--json", 7) as trace:
        trace.send_signal(signal.SIGSTOP)
        for _ in range(1000):
            guest.write("data/x", b"v" * 2000)
        trace.send_signal(signal.SIGCONT)
        trace.until('"lost"')  # without another frame to take it along
        guest.write("data/x", "")
        lines = trace.end()  # which loses nothing
    assert sum(map(frames_of, map(json.loads, lines))) == 2 * 1001


def test_lost_frames_are_a_line(host, guest):
    with Watching(host, "trace", 7) as trace:
        trace.send_signal(signal.SIGSTOP)
        for _ in range(3000):
            guest.write("data/x", b"v" * 500)
        trace.send_signal(signal.SIGCONT)
        trace.until(" frames lost here: ")


def test_interrupted_it_shows_all_that_was(host, guest):
    with Watching(host, "trace", "--json", 7) as trace:
        for _ in range(300):
            guest.write("data/x", "")
        assert sum(map(frames_of, map(json.loads, trace.end()))) == 2 * 300


def test_it_ends_quietly_when_nobody_reads_it(host, guest):
    with Watching(host, "trace") as trace:
        trace.process.stdout.close()
        assert trace.process.wait(xensim.TIMEOUT) == 0
        assert trace.process.stderr.read() == b""
    with Watching(host, "trace") as trace:
        trace.until(mark(guest))
        trace.process.stdout.close()
        guest.write("data/x", "")
        assert trace.process.wait(xensim.TIMEOUT) == 0
        assert trace.process.stderr.read() == b""


def test_it_says_when_xsproxyd_ends(host, guest):
    with Watching(host, "trace") as trace:
        trace.until(mark(guest))
        host.proxy.kill()
        assert trace.process.wait(xensim.TIMEOUT) == 1
        assert trace.process.stderr.read() == (
            b"xsproxyctl trace: xsproxyd ended the connection; is it still running?\n")
        host.start_proxy()


@pytest.mark.parametrize("no_color", ("", "1"))
def test_colour_only_on_a_terminal(host, guest, no_color):
    master, slave = pty.openpty()
    with open(master, "rb", buffering=0) as screen, open(slave, "wb", buffering=0) as out:
        with Watching(host, "trace", stdout=out, TERM="xterm", NO_COLOR=no_color) as trace:
            mark(guest)
            shown = b""
            while b"\n" not in shown:
                shown += screen.read(4096)
            trace.end()
    assert (b"\x1b[1mWRITE\x1b[0m" in shown) == (no_color == "")
    assert (b"\x1b" in shown) == (no_color == "")


def test_no_octet_of_a_guest_reaches_the_terminal(host, guest):
    octets = bytes(range(1, 256)) + "\u202e\u009b31m".encode()
    with Watching(host, "trace", "--events") as trace:
        guest.write("data/x", octets)
        guest.read("data/x")
        guest.watch("data/y", octets[:200])
        refused(guest.request, 0x2a, octets)
        trace.until(mark(guest))
        for line in trace.end():
            assert line.isprintable(), line


def test_ascii_for_those_who_take_no_more(host, guest):
    with Watching(host, "trace", LC_ALL="C") as trace:
        guest.write("data/x", "gr\u00fcn".encode())
        assert bare(trace.until("data/x")[-1]) == r'd7s > WRITE "data/x" "gr\xc3\xbcn" = OK'


@pytest.mark.parametrize("command, name", [
    (("trace",), "standard output"), (("capture", "-w", "-"), "standard output"),
    (("capture", "-w", "/dev/full"), "/dev/full")])
def test_a_full_disk(host, guest, command, name):
    with open("/dev/full", "wb") as full, Watching(host, *command, stdout=full) as watching:
        guest.write("data/x", "1")
        words = watching.process.stderr.read().decode().splitlines()
        assert watching.process.wait(xensim.TIMEOUT) == 1
    assert words[0] == f"xsproxyctl {command[0]}: cannot write {name}: No space left on device"


def test_a_refusal_is_passed_on(host):
    done = ctl(host, "trace", "--path", "/" + 4095 * "x")
    assert done.returncode == 1 and "less than 4096 octets" in done.stderr
    done = ctl(host, "trace", "--op", "FOO")
    assert done.returncode == 2 and "no such request" in done.stderr


@pytest.mark.parametrize("ops, shown", [
    ("UNKNOWN", ["UNKNOWN 0x14", "UNKNOWN 0x2a"]), ("20", ["UNKNOWN 0x14"]),
    ("0x14,READ", ["UNKNOWN 0x14", "READ"]),
    ("2,unknown", ["UNKNOWN 0x14", "UNKNOWN 0x2a", "READ"])])
def test_requests_without_a_name(host, guest, ops, shown):
    with Watching(host, "trace", "--op", ops, "--op", "WRITE") as trace:
        for type_ in (20, 42):
            refused(guest.request, type_, b"x\0")
        refused(guest.read, "data/none")
        lines = [bare(line) for line in trace.until(mark(guest))]
    assert lines[:-1] == [
        "d7s > " + (f"{name} x = ENOSYS" if "UNKNOWN" in name else 'READ "data/none" = ENOENT')
        for name in shown]


@pytest.mark.parametrize("op, shown", [
    ("quiesce", ["CONTROL quiesce 7", "QUIESCE 7"]),
    ("GET_DOMAIN_WATCHES,0x104", ["CONTROL unquiesce 7"]),
    ("UNKNOWN", []),
    ("CONTROL", ["CONTROL quiesce 7", "CONTROL unquiesce 7", "CONTROL live-update -s",
                 "CONTROL quiesc 7"])])
def test_our_requests_also_as_text(host, guest, op, shown):
    """CONTROL carries them for `xenstore-control`; what else it carries is CONTROL's alone."""
    with Watching(host, "trace", "--op", op, "--op", "WRITE") as trace:
        host.dom0.request(CONTROL, join("quiesce", "7"))
        host.dom0.request(QUIESCE, join(7))
        host.dom0.request(CONTROL, join("unquiesce", "7"))
        host.dom0.request(CONTROL, join("live-update", "-s"))  # a text says why not
        with contextlib.suppress(xsclient.XsError):  # oxenstored takes anything
            host.dom0.request(CONTROL, join("quiesc", "7"))
        lines = [bare(line) for line in trace.until(mark(guest))]
    assert [line.split(" = ")[0] for line in lines[:-1]] == [f"d0c > {line}" for line in shown]


def test_special_watches_by_their_path(host, guest):
    with Watching(host, "trace", "--path", "@releaseDomain", "--events") as trace:
        guest.watch("data/x", "tok")
        guest.watch("@releaseDomains", "tok")
        guest.watch("@releaseDomain", "tok")
        guest.unwatch("@releaseDomain", "tok")
        trace.until("UNWATCH")
        lines = {bare(line) for line in trace.lines}
    assert lines == {'d7s > WATCH "@releaseDomain" "tok" = OK',
                     'd7s < WATCH_EVENT "@releaseDomain" "tok"',
                     'd7s > UNWATCH "@releaseDomain" "tok" = OK'}
