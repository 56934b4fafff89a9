# SPDX-License-Identifier: MIT
"""Requests that no sane guest sends: unknown types and our private ones, no payload at all, NULs
missing, octets that are no text, in every combination at once. The answers are those that xenstored
gives without us, but for our own types; the administrator's tools show all of it safely; another
guest works through it."""

import itertools
import json
import re
import struct
import subprocess

import pytest

from hostile import OFFENDER, ctl, domain, refused, scene
from ours import OURS, error_of
from relay import FLAVOURS, RING, Tape, packet, same, wait_until
from xsclient import (ERROR, READ, RM, SET_PERMS, TRANSACTION_END, UNWATCH, WATCH, WATCH_EVENT,
                      WRITE)
from xensim import BUILD, TIMEOUT

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

UNKNOWN = (20, 23, 24, 25, 26, 127, 128, 255, 0xFF, OURS[-1] + 1, 0x1FF, 0x10000,
           2**31 - 1, 2**31, 2**32 - 1)
# Valid UTF-8 beyond ASCII, overlong, truncated, surrogates, controls, an escape sequence, a format.
TEXTS = (b"\xc3\xa4", b"\xc0\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xff\xfe", b"\x80", b"\x01\x1f",
         b"\x1b[2J\x1b]0;x\x07", b"%s%n%99999d", b"\"\\\n\r\t'", b"\xf0\x9f\x92\xa9", b" ", b"\x7f",
         b"\xf4\x90\x80\x80")


def test_unknown_types(flavour):
    """With every payload, and in a transaction."""
    def scenario(host):
        tape = Tape(host.add_guest(OFFENDER))
        tx = tape.start()
        for type_, payload, tx_id in itertools.product(
                UNKNOWN, (b"\0", b"x", b"data\0", b"7\0", b"\xff" * 4096), (0, tx, 99)):
            tape.call(type_, payload=payload, tx=tx_id)
        return tape.messages

    same(flavour, scenario)


@pytest.mark.parametrize("payload", [b"", b"\0", b"7\0", b"8\0", b"0\0", b"7\0data\0t\0",
                                     b"8\x000\0", b"8\0001\0", b"\xff" * 4096])
def test_our_types_from_a_guest(flavour, payload):
    """EACCES to every one, whatever it says, in order with the requests around it; natively they
    are unknown. Nothing happens to the domain that they name."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        host.add_guest(8)
        for i, type_ in enumerate(OURS):
            guest.send_raw(packet(READ, b"name\0", 10) + packet(type_, payload, 20 + i) +
                           packet(READ, b"name\0", 30))
            got = [guest.recv_reply() for _ in range(3)]
            assert [msg.req_id for msg in got] == [10, 20 + i, 30]
            assert error_of(got[1]) == "EACCES"
            assert got[0].payload == got[2].payload == b"guest-7"
        assert domain(host, 8)["state"] == domain(host)["state"] == "running"
        assert domain(host, 8)["watches"] == domain(host, 8)["transactions"] == 0
        assert refused(host, "QUIESCE", "EACCES") == 1
        assert sum(kind["count"] for kind in domain(host)["refusals"]) == len(OURS)
        assert re.search(r"QUIESCE( of \S+)? was refused with EACCES", host.proxy.text())


def test_no_payload(flavour):
    """Headers only, of every type, pipelined; a last whole request shows that all were seen."""
    types = [type_ for type_ in (*range(23), 99, 2**32 - 1) if type_ != RM]

    def scenario(host):
        tape = Tape(host.add_guest(OFFENDER))
        tape.peer.send_raw(b"".join(packet(type_, b"", i) for i, type_ in enumerate(types)) +
                           packet(READ, b"name\0", 99))
        while tape.recv().req_id != 99:
            pass
        # The C daemon's errno of a malformed request is whatever it was before.
        return [msg._replace(payload=b"?") if flavour == "C" and msg.type == ERROR else msg
                for msg in tape.messages]

    got = same(flavour, scenario)
    assert [msg.req_id for msg in got] == [*range(len(types)), 99]


NOT_STRINGS = (b"data", b"data\0t", b"data\0t\0u", b"d" * 4064, b"data\0" + b"t" * 4059, b"t\0")


def test_missing_nuls(flavour):
    """Of those requests that take several strings (for the others see test_relay_requests.py; a
    longer WATCH is refused, docs/protocol.md)."""
    def scenario(host):
        tape = Tape(host.add_guest(OFFENDER))
        for type_, payload in itertools.product(
                (WATCH, UNWATCH, WRITE, SET_PERMS, TRANSACTION_END), NOT_STRINGS):
            reply = tape.call(type_, payload=payload)
            # It comes from xenstored, and what we refuse next does not.
            if type_ == reply.type == WATCH:
                tape.event("data")
        return tape.messages

    same(flavour, scenario)


def test_missing_nuls_of_rm(flavour):
    """RM's own test, for natively the C daemon answers with what errno happens to be
    (docs/security.md): there only the path that it can read is compared."""
    def scenario(host):
        tape = Tape(host.add_guest(OFFENDER))
        for payload in NOT_STRINGS:
            if flavour == "O" or payload.find(b"\0") == len(payload) - 1:
                tape.call(RM, payload=payload)
        return tape.messages

    same(flavour, scenario)
    if flavour == "C":
        with scene(flavour) as host:
            guest = host.add_guest(OFFENDER)
            for payload in NOT_STRINGS[:-1]:
                assert error_of(guest.call(RM, payload=payload)) == "EINVAL"


def test_octets_that_are_no_text(flavour):
    """As path, token, value and permission: the same answers and events as natively."""
    def scenario(host):
        tape = Tape(host.add_guest(OFFENDER))
        for text in TEXTS:
            tape.call(WATCH, text, b"t")
            tape.ok(WATCH, b"data", text)
            tape.ok(WRITE, payload=b"data/v\0" + text + b"\0" + text)
            tape.ok(READ, b"data/v")
            tape.call(WRITE, payload=b"data/" + text + b"\0v")
            tape.call(SET_PERMS, b"data/v", text)
            tape.ok(WATCH, b"data/v", text)
            tape.call(TRANSACTION_END, text)
            tape.call(99, text)
        return sorted(tape.messages)

    got = same(flavour, scenario)
    events = [msg.payload for msg in got if msg.type == WATCH_EVENT]
    assert {b"data/v\0" + text + b"\0" for text in TEXTS} <= set(events)


def test_tools_show_any_token(flavour):
    """What `xsproxyctl` and the stock tool print of such tokens is printable, as text and as JSON,
    and names each of them; export takes them as they are."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        for text in TEXTS:
            guest.watch("data", text)
        text = ctl(host, "watches", OFFENDER)
        assert text.isascii() and all(char.isprintable() or char in "\n" for char in text)
        assert text.count("data") >= len(TEXTS)
        for escaped in (r"\x1b[2J", r"\xff\xfe", r"\xc0\x80", r"\x7f"):
            assert escaped in text
        assert len(json.loads(ctl(host, "watches", OFFENDER, "--json"))["watches"]) == \
            len(TEXTS)
        answer = host.dom0.control("get-domain-watches", OFFENDER)
        assert answer.isascii() and r"\x1b[2J" in answer
        done = subprocess.run(
            [BUILD / "xsproxyctl", "export", str(OFFENDER), "--resume", "--socket", host.socket],
            capture_output=True, timeout=TIMEOUT, check=True)
        for text in TEXTS:
            assert b"data" + struct.pack("<I", len(text)) + text in done.stdout


def test_garbage(flavour):
    """Octets that are no messages at all. Sooner or later a length is beyond 4096: the end."""
    with scene(flavour) as host:
        for domid, octet in enumerate((0x11, 0x7f, 0x80, 0xff), OFFENDER):
            guest = host.add_guest(domid)
            guest.push(bytes([octet]) * RING)
            assert wait_until(lambda guest=guest: guest.error) == 3
            assert domain(host, domid)["state"] == "ended"
