# SPDX-License-Identifier: MIT
"""`xsproxyctl capture --file-size`: one file after the other, of which the last ones are kept."""

import contextlib
import re
import select
import stat
import time

import pytest

import xensim
import xsclient
from test_capture import ONE_DAEMON, captured, ended, fields
from watching import Watching, ctl


def files_of(path):
    return sorted(path.parent.glob(f"{path.stem}_*{path.suffix}"))


def values_of(paths):
    """What was written to data/x."""
    return [value for path in paths for kind, value in fields(path, "kind", "value")
            if kind == "1"]


@ONE_DAEMON
def test_files_by_size(host, guest, tmp_path):
    """All there is, in order, each a capture by itself, and none much larger than it may be."""
    path = tmp_path / "a.b" / "seen.pcapng"
    path.parent.mkdir()
    with Watching(host, "capture", "-w", path, "--file-size", "4K", 7) as capture:
        for i in range(100):
            guest.write("data/x", str(i))
        capture.end()
    assert ": 200 messages, 0 more were lost" in capture.said
    files = files_of(path)
    assert sorted(path.parent.iterdir()) == files and len(files) > 4
    for number, file in enumerate(files, 1):
        assert re.fullmatch(rf"seen_{number:05}_20\d{{12}}\.pcapng", file.name)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.stat().st_size < 4096 + 400
        assert number == len(files) or file.stat().st_size >= 4096
    assert values_of(files) == [str(i) for i in range(100)]


@ONE_DAEMON
def test_the_last_files_are_kept(host, guest, tmp_path):
    path, others = tmp_path / "seen", [tmp_path / "seen_00001_20200101000000", tmp_path / "x"]
    for other in others:
        other.write_text("somebody's")
    with Watching(host, "capture", "-w", path, "--file-size", "4K", "--files", "3", 7) as capture:
        for i in range(150):
            guest.write("data/x", str(i))
        capture.end()
    for other in others:
        assert other.read_text() == "somebody's"
        other.unlink()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3 and int(files[0].name.split("_")[1]) > 2
    values = values_of(files)
    assert values == [str(i) for i in range(150 - len(values), 150)] and len(values) > 30


@ONE_DAEMON
def test_whole_exchanges_in_files(host, guest, tmp_path):
    path = tmp_path / "seen.pcapng"
    with Watching(host, "capture", "-w", path, "--file-size", "4K", "--slower", "0", "--errors",
                  "-c", "100", 7) as capture:
        for i in range(50):
            with pytest.raises(xsclient.XsError):
                guest.read(f"data/none{i}")
        ended(capture)
    files = files_of(path)
    assert len(files) > 2
    assert [row for file in files for row in fields(file, "kind", "path")] == [
        (kind, f"data/none{i}") for i in range(50) for kind in "12"]
    assert all(fields(file, "kind")[-1] == ("2",) for file in files)


def captured_in_any(capture, path, octets):
    """Wait until a file of the ring has them."""
    deadline = time.monotonic() + xensim.TIMEOUT
    while True:
        # A file may go while they are looked at.
        with contextlib.suppress(FileNotFoundError):
            if any(octets in file.read_bytes() for file in files_of(path)):
                return
        assert time.monotonic() < deadline, "not captured"
        assert not select.select([capture.process.stderr], [], [], 0.01)[0], "it has ended"


@ONE_DAEMON
def test_the_file_that_is_written_can_be_read(host, guest, tmp_path):
    """At any moment, and so can what the ring has left of the others."""
    path = tmp_path / "seen.pcapng"
    seen = set()
    with Watching(host, "capture", "-w", path, "--file-size", "4K", "--files", "2", 7) as capture:
        for i in range(60):
            guest.write("data/x", f"value {i}")
            captured_in_any(capture, path, f"value {i}".encode())
            last = files_of(path)[-1]
            if last not in seen:
                values_of([last])
                seen.add(last)
        capture.end()
    assert len(seen) > 3 and len(files_of(path)) == 2


@ONE_DAEMON
def test_what_hinders_the_next_file(host, guest, tmp_path):
    """What there was until then is whole."""
    path = tmp_path / "there" / "seen.pcapng"
    path.parent.mkdir()
    with Watching(host, "capture", "-w", path, "--file-size", "4K", 7) as capture:
        guest.write("data/x", "first")
        captured(capture, files_of(path)[0], lambda octets: b"first" in octets)
        path.parent.rename(tmp_path / "moved")
        for _ in range(50):
            guest.write("data/x", "more")
        said = capture.process.stderr.read().decode()
        assert capture.process.wait(xensim.TIMEOUT) == 1
    first, second = said.splitlines()
    assert re.match(r"xsproxyctl capture: cannot write \S+/there/seen_00002_\d+\.pcapng: No such",
                    first)
    assert re.match(r"xsproxyctl capture: \d+ messages", second)
    files = files_of(tmp_path / "moved" / "seen.pcapng")
    assert len(files) == 1 and values_of(files)[0] == "first"
    done = ctl(host, "capture", "-w", path, "--file-size", "4K")
    assert done.returncode == 1 and "cannot write" in done.stderr
    assert done.stderr.count("\n") == 1
