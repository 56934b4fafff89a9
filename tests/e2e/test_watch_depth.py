# SPDX-License-Identifier: MIT
"""What xsproxyctl says of a watch with a depth, which only a xenstored of 4.22 takes: one is played
here. It takes whatever begins with a number, so the rest is the guest's to choose."""

import json
import socket
import subprocess
import threading

import pytest

import xensim
from migration import CTL
from ours import GET_DOMAIN_STATE, GET_DOMAIN_TRANSACTIONS, GET_DOMAIN_WATCHES
from relay import packet, split
from xsclient import DIRECTORY, GET_PERMS, TRANSACTION_START, join

ESCAPE = b"1\x1b]0;x\x07\xff"
GENERATION = "5"
ANSWERS = {DIRECTORY: b"", GET_PERMS: b"n7\0", TRANSACTION_START: b"1\0",
           GET_DOMAIN_STATE: b"quiesced\0", GET_DOMAIN_TRANSACTIONS: b""}


@pytest.fixture
def path(tmp_path):
    """A socket whose domain 7 has one node and one watch."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener.accept,))
        thread.start()
        yield tmp_path / "socket"
        thread.join()


def serve(accept):
    conn = accept()[0]
    asked = b""
    with conn:
        while data := conn.recv(65536):
            messages, asked = split(asked + data)
            for msg in messages:
                reply = ANSWERS.get(msg.type, b"OK\0")
                if msg.payload.endswith(b"\0why\0"):
                    reply += b"\0"
                if msg.type == GET_DOMAIN_WATCHES:
                    reply = join(GENERATION)
                    if msg.payload.split(b"\0")[1] == b"0":
                        reply += join("", ESCAPE, "data", "token")
                conn.sendall(packet(msg.type, reply, msg.req_id, msg.tx_id))


def ctl(path, *words):
    return subprocess.run([CTL, *words, "7", "--socket", path], check=False, capture_output=True,
                          timeout=xensim.TIMEOUT)


def watches(path, *options):
    done = ctl(path, "watches", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_as_text(path):
    assert watches(path).splitlines()[1] == rb"data  token  depth 1\x1b]0;x\x07\xff"


def test_as_json(path):
    assert json.loads(watches(path, "--json"))["watches"] == [
        {"path": "data", "token": "token", "depth": "1\x1b]0;x\x07\\xff"}]


def test_is_left_out_of_a_stream(path, tmp_path):
    """The watch is exported without its depth, unless that is forbidden."""
    done = ctl(path, "export", "-o", tmp_path / "stream", "--report", tmp_path / "list")
    assert done.returncode == 0, done.stderr
    assert done.stderr == (rb"xsproxyctl export: left out: data: depth of a watch "
                           rb"1\x1b]0;x\x07\xff: "
                           b"a stream cannot express it; the watch is exported without\n")
    assert json.loads((tmp_path / "list").read_text())["left_out"]["detail"] == (
        "1\x1b]0;x\x07\\xff")
    assert b'"data"' in subprocess.run([CTL, "show", "--json", tmp_path / "stream"], check=True,
                                       capture_output=True).stdout


def test_strict(path, tmp_path):
    done = ctl(path, "export", "-o", tmp_path / "stream", "--strict")
    assert done.returncode == 1 and not (tmp_path / "stream").exists()
