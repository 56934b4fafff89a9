# SPDX-License-Identifier: MIT
"""xsproxyctl without memory: every single allocation of each command fails in turn.

It says so in one line, and the domain and the store are as before; or it does all the same what it
was asked.
"""

import os
import subprocess

import pytest

import images
import xensim
from failing import Plan
from harness import BUILD
from xensim import ROOT
from ours import HOLD, ask, running
from relay import FLAVOURS, introduce
from test_capture import frame, pcapng
from migration import FRESH, argv, assert_imported, env, reset, session, shown, state, stream

PROGRAM = BUILD / "xsproxyctl-failing"


class Failing:
    """xsproxyctl on a host, as often as it allocates."""

    def __init__(self, host, *args, **kwargs):
        self.host = host
        self.argv = [PROGRAM, *argv(host, *args)[1:]]
        self.kwargs = kwargs if "input" in kwargs else kwargs | {"stdin": subprocess.DEVNULL}
        self.plan = Plan(host.sim.dir)

    def run(self, nth):
        """Return: whether it did what it was asked, what it printed, whether one failed."""
        self.plan.arm(nth)
        done = subprocess.run(
            self.argv, capture_output=True, check=False, timeout=xensim.TIMEOUT,
            env=env(self.host) | {key: str(value) for key, value in self.plan.env.items()},
            **self.kwargs)
        where = self.plan.where(PROGRAM) if self.plan.failed else "none failed"
        if done.returncode:
            message = done.stderr.decode()
            assert done.returncode == 1 and self.plan.failed, (message, where)
            if not message and self.argv[1] == "check":
                # An answer that it could not read is what it is asked to tell of. And jansson
                # leaves an octet of the socket's path out, without a word, where its buffer cannot
                # grow.
                message = "xsproxyctl check: " + done.stdout.decode()
                assert done.stdout.startswith((b"xsproxyd: ", b"toolstacks: a READ over ")), (
                    message, where)
            assert message.startswith(f"xsproxyctl {self.argv[1]}: "), (message, where)
            assert message.count("\n") == 1, (message, where)
        else:
            assert not done.stderr, (done.stderr, where)
        return not done.returncode, done.stdout, self.plan.failed

    def each(self):
        """Let each fail in turn, and none in the end: (success, output) of each run."""
        nth = failed = 1
        while failed:
            success, out, failed = self.run(nth)
            yield success, out
            nth += 1
        print(nth - 2, "allocations failed:", *self.argv[1:])
        assert success and nth > 2


@pytest.mark.long
def test_commands():
    """What is shown is shown whole."""
    with running("C", config="[xenstored]\nlive-update = /bin/true\n") as host:
        guest = host.add_guest(7)
        for i in range(3):
            guest.watch("data", f"token {i}")
        guest.watch("data/none", "stale")
        guest.start()
        control = ("--control", host.run_dir / "control")
        for args in (("watches", 7), ("watches", 7, "--json"), ("transactions", 7),
                     ("watches", "--stale", *control), ("watches", "--stale", "--json", *control),
                     ("check", *control), ("domains", *control), ("domain", 7, "--json", *control),
                     ("xenstored", "replace", "--with", "oxenstored", "--dry-run", *control)):
            command = Failing(host, *args)
            _, expected, _ = command.run(0)
            for success, out in command.each():
                assert not success or out == expected


@pytest.mark.long
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_export(flavour, tmp_path):
    """No file is left of a failure, and the guest goes on."""
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.watch("data", "token")
        guest.wait_watch()
        guest.start()
        path = tmp_path / "stream"
        command = Failing(host, "export", 7, "--resume", "-o", path)
        command.run(0)
        expected = shown(path.read_bytes())
        assert len(expected[0]) > 10 and len(expected[1]) == len(expected[2]) == 1
        path.unlink()
        for success, _ in command.each():
            assert os.listdir(tmp_path) == (["stream"] if success else [])
            if success:
                assert shown(path.read_bytes()) == expected
                path.unlink()
            assert state(host) == "running"
        assert guest.read("domid") == b"7"


@pytest.mark.long
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_import(flavour):
    """All or nothing."""
    with running(flavour) as host:
        ask(host.dom0, HOLD, 7)
        introduce(host, 7)
        before = session(host)
        for success, _ in Failing(host, "import", 7, input=stream(*FRESH)).each():
            if success:
                assert_imported(host)
                reset(host)
            assert session(host) == before


@pytest.mark.long
@pytest.mark.parametrize("corpus, begin, form", [
    ("c_state", b"xenstore", "c"), ("ox_dump", b"$xenstored-dump-format\n", "oxenstored")])
def test_formats(corpus, begin, form, tmp_path):
    """What is shown is shown whole, and no file is left of a failure."""
    octets = begin + (ROOT / "tests/fuzz/corpus" / corpus / "real").read_bytes()
    path = tmp_path / "stream"
    with running("C") as host:
        for args in (("show", "-"), ("show", "--json", "-")):
            command = Failing(host, *args, input=octets)
            _, expected, _ = command.run(0)
            assert expected.count(b"\n") > 10
            for success, out in command.each():
                assert not success or out == expected
        for success, _ in Failing(host, "convert", "-", "--to", form, "-o", path,
                                  input=octets).each():
            assert os.listdir(tmp_path) == (["stream"] if success else [])
            if success:
                assert path.read_bytes() == octets
                path.unlink()


@pytest.mark.long
def test_read_back(tmp_path):
    """As those: what a capture has is shown whole."""
    path = tmp_path / "x.pcapng"
    frames = [frame(kind, 2, b"data\0", number=i) for i in range(1, 9) for kind in (1, 2)]
    pcapng(path, [(octets, len(octets)) for octets in frames])
    with running("C") as host:
        for more in (("--new",), ("--json", "--path", "/local")):
            command = Failing(host, "trace", "-r", path, *more)
            _, expected, _ = command.run(0)
            assert expected.count(b"\n") == 8
            for success, out in command.each():
                assert not success or out == expected


@pytest.mark.long
def test_replay(tmp_path):
    """All is played and said, or it says that it was not."""
    path = tmp_path / "x.pcapng"
    frames = [frame(1, 6, b"\0"), frame(2, 6, b"5\0"), frame(1, 1, b"/x\0", number=2),
              frame(2, 16, b"ENOENT\0", number=2), frame(1, 7, b"F\0", number=3),
              frame(2, 7, b"OK\0", number=3), frame(1, 3, b"/none\0", number=4)]
    frames[4:6] = [octets[:56] + b"\5\0\0\0" + octets[60:] for octets in frames[4:6]]
    pcapng(path, [(octets, len(octets)) for octets in frames])
    with running("C") as host:
        command = Failing(host, "replay", path, "--socket", host.socket)
        _, expected, _ = command.run(0)
        assert expected.endswith(b"\n3 requests played, 0 answered otherwise\n")
        for success, out in command.each():
            assert not success or out == expected


@pytest.mark.long
def test_images(tmp_path):
    """No file is left of a failure, and those that are there are whole."""
    image, records = images.image(images.pages(3)), stream(*FRESH)
    spliced = image[:-8] + records[16:-8] + image[-8:]
    source, new, taken = (tmp_path / name for name in ("source", "new", "taken"))
    source.write_bytes(image)
    with running("C") as host:
        for success, _ in Failing(host, "splice", source, "-", "-o", new, input=records).each():
            assert sorted(os.listdir(tmp_path)) == ["new"] * success + ["source"]
            if success:
                assert new.read_bytes() == spliced
                new.unlink()
        source.write_bytes(spliced)
        for success, _ in Failing(host, "split", source, "--stream", taken, "-o", new).each():
            assert sorted(os.listdir(tmp_path)) == (
                ["new", "source", "taken"] if success else ["source"])
            if success:
                assert new.read_bytes() == image and taken.read_bytes() == records
                new.unlink()
                taken.unlink()
