# SPDX-License-Identifier: MIT
"""`xsproxyctl trace -r`: a capture, read back without xsproxyd, says what trace said of it."""

import json
import os
import random
import signal
import struct
import subprocess

import pytest

import xensim
import xsclient
from ours import QUIESCE, running
from test_capture import captured, frame, pcapng
from watching import CTL, Watching, bare
from xsclient import join

MARK = "data/mark"


def read_back(path, *args, stdin=None, **env):
    """Where there is no xsproxyd at all."""
    return subprocess.run([CTL, "trace", *map(str, args), "-r", path, "--control", "/nonexistent"],
                          capture_output=True, timeout=xensim.TIMEOUT, check=False, input=stdin,
                          env=dict(os.environ, TZ="UTC", LC_ALL="C.UTF-8", **env))


def lines_of(path, *args):
    done = read_back(path, *args)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


def refused(function, *args):
    with pytest.raises(xsclient.XsError):
        function(*args)


def some_requests(host, guest, other):
    """Of two domains and a toolstack, whose session begins here."""
    guest.write("data/a/b", "1")
    guest.read("data/a/b")
    guest.watch("data/w", "tok")
    refused(guest.read, "data/none")
    refused(guest.write, "/vm/x", "\x1b[31m")
    guest.write("data/long", b"v" * 1800)
    guest.call(777, b"x\0")
    tx = guest.start()
    guest.write("data/w", "gr\u00fcn".encode(), tx=tx)
    guest.end(tx)
    other.write("data/ax", "1")
    with host.client() as client:
        client.control("get-domain-watches", "7")
        refused(client.request, QUIESCE, join(11))
    guest.write(MARK, "")


def unnamed(line):
    """A line of trace as of one who does not know which program has the connection."""
    return line.replace(" d0(python3) c", " d0 c").replace(',"program":"python3"', "")


@pytest.fixture(name="seen", scope="module")
def _seen(tmp_path_factory):
    """A capture of all, and what a trace with each of FILTERS said meanwhile."""
    path = tmp_path_factory.mktemp("readback") / "seen.pcapng"
    with running("C") as host:
        guests = [host.add_guest(domid) for domid in (7, 9)]
        for guest in guests:
            guest.write("data/before", "1")
        with Watching(host, "capture", "--events", "-w", path) as capture:
            # What asks for names would be in the capture, and in what the others say.
            traces = [Watching(host, "trace", *args, XENSTORED_PATH="/nonexistent")
                      for args in FILTERS]
            some_requests(host, *guests)
            captured(capture, path, lambda octets: MARK.encode() in octets)
            capture.end()
        said = dict(zip(FILTERS, [[unnamed(line) for line in trace.end()] for trace in traces]))
        for trace in traces:
            trace.close()
    return path, said


EVENTS = ("--events",)
# With the capture itself as many as xsproxyd serves at once
FILTERS = [
    (), EVENTS, ("--events", "--json"), (9,), (7, 0, "--json"), ("--op", "READ,write"),
    ("--op", "UNKNOWN"), ("--op", "777,GET_DOMAIN_WATCHES"), ("--op", "QUIESCE"),
    ("--path", "/local/domain/7/data/a/"), ("--path", "/local/domain/7/data/w", "--events"),
    ("--errors",), ("--snap", "9"), ("--snap", "9", "--json"), ("--new",),
]


@pytest.mark.parametrize("args", FILTERS, ids=lambda args: " ".join(map(str, args)))
def test_it_says_what_trace_said(seen, args):
    path, said = seen
    assert lines_of(path, *args) == said[args]


def test_the_filters_pick(seen):
    """Or both could be nothing, or all."""
    said = seen[1]
    assert [len(said[args]) for args in ((9,), ("--op", "UNKNOWN"), ("--op", "QUIESCE"))] == [
        1, 1, 1]
    assert all(0 < len(said[args]) < len(said[()]) for args in FILTERS
               if not {"--events", "--snap", "--json"} & set(args) and args)
    assert any("...+" in line for line in said[()])


def test_slower(seen):
    took = sorted(json.loads(line)["took"] for line in lines_of(seen[0], "--json"))
    for at in (1, len(took) // 2, len(took) - 1):
        lines = lines_of(seen[0], "--json", "--slower", f"{took[at] / 1e6:.6f}")
        assert sorted(json.loads(line)["took"] for line in lines) == [
            ns for ns in took if ns >= took[at]]
    assert lines_of(seen[0], "--slower", "100000") == []


def test_from_a_pipe_as_it_comes(host, guest):
    """What is captured elsewhere is shown while it is."""
    with Watching(host, "capture", "-w", "-") as capture:
        command = [CTL, "trace", "--read", "-"]
        with subprocess.Popen(command, stdin=capture.process.stdout, stdout=subprocess.PIPE,
                              env=dict(os.environ, LC_ALL="C.UTF-8")) as shown:
            for i in range(3):
                guest.write("data/x", str(i))
                line = shown.stdout.readline().decode().rstrip("\n")
                assert bare(line) == f'd7s > WRITE "data/x" "{i}" = OK'
            capture.send_signal(signal.SIGTERM)
            assert shown.stdout.read() == b"" and shown.wait(xensim.TIMEOUT) == 0


def test_requests_without_a_reply(tmp_path):
    """They have waited until the last of the file, not until now."""
    path = tmp_path / "x.pcapng"
    first, last = frame(1, 2, b"a\0", number=1), frame(1, 2, b"b\0", number=2)
    last = last[:16] + struct.pack("<Q", 1 + 5 * 10**6) + last[24:]
    pcapng(path, [(octets, len(octets)) for octets in (first, last)])
    assert [bare(line) for line in lines_of(path)] == [
        'd7s > READ "a" = (no reply)', 'd7s > READ "b" = (no reply)']
    assert len(lines_of(path, "--slower", "5")) == 1
    assert lines_of(path, "--slower", "5.1") == []


def test_what_was_lost(tmp_path):
    path = tmp_path / "x.pcapng"
    lost = struct.pack("<IHHIIQQQII", 48, 4, 0, 0, 0, 1, 0, 0, 12, 0)
    pcapng(path, [(lost, 48)])
    assert "12" in lines_of(path, "--op", "READ", 9)[0]
    assert '"count":12' in lines_of(path, "--json")[0]


def test_what_wireshark_s_tools_have_made_of_it(seen, tmp_path):
    path, said = seen
    for command in (["editcap", "-r", path, tmp_path / "begin", "1-8"],
                    ["editcap", path, tmp_path / "rest", "1-8"],
                    ["mergecap", "-a", "-w", tmp_path / "all", tmp_path / "begin",
                     tmp_path / "rest"],
                    ["editcap", "-a", "1:seen", path, tmp_path / "comment"]):
        subprocess.run(command, check=True, timeout=60, capture_output=True)
    assert lines_of(tmp_path / "all", "--events") == said[EVENTS]
    assert lines_of(tmp_path / "comment", "--events") == said[EVENTS]
    subprocess.run(["editcap", "-s", "70", path, tmp_path / "cut"], check=True, timeout=60)
    done = read_back(tmp_path / "cut")
    assert done.returncode == 1 and b"is no message of a capture, or cut since" in done.stderr


def test_what_is_no_capture(tmp_path):
    path = tmp_path / "x"
    for octets, why in ((b"", "it is empty"), (b"abc", "it is no pcapng file"),
                        (b"no capture at all", "at octet 0 it is no pcapng file"),
                        (struct.pack("<I", 0xa1b2c3d4) * 6, "at octet 0 it is no pcapng file")):
        path.write_bytes(octets)
        for name, stdin in ((path, None), ("-", octets)):
            done = read_back(name, stdin=stdin)
            where = "standard input" if name == "-" else name
            assert (done.returncode, done.stdout) == (1, b"")
            assert done.stderr.decode() == f"xsproxyctl trace: cannot read {where}: {why}\n"
    done = read_back(tmp_path / "none")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"No such file" in done.stderr
    done = read_back(tmp_path)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)


def test_cut_anywhere_it_shows_what_is_there(seen, tmp_path):
    path, said = seen
    octets = path.read_bytes()
    path = tmp_path / "x.pcapng"
    rng = random.Random(23)
    for size in [len(octets) - 1, *(rng.randrange(1, len(octets)) for _ in range(40))]:
        path.write_bytes(octets[:size])
        done = read_back(path, "--events")
        lines = done.stdout.decode().splitlines()
        whole = [line for line in lines if "(no reply)" not in line]
        assert set(whole) <= set(said[EVENTS])
        if done.returncode:
            assert done.stderr.count(b"\n") == 1 and b"cannot read" in done.stderr
        else:
            assert done.stderr == b""
    path.write_bytes(octets[:-1])
    done = read_back(path, "--events")
    assert done.stdout.decode().splitlines() == said[EVENTS]
    assert b"it ends in the middle of a block\n" in done.stderr and done.returncode == 1


def test_octets_changed_anywhere(seen, tmp_path):
    """It ends, with one line if it says anything, and prints no control character."""
    octets = seen[0].read_bytes()
    path = tmp_path / "x.pcapng"
    rng = random.Random(23)
    statuses = set()
    for _ in range(100):
        changed = bytearray(octets)
        for _ in range(rng.choice((1, 3, 10))):
            changed[rng.randrange(len(changed))] = rng.choice((0, 255, rng.randrange(256)))
        path.write_bytes(changed)
        done = read_back(path, "--events", *rng.choice(((), ("--json",))))
        assert done.returncode in (0, 1)
        assert done.stderr.count(b"\n") == done.returncode
        assert not any(octet < 32 and octet != 10 or octet == 127 for octet in done.stdout)
        statuses.add(done.returncode)
    assert statuses == {0, 1}
