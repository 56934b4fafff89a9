# SPDX-License-Identifier: MIT
"""`xsproxyctl replay`: a capture's requests, played to a xenstored without any guest."""

import os
import re
import subprocess

import pytest

import xensim
import xsclient
from harness import Host
from ours import QUIESCE, running
from relay import FLAVOURS
from test_capture import captured, frame, pcapng
from watching import CTL, Watching
from xsclient import join

TIME = re.compile(r"\d\d:\d\d:\d\d\.\d+ ")


def replay(path, socket, *args):
    """(exit status, its lines without times and durations, what it said)."""
    done = subprocess.run([CTL, "replay", path, "--socket", socket, *args], capture_output=True,
                          timeout=xensim.TIMEOUT, check=False, text=True,
                          env=dict(os.environ, LC_ALL="C.UTF-8"))
    lines = [re.sub(r"  \d+ us, .*", "", TIME.sub("", line)) for line in done.stdout.splitlines()]
    return done.returncode, lines, done.stderr


def refused(function, *args):
    with pytest.raises(xsclient.XsError):
        function(*args)


def toolstack(host):
    """What it is asked to do before and beside the guests, on connections that end."""
    with host.client() as client:
        client.write("/tool/x", "1")
        client.set_perms("/tool/x", "n0", "r7")
        tx = client.start()
        for name in "cab":
            client.write(f"/tool/dir/{name}", name, tx=tx)
        client.end(tx)
    with host.client() as client:
        client.directory("/tool/dir")
        client.is_introduced(7)
        refused(client.request, QUIESCE, join(9))
        refused(client.read, "/tool/none")
        tx = client.start()
        client.write("/tool/gone", "1", tx=tx)
        client.end(tx, commit=False)
        refused(client.read, "/tool/gone")


def guests(host):
    """Relative paths, transactions that run side by side, what only a guest is refused."""
    one, two = host.add_guest(7), host.add_guest(9)
    one.write("data/octets", bytes(range(256)))
    one.read("data/octets")
    one.mkdir("data/dir/empty")
    one.directory("data/dir")
    one.watch("data", "tok")
    one.watch("@releaseDomain", "tok")
    refused(one.watch, "data", "tok")
    one.unwatch("data", "tok")
    refused(one.write, "/vm/x", "1")
    refused(one.write, "data/long", b"v" * 3000)
    txs = [guest.start() for guest in (one, two)]
    for guest, tx in zip((two, one), reversed(txs)):
        guest.write("data/t", f"{guest.domid}", tx=tx)
        guest.read("data/t", tx=tx)
    for guest, tx in zip((one, two), txs):
        guest.end(tx)
    one.set_perms("data/t", "n7", "r9")
    two.read("/local/domain/7/data/t")
    one.get_perms("data/t")
    one.call(777, b"x\0")
    one.rm("data/dir")
    one.reset_watches()
    two.write("data/end", "1")


@pytest.fixture(name="seen", scope="module", params=FLAVOURS)
def _seen(request, tmp_path_factory):
    """A capture from the first guest on, and whose."""
    path = tmp_path_factory.mktemp("replay") / "seen.pcapng"
    with running(request.param) as host:
        with Watching(host, "capture", "-w", path) as capture:
            toolstack(host)
            guests(host)
            captured(capture, path, lambda octets: b"data/end" in octets)
            capture.end()
    return path, request.param


def played(lines):
    """How many were, and how many came to something else."""
    found = re.fullmatch(r"(\d+) requests played, (\d+) answered otherwise", lines[-1])
    return int(found[1]), int(found[2])


def test_the_same_daemon_answers_the_same(seen):
    path, flavour = seen
    with Host(flavour, proxied=False) as host:
        status, lines, said = replay(path, host.socket)
        assert (status, said) == (0, ""), lines
        assert played(lines)[0] > 40 and played(lines)[1] == 0
        # It has been carried out, as whoever it was.
        dom0 = host.dom0
        assert dom0.read("/local/domain/7/data/octets") == bytes(range(256))
        assert dom0.read("/local/domain/9/data/t") == b"9"
        assert set(dom0.directory("/tool/dir")) == {"a", "b", "c"}
        assert dom0.get_perms("/local/domain/7/data/t") == ["n0", "r9"]
        refused(dom0.read, "/tool/gone")
    assert any(line.endswith("left out: about domains, quotas, xsproxy, or unknown")
               for line in lines)
    assert "2 left out: refused to a guest for its rights or quotas" in lines


def test_what_is_answered_otherwise(seen):
    """The first ten are shown, what was and what is."""
    path, flavour = seen
    with Host(flavour, proxied=False) as host:
        assert replay(path, host.socket)[0] == 0
        host.dom0.write("/tool/none", "there")
        status, lines, said = replay(path, host.socket)
        assert (status, said) == (1, "")
        at = next(i for i, line in enumerate(lines) if '/tool/none' in line)
        assert re.match(r'- d0 c\d+ > READ "/tool/none" = ENOENT$', lines[at])
        assert re.match(r'\+ d0 c\d+ > READ "/tool/none" = "there"$', lines[at + 1])
        assert played(lines)[1] >= 1


def test_no_more_than_ten_are_shown(tmp_path):
    path = tmp_path / "x.pcapng"
    frames = [octets for i in range(25) for octets in (
        frame(1, 2, b"none%d\0" % i, number=i), frame(2, 2, b"there", number=i))]
    pcapng(path, [(octets, len(octets)) for octets in frames])
    with Host("C", proxied=False) as host:
        status, lines, said = replay(path, host.socket)
    assert (status, said, len(lines)) == (1, "", 22)
    assert lines[18:] == ['- d7 s2 > t0 READ "none9" = "there"'.replace("t0 ", ""),
                          '+ d7 s2 > READ "none9" = ENOENT', "15 more differences",
                          "25 requests played, 25 answered otherwise"]


def test_what_is_left_out(tmp_path):
    """It is not sent, and said to be."""
    path = tmp_path / "x.pcapng"

    def ask(kind, type_, payload, number, tx=0, length=None):
        octets = frame(kind, type_, payload, number=number, length=length)
        return octets[:56] + tx.to_bytes(4, "little") + octets[60:]

    frames = [ask(1, 11, b"data/old\0" b"1", 1, tx=5), ask(2, 11, b"OK\0", 1, tx=5),
              ask(1, 11, b"data/cut\0", 2, length=100), ask(2, 11, b"OK\0", 2),
              ask(1, 11, b"d" * 4090 + b"\0", 3), ask(2, 11, b"OK\0", 3),
              ask(1, 17, b"7\0", 4), ask(2, 17, b"F\0", 4),
              ask(1, 11, b"data/none\0", 5)]
    pcapng(path, [(octets, len(octets)) for octets in frames])
    with Host("C", proxied=False) as host:
        status, lines, said = replay(path, host.socket)
        refused(host.dom0.directory, "/local/domain/7/data")
    assert (status, said) == (0, "")
    assert lines == ["1 left out: about domains, quotas, xsproxy, or unknown",
                     "1 left out: in a transaction that is not here",
                     "2 left out: not there in full, or too long with an absolute path",
                     "1 left out: without a reply", "0 requests played, 0 answered otherwise"]


def test_more_sessions_than_a_daemon_takes_at_once(tmp_path):
    """A connection is closed after the last that its session has to say."""
    path = tmp_path / "x.pcapng"
    frames = []
    for session in range(2000):
        for octets in (frame(1, 11, b"/x\0" b"1"), frame(2, 11, b"OK\0")):
            frames.append(octets[:12] + session.to_bytes(4, "little") + octets[16:])
    pcapng(path, [(octets, len(octets)) for octets in frames])
    with Host("C", proxied=False) as host:
        assert replay(path, host.socket) == (
            0, ["2000 requests played, 0 answered otherwise"], "")


def test_a_damaged_file_is_not_played(seen, tmp_path):
    path, flavour = seen
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(path.read_bytes()[:-5])
    with Host(flavour, proxied=False) as host:
        status, lines, said = replay(cut, host.socket)
        assert (status, lines) == (1, []) and said.count("\n") == 1 and "in the middle" in said
        refused(host.dom0.directory, "/tool/dir")


def test_what_it_refuses(seen, tmp_path):
    path, _ = seen
    status, _, said = replay(path, tmp_path / "none")
    assert (status, said) == (1, f"xsproxyctl replay: cannot play to {tmp_path}/none: "
                                 "No such file or directory\n")
    status, _, said = replay("-", tmp_path / "none")
    assert status == 1 and "reads a capture twice" in said
    done = subprocess.run([CTL, "replay", path], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--socket PATH is missing" in done.stderr
