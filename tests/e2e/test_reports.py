# SPDX-License-Identifier: MIT
"""What reports had of the traffic (tests/e2e/reports), played once more by replay.py: the same
through xsproxyd as without it, and answered as the report says. And replay.py itself."""

import pathlib
import re
import subprocess

import pytest

import replay
import xensim
import xsclient
from harness import DAEMONS
from ours import QUIESCE, running
from relay import FLAVOURS
from test_capture import captured, some_requests
from watching import Watching
from xsclient import join

REPORTS = sorted(pathlib.Path(__file__).with_name("reports").iterdir())


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.name)
def test_report(flavour, path):
    requests, left_out, daemon = replay.read(path)
    assert left_out == 0
    others = replay.same(flavour, requests)
    if daemon in ("", DAEMONS[flavour]):
        assert others == []


def odd_requests(host, guest):
    """Beside some_requests(): octets of all kinds, what has no NUL, other connections."""
    guest.write("data/octets", bytes(range(256)))
    guest.write("data/empty", "")
    guest.write("data/quoted", 'a "b" \\ = c (no NUL)')
    guest.call(xsclient.UNWATCH, b"data\0token")
    guest.call(20, b"x\0y\0")
    guest.call(777, b"\0")
    guest.reset_watches()
    with host.client() as client:
        client.write("/tool/x", "1")
        client.set_perms("/tool/x", "n0", "r7")
        client.is_introduced(7)
        client.request(QUIESCE, join(9))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_capture_and_a_trace_are_read_as_the_same(flavour, tmp_path):
    """As they were sent; and as lines of replay.py's own they come to the same again."""
    path = tmp_path / "report.pcapng"
    with running(flavour) as host:
        guest = host.add_guest(7)
        # What asks for names would be in the capture.
        nameless = {"XENSTORED_PATH": "/nonexistent"}
        with Watching(host, "capture", "-w", path) as capture, \
                Watching(host, "trace", **nameless) as trace:
            some_requests(guest)
            with pytest.raises(xsclient.XsError):
                odd_requests(host, guest)
            guest.write("data/end", "1")
            captured(capture, path, lambda octets: b"data/end" in octets)
            lines = trace.until("data/end")
    (tmp_path / "report.log").write_text("\n".join(lines), encoding="utf-8")
    requests, left_out, daemon = replay.read(path)
    assert daemon == "" and left_out == 3  # what is about domains
    assert replay.read(tmp_path / "report.log")[0] == requests
    assert [replay.parse_line(replay.to_line(request)) for request in requests] == requests
    assert [request.payload for request in requests if b"octets" in request.payload] == [
        b"data/octets\0" + bytes(range(256))]
    by_client = {request.who for request in requests} - {"d7"}
    assert len(by_client) == 1 and re.fullmatch(r"d0 c\d+", by_client.pop())
    # And what came is what comes again.
    assert replay.same(flavour, requests) == []


def run(*args):
    done = subprocess.run([replay.__file__, *map(str, args)], capture_output=True, text=True,
                          timeout=2 * xensim.TIMEOUT, check=False)
    return done.returncode, done.stdout, done.stderr


def test_many_connections(tmp_path):
    """Direct as well, where a daemon lets two wait."""
    path = tmp_path / "report.log"
    path.write_text("".join(f'd0 c{i} > WRITE "/tool/{i}" "1" = OK\n' for i in range(1, 20)),
                    encoding="ascii")
    status, out, err = run(path)
    assert (status, err) == (0, "") and out.count("19 requests, the same") == 2


def test_what_is_otherwise_than_the_file_says(tmp_path):
    path = tmp_path / "report.log"
    path.write_text('d7 > READ "data/none" = OK\nd7 > READ "domid"\n'
                    '12:00:00.000001 d7 s5 > READ "data/none" = (no reply)\n'
                    '12:00:00.000001 d7 s5 < WATCH_EVENT "data" "t"\n'
                    'd7 > t3 READ "data/x" = EIO  12 us, 3 upstream\n'
                    'd0 c1 > CONTROL "print"\nd7 > WRITE "data/x" ...+9 = OK\n',
                    encoding="ascii")
    assert run("--daemon", "xenstored", path) == (
        0, "xenstored: 4 requests, the same through xsproxyd\n"
        'xenstored: d7 > READ "data/none" = OK, here ENOENT\n'
        'xenstored: d7 > t3 READ "data/x" = EIO, here ENOENT\n',
        "replay: 2 requests are left out, see --help\n")
    assert run("--log", path)[1].splitlines()[1] == 'd7 > READ "domid"'


@pytest.mark.parametrize("octets", (b"", b"nothing\n", b"\n\r\r\n", b"d7 > \xff\n",
                                    b"# d7 > READ\n"))
def test_what_is_no_report(octets, tmp_path):
    path = tmp_path / "report"
    path.write_bytes(octets)
    status, out, err = run(path)
    assert (status, out) == (2, "") and err.startswith("replay: ") and err.count("\n") == 1
    assert run(tmp_path / "none")[0] == 2
