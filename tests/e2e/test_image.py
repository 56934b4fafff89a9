# SPDX-License-Identifier: MIT
"""`xsproxyctl splice` and `split`: a session inside what `xl save` has written, and out of it."""

import os
import pathlib
import signal
import subprocess

import pytest

import images
from harness import xensim
from hostile import SANITIZED
from migration import CTL, FRESH, node, record, stream, transaction, watch
from relay import wait_until

MEMORY = 96 << 20  # octets of address space; a program without any work to do has 20 MiB
GIANT = (1 << 31) + 5
VERIFY = next(pathlib.Path("/usr/lib").glob("xen-[0-9]*/bin/verify-stream-v2"), None)
STREAM = stream(*FRESH)
IMAGE = images.image(images.pages(3))


def ctl(*args, status=0, **kwargs):
    """What xsproxyctl printed; if it fails, what it said."""
    done = subprocess.run([CTL, *args], capture_output=True, check=False, timeout=xensim.TIMEOUT,
                          **kwargs)
    assert done.returncode == status, done.stderr
    if not status:
        assert not done.stderr
        return done.stdout
    message = done.stderr.decode()
    assert message.startswith(f"xsproxyctl {args[0]}: ") and message.count("\n") == 1
    return message


@pytest.fixture(name="files")
def a_directory(tmp_path, monkeypatch):
    """An image and a stream in the directory that is the current one."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("image").write_bytes(IMAGE)
    pathlib.Path("stream").write_bytes(STREAM)
    return tmp_path


def read(name):
    return pathlib.Path(name).read_bytes()


def spliced(octets=IMAGE, records=STREAM):
    """As it is to be: the records of a stream before END."""
    return octets[:-8] + records[16:-8] + octets[-8:]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("records", [(), (images.pages(1), images.pages(64, 1)),
                                     (record(b"odd", 1), record(b"of the future", 0x13),
                                      record(b"", 0x80000001))])
def test_there_and_back(records):
    """All octets of both come back as they were."""
    octets = images.image(*records)
    pathlib.Path("image").write_bytes(octets)
    assert ctl("splice", "image", "stream", "-o", "new") == b""
    assert read("new") == spliced(octets)
    assert ctl("split", "new", "--stream", "records", "-o", "plain") == b""
    assert read("plain") == octets and read("records") == STREAM
    assert sorted(os.listdir()) == ["image", "new", "plain", "records", "stream"]
    assert all(os.stat(name).st_mode & 0o777 == 0o600 for name in ("new", "plain", "records"))


@pytest.mark.usefixtures("files")
def test_pipes():
    """Standard input and output, in any place where they make sense."""
    new = spliced()
    assert ctl("splice", "-", "stream", input=IMAGE) == new
    assert ctl("splice", "image", "-", "-o", "-", input=STREAM) == new
    assert ctl("split", "-", "--stream", "records", input=new) == IMAGE
    assert read("records") == STREAM
    assert ctl("split", "-", "--stream", "-", "-o", "plain", input=new) == STREAM
    assert read("plain") == IMAGE
    assert ctl("split", "-", "--stream", "-", "-o", "/dev/null", input=new) == STREAM


@pytest.mark.usefixtures("files")
def test_in_its_own_place():
    """The file that is read is replaced when all is written."""
    ctl("splice", "image", "stream", "-o", "image")
    assert read("image") == spliced()
    ctl("split", "image", "--stream", "stream", "-o", "image")
    assert read("image") == IMAGE and read("stream") == STREAM


@pytest.mark.usefixtures("files")
def test_records_anywhere():
    """The proposal has them in any order, and anywhere before END."""
    begin = images.xl_header() + b"LibxlFmt\0\0\0\2\0\0\0\0"
    parts = [images.libxc(images.pages(1)), images.emulator()]
    octets = [node("/a", "x"), watch("w", "t"), transaction(3)]
    new = begin + octets[0] + parts[0] + octets[1] + parts[1] + octets[2] + images.END
    assert ctl("split", "-", "--stream", "records", input=new) == (
        begin + parts[0] + parts[1] + images.END)
    assert read("records") == stream(*octets)


# --- refusals

@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("octets, reason", [
    (b"", "record 0, octet 0: the image ends inside xl's header"),
    (STREAM * 2, "octet 0: xl save did not write it: it has not xl's header"),
    (IMAGE[:-8], f"octet {len(IMAGE) - 8}: the image ends without END of libxl's stream"),
    (IMAGE + b"\0", f"octet {len(IMAGE)}: octets follow END"),
    (images.xl_header(mandatory=1) + bytes(64), "a legacy image, of Xen 4.5 or before"),
    (images.image(record(b"", 0xe)), "libxc's record type 14: checkpoints, of Remus or COLO"),
    (images.begin() + record(b"", 4), "record type 4: checkpoints, of Remus or COLO"),
], ids=range(7))
@pytest.mark.parametrize("command", [("splice", "-", "stream"),
                                     ("split", "-", "--stream", "records")])
def test_no_image(command, octets, reason):
    """A line says where and why; no file is there, and none is changed, by what was begun."""
    pathlib.Path("old").write_text("old")
    pathlib.Path("records").write_text("old")
    message = ctl(*command, "-o", "old", status=1, input=octets)
    assert message.startswith(f"xsproxyctl {command[0]}: standard input is no good image: libxl's ")
    assert reason in message
    assert read("old") == read("records") == b"old"
    assert sorted(os.listdir()) == ["image", "old", "records", "stream"]
    assert reason in ctl(*command, status=1, input=octets)


@pytest.mark.usefixtures("files")
def test_spliced_already():
    pathlib.Path("image").write_bytes(spliced())
    message = ctl("splice", "image", "stream", "-o", "new", status=1)
    assert "image has Xenstore records; take them out first: xsproxyctl split" in message
    assert not os.path.exists("new")


@pytest.mark.usefixtures("files")
def test_nothing_to_split():
    message = ctl("split", "image", "--stream", "records", "-o", "new", status=1)
    assert "image has no Xenstore records; xl restore reads it as it is" in message
    assert not os.path.exists("new") and not os.path.exists("records")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("records, reason", [
    (stream(record(b"\1\0\0\0\1\0\0\0")), "record 1, octet 28: "),
    (stream(transaction(1), transaction(1)), "record 2, octet 32: this transaction was given"),
])
def test_bad_records(records, reason):
    """Neither goes in nor comes out what import would refuse."""
    new = spliced(records=records)
    message = ctl("splice", "image", "-", "-o", "new", status=1, input=records)
    assert f"standard input is no good stream: {reason}" in message
    message = ctl("split", "-", "--stream", "records", "-o", "new", status=1, input=new)
    assert f"the Xenstore records in standard input are no good stream: {reason}" in message
    assert sorted(os.listdir()) == ["image", "stream"]


@pytest.mark.usefixtures("files")
def test_too_many_records():
    limit = str(len(STREAM) - 16 - 8 - 1)
    new = spliced()
    assert "more than" in ctl("split", "-", "--stream", "records", "--max-stream", limit,
                              status=1, input=new)
    assert f"longer than {limit} octets" in ctl("splice", "image", "stream", "--max-stream", limit,
                                                status=1)


@pytest.mark.usefixtures("files")
def test_no_stream_of_one_domain():
    message = ctl("splice", "image", "-", status=1, input=b"$xenstored-dump-format\n")
    assert "standard input is not of one domain; xsproxyctl convert --to libxl" in message


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("args, reason", [
    (("splice",), "IMAGE is missing; see --help"),
    (("splice", "image"), "STREAM is missing; see --help"),
    (("splice", "image", "stream", "more"), "'more' is one argument too many; see --help"),
    (("splice", "-", "-"), "IMAGE and STREAM cannot both be standard input"),
    (("split",), "FILE is missing; see --help"),
    (("split", "image"), "--stream FILE is missing; see --help"),
    (("split", "image", "--stream", "-"), "--output and --stream cannot both be standard output"),
])
def test_command_lines(args, reason):
    assert ctl(*args, status=2) == f"xsproxyctl {args[0]}: {reason}\n"


@pytest.mark.usefixtures("files")
def test_files_that_fail():
    """What is not there, or cannot be written; a full disk leaves nothing behind."""
    assert "cannot open none: No such file" in ctl("splice", "none", "stream", status=1)
    assert "cannot open none: No such file" in ctl("splice", "image", "none", status=1)
    assert "cannot write no/file: " in ctl("splice", "image", "stream", "-o", "no/file", status=1)
    assert "cannot write no/file: " in ctl("split", "image", "--stream", "no/file", "-o", "new",
                                           status=1)
    assert "cannot write /dev/full: " in ctl("splice", "image", "stream", "-o", "/dev/full",
                                             status=1)
    pathlib.Path("image").write_bytes(spliced())
    assert "cannot write /dev/full: " in ctl("split", "image", "--stream", "/dev/full", "-o", "new",
                                             status=1)
    assert sorted(os.listdir()) == ["image", "stream"]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("command", [("splice", "-", "stream"),
                                     ("split", "-", "--stream", "records")])
def test_a_signal(command):
    """Ends the wait for a pipe that says no more."""
    with subprocess.Popen([CTL, *command, "-o", "new"], stdin=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        process.stdin.write(IMAGE[:100])
        process.stdin.flush()
        wait_until(lambda: any(name.startswith("new.") for name in os.listdir()))
        process.send_signal(signal.SIGTERM)
        assert process.wait(xensim.TIMEOUT) == 1
        assert b"cannot read standard input: " in process.stderr.read()
    assert sorted(os.listdir()) == ["image", "stream"]


# --- Xen's own reader

def verified(octets):
    """What verify-stream-v2 says of an image: exit status and text."""
    done = subprocess.run([VERIFY, "-f", "xl", "-v"], input=octets, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={"PYTHONPATH": VERIFY.parent.parent / "lib/python"},
                          timeout=xensim.TIMEOUT)
    return done.returncode, done.stdout.decode()


@pytest.mark.skipif(not VERIFY, reason="Xen's verify-stream-v2 is not here")
@pytest.mark.usefixtures("files")
def test_verified():
    """Xen takes the image, not the one with records of the proposal, and what is left of that."""
    status, text = verified(IMAGE)
    assert not status, text
    ctl("splice", "image", "stream", "-o", "new")
    status, text = verified(read("new"))
    assert status == 1 and "Unrecognised record type 7" in text
    status, text = verified(ctl("split", "new", "--stream", "records"))
    assert not status, text
    assert "Domain Header: x86 HVM from Xen 4.17" in text and "Libxl Record: End" in text


# --- as large as guests are

@pytest.mark.long
@pytest.mark.usefixtures("files")
def test_giant():
    """More than 4 GiB pass through both in memory that has no room for it."""
    images.giant("giant", GIANT, 3)
    assert os.stat("giant").st_size > 6 << 30
    assert os.stat("giant").st_blocks < 1000
    # A sanitizer reserves more than there is of addresses.
    limited = [CTL] if SANITIZED else ["prlimit", f"--as={MEMORY}", CTL]
    with subprocess.Popen([*limited, "splice", "giant", "stream"],
                          stdout=subprocess.PIPE) as one, subprocess.Popen(
                [*limited, "split", "-", "--stream", "records"], stdin=one.stdout,
                stdout=subprocess.PIPE) as two:
        one.stdout.close()
        subprocess.run(["cmp", "-", "giant"], stdin=two.stdout, check=True, timeout=300)
        assert two.wait(xensim.TIMEOUT) == one.wait(xensim.TIMEOUT) == 0
    assert read("records") == STREAM
