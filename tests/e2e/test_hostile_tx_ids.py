# SPDX-License-Identifier: MIT
"""The ids of transactions at their end. The C daemon counts a guest's in 32 bits, whatever it
resets, so in a day or two a guest can have any id open, also the one under which xsproxy sends what
is in no transaction. The test moves that counter on in xenstored's memory. (oxenstored counts below
2^30.)"""

import struct

import pytest

from ours import error_of, running, tracked_transactions
from xsclient import READ, TRANSACTION_END, TRANSACTION_START

UNKNOWN = 0xfffffffe  # protocol/message.h: MESSAGE_TX_UNKNOWN
PAIRS = 2000  # so that the counter has a value that is nowhere else


@pytest.fixture(name="host")
def a_host():
    with running("C") as host:
        yield host


def heap_of(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        area = next(line for line in maps if line.rstrip().endswith("[heap]"))
    return [int(x, 16) for x in area.split()[0].split("-")]


def positions(pid, value):
    """Where xenstored has a word in its heap."""
    start, end = heap_of(pid)
    with open(f"/proc/{pid}/mem", "rb") as mem:
        mem.seek(start)
        words = mem.read(end - start)
    needle, at, found = struct.pack("<I", value), -1, set()
    while (at := words.find(needle, at + 1)) >= 0:
        if not at % 4:
            found.add(start + at)
    return found


def pair(guest):
    tx = int(guest.call(TRANSACTION_START, b"\0").payload[:-1])
    guest.call(TRANSACTION_END, b"F\0", tx)
    return tx


def wind_on(host, guest, to):
    """As if the guest had had all transactions below @to."""
    pid = host.daemon.pid
    for _ in range(PAIRS):
        tx = pair(guest)
    found = positions(pid, tx + 1)
    while len(found) > 1:
        found &= positions(pid, pair(guest) + 1)
    assert found, "xenstored's counter is not in its heap"
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as mem:
        mem.seek(found.pop())
        mem.write(struct.pack("<I", to))


def begin(guest):
    return int(guest.call(TRANSACTION_START, b"\0").payload[:-1])


def test_what_is_in_no_transaction(host):
    guest, other = host.add_guest(7), host.add_guest(8)
    wind_on(host, guest, UNKNOWN - 1)
    assert [begin(guest), begin(guest)] == [UNKNOWN - 1, UNKNOWN]
    guest.write("data/x", "inside", tx=UNKNOWN)
    assert error_of(guest.call(READ, b"data/x\0", 12345)) == "ENOENT"
    assert error_of(guest.call(TRANSACTION_END, b"T\0", 12345)) == "ENOENT"
    assert tracked_transactions(host.dom0, 7) == {UNKNOWN - 1, UNKNOWN}
    assert guest.call(READ, b"data/x\0", UNKNOWN).payload == b"inside"
    # Whatever it is in, it ends 4.17 where errno is 0 (docs/security.md).
    guest.watch("data", "t")
    assert error_of(guest.call(READ, b"x", 12345)) == "ENOENT"
    assert error_of(guest.call(READ, b"x", UNKNOWN)) == "EINVAL"
    assert other.call(READ, b"domid\0").payload == b"8"


def test_behind_a_start(host):
    """The id that it will get is not known when the next request is here already."""
    guest = host.add_guest(7)
    wind_on(host, guest, UNKNOWN)
    guest.send(TRANSACTION_START, b"\0")
    guest.send(TRANSACTION_END, b"F\0", 12345)
    assert guest.recv_reply().payload == b"%d\0" % UNKNOWN
    assert error_of(guest.recv_reply()) == "ENOENT"
    assert tracked_transactions(host.dom0, 7) == {UNKNOWN}
    assert error_of(guest.call(READ, b"domid\0", UNKNOWN)) is None
