# SPDX-License-Identifier: MIT
"""`xsproxyctl capture` and the Wireshark dissector: tshark shows what guests sent and got."""

import contextlib
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import stat
import struct
import subprocess
import time

import pytest

import xensim
import xsclient
from ours import OURS, QUIESCE
from watching import CTL, Watching, ctl
from xsclient import join

ROOT = pathlib.Path(__file__).resolve().parents[2]
LUA = ROOT / "share/wireshark/xenstore.lua"
# For root Wireshark 4.4 reads no such script. Here it is somebody, who may read what root may.
TSHARK = [*(() if os.geteuid() else ("unshare", "--map-user=1", "--map-group=1")), "tshark"]
# Where it does not matter which
ONE_DAEMON = pytest.mark.parametrize("host", ["C"], indirect=True)
FIELDS = ("op", "path", "token", "value", "perm", "child", "arg", "error", "tx")


def tshark(path, *args, plugin=("-X", f"lua_script:{LUA}"), stdin=None, home="/nonexistent"):
    """What tshark prints, a list of lines; it must have nothing to complain about."""
    done = subprocess.run([*TSHARK, *plugin, "-r", path, *args], capture_output=True, stdin=stdin,
                          timeout=60, check=False,
                          env=dict(os.environ, TZ="UTC", LC_ALL="C.UTF-8", HOME=str(home)))
    said = [line for line in done.stderr.decode().splitlines() if "Running as user" not in line]
    assert (done.returncode, said) == (0, [])
    assert b"Lua Error" not in done.stdout
    return done.stdout.decode().splitlines()


def fields(path, *names, args=()):
    """A tuple of the fields @names for each packet."""
    wanted = [word for name in names
              for word in ("-e", name if "." in name else f"xenstore.{name}")]
    lines = tshark(path, "-T", "fields", "-E", "aggregator=|", *wanted, *args)
    return [tuple(line.split("\t")) for line in lines]


def captured(capture, path, found):
    """Wait until @found(octets) holds for the file."""
    deadline = time.monotonic() + xensim.TIMEOUT
    while not found(path.read_bytes()):
        assert time.monotonic() < deadline, "not captured"
        assert not select.select([capture.process.stderr], [], [], 0.01)[0], "it has ended"


def some_requests(guest):
    """Returns what tshark should say of each packet: FIELDS, but for request's tx."""
    guest.write("data/x", "va lue")
    guest.read("data/x")
    guest.watch("data/w", "tok")
    guest.unwatch("data/w", "tok")
    guest.set_perms("data/x", "n7", "r0")
    guest.get_perms("data/x")
    guest.mkdir("data/d/e")
    guest.directory("data/d")
    with pytest.raises(xsclient.XsError):
        guest.read("data/none")
    tx = guest.start()
    guest.write("data/t", "gr\u00fcn".encode(), tx=tx)
    guest.end(tx)
    with pytest.raises(xsclient.XsError):
        guest.request(QUIESCE, join(7))
    tx = str(tx)
    rows = [
        ({"op": "WRITE", "path": "data/x", "value": "va lue"}, {"arg": "OK"}),
        ({"op": "READ", "path": "data/x"}, {"value": "va lue"}),
        ({"op": "WATCH", "path": "data/w", "token": "tok"}, {"arg": "OK"}),
        ({"op": "UNWATCH", "path": "data/w", "token": "tok"}, {"arg": "OK"}),
        ({"op": "SET_PERMS", "path": "data/x", "perm": "n7|r0"}, {"arg": "OK"}),
        ({"op": "GET_PERMS", "path": "data/x"}, {"perm": "n7|r0"}),
        ({"op": "MKDIR", "path": "data/d/e"}, {"arg": "OK"}),
        ({"op": "DIRECTORY", "path": "data/d"}, {"child": "e"}),
        ({"op": "READ", "path": "data/none"}, {"error": "ENOENT"}),
        ({"op": "TRANSACTION_START"}, {"arg": tx}),
        ({"op": "WRITE", "path": "data/t", "value": "gr\u00fcn", "tx": tx},
         {"arg": "OK", "tx": tx}),
        ({"op": "TRANSACTION_END", "arg": "T", "tx": tx}, {"arg": "OK", "tx": tx}),
        ({"op": "QUIESCE", "arg": "7"}, {"error": "EACCES"}),
    ]
    want = []
    for request, reply in rows:
        of_request = {key: request[key] for key in ("op", "path") if key in request}
        want += [{"tx": "0", **request}, {"tx": "0", **of_request, **reply}]
    return [tuple(row.get(name, "") for name in FIELDS) for row in want]


@pytest.mark.long
def test_fields_are_what_the_guest_sent(host, guest, tmp_path):
    path = tmp_path / "capture.pcapng"
    with Watching(host, "capture", "-w", path, 7) as capture:
        want = some_requests(guest)
        capture.end()
        assert capture.said.endswith(f": {len(want)} messages, 0 more were lost\n")
    assert fields(path, *FIELDS) == want
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # Who, which way, and what belongs together; the second pass knows what follows
    rows = fields(path, "domid", "kind", "frame.packet_flags_direction", "number", "request_in",
                  "response_in", "frame.interface_name", args=("-2",))
    number = int(rows[0][3])
    for i, row in enumerate(rows):
        ours = ("", str(i + 2)) if i % 2 == 0 else (str(i), "")
        assert row == ("7", str(1 + i % 2), f"0x0000000{1 + i % 2}", str(number + i // 2), *ours,
                       "xsproxy")
    times = fields(path, "time", "time_upstream", "time_proxy",
                   args=("-Y", "xenstore.kind == 2 && !xenstore.ours"))
    assert len(times) == len(rows) // 2 - 1  # without that by xsproxyd itself
    for row in times:
        took, upstream, proxy = map(float, row)
        assert took > 0 and upstream >= 0 and proxy >= 0 and abs(took - upstream - proxy) < 1e-9


@pytest.mark.long
@pytest.mark.parametrize("host", ["C"], indirect=True)
def test_columns_and_filters(host, guest, tmp_path):
    path = tmp_path / "capture.pcapng"
    with Watching(host, "capture", "--write", path, "--events", 7) as capture:
        guest.watch("data/events", "tok")
        some_requests(guest)
        capture.end()
    session = fields(path, "session")[0][0]
    columns = [" ".join(line.split()) for line in tshark(path, "-Y", 'xenstore.path == "data/x"')]
    columns = [line.split(" ", 2)[2] for line in columns]
    there, back = f"d7 s{session} \u2192 xenstored", f"xenstored \u2192 d7 s{session}"
    assert columns[:4] == [
        f'{there} Xenstore 77 WRITE data/x "va lue"', f"{back} Xenstore 67 WRITE data/x = OK",
        f"{there} Xenstore 71 READ data/x", f'{back} Xenstore 70 READ data/x = "va lue"']
    assert "QUIESCE = EACCES" in tshark(path, "-Y", 'xenstore.ours && xenstore.error')[0]

    def count(condition):
        return len(tshark(path, "-Y", condition))

    assert count('xenstore.error == "ENOENT" && xenstore.op == "READ"') == 1
    assert count("xenstore.error && _ws.expert.severity == note") == 2
    assert count('xenstore.op == "WATCH_EVENT" && xenstore.token == "tok"') >= 1
    assert count("xenstore.tx != 0 && xenstore.time < 1000 && xenstore.domid == 7") == 2
    assert count("xenstore.type == 11 && xenstore.kind == 1") == 2


@ONE_DAEMON
def test_a_session_is_followed(host, guest, tmp_path):
    """Each is a stream, numbered as they come in the file."""
    path = tmp_path / "capture.pcapng"
    other = host.add_guest(9)
    with Watching(host, "capture", "-w", path, "--events") as capture:
        guest.write("data/x", "0")
        other.write("data/x", "1")
        with host.client() as client:
            client.write("/tool/x", "2")
        guest.watch("data/x", "tok")
        guest.write("data/end", "0")
        captured(capture, path, lambda octets: b"data/end" in octets)
        capture.end()
    rows = fields(path, "stream", "domid", "session", "value", args=("-2",))
    streams = [row[0] for row in rows]
    assert list(dict.fromkeys(streams)) == ["0", "1", "2"]
    assert {row[1] for row in rows if row[0] == "1"} == {"9"}
    assert {row[0]: row[3] for row in rows if row[3]} == {"0": "0", "1": "1", "2": "2"}
    # One session for each, and the same one in each of its packets
    assert len({row[:3] for row in rows}) == 3
    for number in range(3):
        followed = fields(path, "stream", args=("-Y", f"xenstore.stream == {number}"))
        assert len(followed) == streams.count(str(number)) > 1
    assert ("WATCH_EVENT", "0") in fields(path, "op", "stream")


def test_it_can_be_read_while_it_grows(host, guest, tmp_path):
    path = tmp_path / "capture.pcapng"
    with Watching(host, "capture", "-w", path) as capture:
        for i in range(2):
            guest.write("data/x", f"value {i}")
            captured(capture, path, lambda octets, i=i: f"value {i}".encode() in octets)
            assert ("WRITE", f"value {i}") in fields(path, "op", "value")
        capture.end()


def test_to_standard_output(host, guest):
    with Watching(host, "capture", "-w", "-") as capture:
        guest.write("data/x", "1")
        guest.write("data/mark", "")
        octets = b""
        while b"data/mark" not in octets:
            octets += os.read(capture.process.stdout.fileno(), 1 << 16)
        capture.process.send_signal(signal.SIGTERM)
        octets += capture.process.stdout.read()
        assert capture.process.wait(xensim.TIMEOUT) == 0
    done = subprocess.run([*TSHARK, "-X", f"lua_script:{LUA}", "-r", "-", "-T", "fields", "-e",
                           "xenstore.value"], input=octets, capture_output=True, timeout=60,
                          check=True)
    assert b"1" in done.stdout.split(b"\n")


def test_only_errors(host, guest, tmp_path):
    path = tmp_path / "capture.pcapng"
    with Watching(host, "capture", "-w", path, "--errors") as capture:
        some_requests(guest)
        capture.end()
    assert fields(path, "kind", "op", "error") == [
        ("1", "READ", ""), ("2", "READ", "ENOENT"), ("1", "QUIESCE", ""),
        ("2", "QUIESCE", "EACCES")]


def test_what_was_lost_is_in_the_file(host, guest, tmp_path):
    path = tmp_path / "capture.pcapng"
    with Watching(host, "capture", "-w", path, 7) as capture:
        capture.send_signal(signal.SIGSTOP)
        for _ in range(1000):
            guest.write("data/x", b"v" * 2000)
        capture.send_signal(signal.SIGCONT)
        capture.end()
        assert ", 0 more were lost" not in capture.said
    rows = fields(path, "kind", "lost")
    lost = sum(int(row[1]) for row in rows if row[0] == "4")
    assert lost > 0
    assert len([row for row in rows if row[0] != "4"]) + lost == 2000
    assert tshark(path, "-Y", "xenstore.expert.lost") != []


def test_snap(host, guest, tmp_path):
    path = tmp_path / "capture.pcapng"
    with Watching(host, "capture", "-w", path, "--snap", "10", 7) as capture:
        guest.write("data/x", "0123456789")
        capture.end()
    rows = fields(path, "op", "path", "value", "cut", "len", "frame.len", "frame.cap_len")
    assert rows[0] == ("WRITE", "data/x", "012", "7", "17", "81", "74")
    assert tshark(path, "-Y", "xenstore.expert.unterminated") == []


def ended(capture):
    """Wait until it has ended by itself; all that it said."""
    said = capture.said + capture.process.stderr.read().decode()
    assert capture.process.wait(xensim.TIMEOUT) == 0
    return said


@ONE_DAEMON
def test_it_ends_after_so_many_messages(host, guest, tmp_path):
    path = tmp_path / "capture.pcapng"
    with Watching(host, "capture", "-w", path, "-c", "5", 7) as capture:
        for i in range(5):
            guest.write("data/x", str(i))
        said = ended(capture)
    assert said == ("xsproxyctl capture: capturing, until it is interrupted, has 5 messages\n"
                    "xsproxyctl capture: 5 messages, 0 more were lost\n")
    rows = fields(path, "kind", "value")
    assert rows == [("1", "0"), ("2", ""), ("1", "1"), ("2", ""), ("1", "2")]


@ONE_DAEMON
def test_it_ends_with_a_whole_exchange(host, guest, tmp_path):
    path = tmp_path / "capture.pcapng"
    with Watching(host, "capture", "-w", path, "--count", "3", "--errors", 7) as capture:
        for i in range(3):
            with pytest.raises(xsclient.XsError):
                guest.read(f"data/none{i}")
        assert ": 4 messages" in ended(capture)
    assert fields(path, "kind", "path") == [
        (kind, f"data/none{i}") for i in range(2) for kind in "12"]


@ONE_DAEMON
def test_it_ends_after_its_time(host, guest, tmp_path):
    """Whether there is traffic or not; what there was until then is in the file."""
    path = tmp_path / "capture.pcapng"
    began = time.monotonic()
    with Watching(host, "capture", "-w", path, "--duration", "0.3", 7) as capture:
        guest.write("data/x", "1")
        said = ended(capture)
    assert time.monotonic() - began >= 0.3
    assert ", until it is interrupted, 0.3 s are over\n" in said and ": 2 messages" in said
    assert fields(path, "kind", "op") == [("1", "WRITE"), ("2", "WRITE")]
    began = time.monotonic()
    with Watching(host, "capture", "-w", path, "--duration", "0.3", "-c", "1000000") as capture:
        while capture.process.poll() is None:
            guest.write("data/x", "1")
            assert time.monotonic() - began < xensim.TIMEOUT
        ended(capture)
    assert len(fields(path, "kind")) > 2


@ONE_DAEMON
def test_it_ends_after_its_time_although_nobody_reads(host, guest):
    with Watching(host, "capture", "-w", "-", "--duration", "0.2", "--snap", "4096") as capture:
        for _ in range(100):
            guest.write("data/x", b"v" * 2000)
        said = capture.process.stderr.read().decode()
        assert capture.process.wait(xensim.TIMEOUT) == 1
    assert "cannot write standard output: its reader does not read" in said


# --- the dissector alone

def pcapng(path, packets):
    """A file of link type USER0, made without xsproxy's help."""
    def block(kind, body):
        size = struct.pack("<I", len(body) + 12)
        return struct.pack("<I", kind) + size + body + size

    octets = block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1))
    octets += block(1, struct.pack("<HHI", 147, 0, 0))
    for packet, full in packets:
        octets += block(6, struct.pack("<IIIII", 0, 0, 1, len(packet), full) + packet +
                        bytes(-len(packet) % 4))
    path.write_bytes(octets)


def frame(kind, type_, payload, order="<", length=None, number=1):
    head = struct.pack(order + "IHHIIQQQII", 64 + len(payload), kind, 0, 7, 2, 1, 3000, 2000,
                       number, 0)
    length = len(payload) if length is None else length
    return head + struct.pack(order + "IIII", type_, 5, 0, length) + payload


def test_either_order_of_octets(tmp_path):
    path = tmp_path / "x.pcapng"
    frames = [frame(kind, type_, payload, order) for order in "<>"
              for kind, type_, payload in ((1, 11, b"a\0b"), (2, 16, b"EACCES\0"))]
    pcapng(path, [(octets, len(octets)) for octets in frames])
    half = [("WRITE", "a", "b", "", ""), ("WRITE", "a", "", "EACCES", "0.000003000")]
    assert fields(path, "op", "path", "value", "error", "time") == half + half


@pytest.mark.long
def test_what_is_broken_breaks_nothing(tmp_path):
    rng = random.Random(6)
    path = tmp_path / "x.pcapng"
    packets = [(b"", 0)]
    types = [*range(24), *OURS, OURS[-1] + 1, 0xffffffff]
    for i in range(1000):
        payload = rng.choice((b"", b"\0", b"a\0b\0c", b"n7\0", rng.randbytes(rng.randrange(40)),
                              b"\xc3\0\xff\xff", b"x" * 4096))
        octets = bytearray(frame(rng.choice((1, 2, 3)), rng.choice(types), payload,
                                 rng.choice("<<<>"), number=rng.randrange(20),
                                 length=rng.choice((None, None, 0, 3, 4096, 0xffffffff))))
        for _ in range(rng.choice((0, 0, 1, 3))):
            octets[rng.randrange(len(octets))] = rng.choice((0, 255, rng.randrange(256)))
        size = rng.choice((len(octets), rng.randrange(len(octets) + 1)))
        packets.append((bytes(octets[:size]), rng.choice((size, len(octets)))))
    pcapng(path, packets)
    for args in ((), ("-V", "-2")):
        lines = tshark(path, *args)
        assert len(lines) >= len(packets)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(lines))
    rows = fields(path, "_ws.malformed", "xenstore.expert.malformed", "_ws.col.Info")
    assert len(rows) == len(packets)
    # Told by the dissector, not by Wireshark about it
    assert {(bool(row[0]), bool(row[1])) for row in rows} == {(False, False), (True, True)}
    assert rows[0][2] == "[malformed: shorter than its header]"


def test_as_a_plugin_and_twice(tmp_path):
    path = tmp_path / "x.pcapng"
    octets = frame(1, 2, b"data\0")
    pcapng(path, [(octets, len(octets))])
    plugins = tmp_path / ".local/lib/wireshark/plugins"
    plugins.mkdir(parents=True)
    (plugins / LUA.name).symlink_to(LUA)  # as the package does
    for plugin in ((), ("-X", f"lua_script:{LUA}")):
        line, = tshark(path, plugin=plugin, home=tmp_path)
        assert "READ data" in line


# --- the profile

def profile(home):
    """Where it is copied to, as the manual says."""
    there = home / ".config/wireshark/profiles/Xenstore"
    shutil.copytree(LUA.parent / "profile", there)
    return ("-C", there.name)


def test_the_profile_s_columns(tmp_path):
    path = tmp_path / "x.pcapng"
    frames = [frame(1, 2, b"data\0"), frame(2, 2, b"1")]
    pcapng(path, [(octets, len(octets)) for octets in frames])
    request, reply = tshark(path, *profile(tmp_path), home=tmp_path)
    assert re.match(r" *1 +0\.000000 0 +d7 s2 \u2192 xenstored +READ data$", request)
    assert re.match(r" *2 +0\.000000 0 +xenstored \u2192 d7 s2 +0\.000003000 READ data = ", reply)


def coloured(path, *args, home):
    """The lines that tshark prints on a terminal."""
    master, slave = pty.openpty()
    with open(master, "rb", buffering=0) as screen:
        command = [*TSHARK, "--color", *args, "-X", f"lua_script:{LUA}", "-r", path]
        with subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL,
                              env=dict(os.environ, LC_ALL="C.UTF-8", HOME=str(home),
                                       COLORTERM="truecolor")) as process:
            os.close(slave)
            octets = b""
            with contextlib.suppress(OSError):  # its end, on a terminal
                while part := screen.read(1 << 16):
                    octets += part
            assert process.wait(60) == 0
    return octets.decode().splitlines()


def test_the_profile_s_colours(tmp_path):
    """Red for an error, another for an event and for what is slow, none for the rest."""
    path = tmp_path / "x.pcapng"
    slow = frame(2, 2, b"1", number=2)
    slow = slow[:24] + struct.pack("<Q", 10**7) + slow[32:]
    frames = [frame(1, 2, b"data\0"), frame(2, 16, b"ENOENT\0"), slow, frame(3, 15, b"a\0t\0")]
    pcapng(path, [(octets, len(octets)) for octets in frames])
    lines = coloured(path, *profile(tmp_path), home=tmp_path)
    colours = [re.findall(r"\x1b\[48;2;(\d+;\d+;\d+)m", line) for line in lines[:4]]
    assert colours[0] == [] and all(len(colour) == 1 for colour in colours[1:])
    assert len({colour[0] for colour in colours[1:]}) == 3


# --- the command line

def test_what_it_refuses(host, tmp_path):
    done = ctl(host, "capture")
    assert done.returncode == 2 and "--write FILE is missing" in done.stderr
    done = ctl(host, "capture", "-w", tmp_path / "no" / "file")
    assert done.returncode == 1 and "cannot write" in done.stderr
    master, slave = pty.openpty()
    with open(master, "rb"), open(slave, "wb") as terminal:
        done = subprocess.run([CTL, "capture", "-w", "-", "--control", host.run_dir / "control"],
                              stdout=terminal, stderr=subprocess.PIPE, check=False,
                              timeout=xensim.TIMEOUT)
    assert done.returncode == 1 and b"terminal" in done.stderr
