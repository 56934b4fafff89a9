# SPDX-License-Identifier: MIT
"""What finds faults in histories (history.py) does find them, and only them."""

import pytest

from history import (ABSENT, CONFLICT, OK, READ, RM, WRITE, Crash, Event, History, Op, check,
                     linearization)

X, A, B = "/top/x", "/top/a", "/top/b"


def write(value, invoked, responded, path=X, result=OK, tx=0):
    return Op("w", WRITE, path, value, result, invoked, responded, tx)


def rm(invoked, responded):
    return Op("w", RM, X, None, OK, invoked, responded)


def read(value, invoked, responded, path=X, tx=0):
    return Op("r", READ, path, None, value, invoked, responded, tx)


def history_of(*ops, watches=None, events=()):
    history = History("one")
    history.ops += ops
    history.watches |= watches or {}
    history.events += events
    return history


def problems(*ops, crashes=(), **kwargs):
    return check([history_of(*ops, **kwargs)], crashes).problems


LINEARIZABLE = {
    "nothing": [],
    "absent at first": [read(ABSENT, 1, 2)],
    "one after the other": [write("1", 1, 2), read("1", 3, 4), rm(5, 6), read(ABSENT, 7, 8)],
    "removed, and there was nothing": [rm(1, 2), read(ABSENT, 3, 4), write("1", 5, 6)],
    "not yet": [write("1", 1, 9), read(ABSENT, 2, 3)],
    "already": [write("1", 1, 9), read("1", 2, 3), read("1", 4, 5)],
    "in either order": [write("1", 1, 9), write("2", 2, 8), read("2", 3, 4), read("1", 10, 11)],
    "in the other order": [write("1", 1, 9), write("2", 2, 8), read("1", 3, 4), read("2", 10, 11)],
    "at the same instant": [write("1", 1, 2), read(ABSENT, 2, 3)],
    "a removal between": [write("1", 1, 2), rm(3, 9), write("2", 4, 8), read(ABSENT, 5, 6),
                          read("2", 10, 11)],
}

NOT_LINEARIZABLE = {
    "from nowhere": [read("1", 1, 2)],
    "before it was written": [read("1", 1, 2), write("1", 3, 4)],
    "an acknowledged write is lost": [write("1", 1, 2), read(ABSENT, 3, 4)],
    "it is lost later": [write("1", 1, 2), write("2", 3, 4), read("2", 5, 6), read("1", 7, 8)],
    "stale": [write("1", 1, 2), write("2", 3, 4), read("1", 5, 6)],
    "stale after somebody has seen it": [write("1", 1, 2), write("2", 3, 20), read("2", 4, 5),
                                         read("1", 6, 7)],
    "written twice": [write("1", 1, 5), write("2", 2, 6), read("1", 7, 8), read("2", 9, 10),
                      read("1", 11, 12)],
    "written twice, meanwhile": [write("1", 1, 20), read("1", 2, 3), write("2", 4, 5),
                                 read("2", 6, 7), read("1", 8, 9)],
    "a removal is lost": [write("1", 1, 2), rm(3, 4), read("1", 5, 6)],
    "removed twice": [write("1", 1, 2), rm(3, 20), read(ABSENT, 4, 5), write("2", 6, 7),
                      read(ABSENT, 8, 9)],
}


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_accepted(name):
    assert linearization(LINEARIZABLE[name])
    assert not problems(*LINEARIZABLE[name])


@pytest.mark.parametrize("name", NOT_LINEARIZABLE)
def test_rejected(name):
    assert not linearization(NOT_LINEARIZABLE[name])
    assert len(problems(*NOT_LINEARIZABLE[name])) == 1


def test_the_order_in_which_they_are_noted_says_nothing():
    for ops in LINEARIZABLE.values():
        assert linearization(ops[::-1])
    for ops in NOT_LINEARIZABLE.values():
        assert not linearization(ops[::-1])


@pytest.mark.parametrize("end, possible", [("n7", True), (ABSENT, False)])
def test_many_at_the_same_time(end, possible):
    """A search that did not remember where it has been would take 12! steps."""
    ops = [write(f"n{i}", 1 + i, 100) for i in range(12)]
    assert linearization([*ops, read(end, 101, 102)]) == possible


def test_registers_are_of_no_concern_to_each_other():
    assert not problems(write("1", 1, 2), read(ABSENT, 3, 4, path=A))


# --- a crash

def test_a_read_of_what_was_lost():
    """The write was not answered yet; and a read that is as possible without the crash is one."""
    ops = [write("1", 1, 2), write("2", 3, 20), read("2", 4, 5), read("1", 12, 13),
           read("2", 21, 22)]
    verdict = check([history_of(*ops)], [Crash(6, 11)])
    assert verdict == ([], 3, 1)
    assert problems(*ops)


@pytest.mark.parametrize("ops", [
    [write("1", 1, 2), write("2", 3, 5), read("2", 6, 7), read("1", 12, 13)],
    [write("1", 1, 2), write("2", 3, 20), read("2", 12, 13), read("1", 14, 15)],
    [write("1", 1, 2), write("2", 12, 20), read("2", 13, 14), read("1", 15, 16)],
    [write("1", 1, 2), write("2", 3, 4), rm(5, 20), read("1", 6, 7)],
    [write("1", 1, 2), read(ABSENT, 3, 4), rm(5, 20)],
], ids=["it was answered", "read later", "written later", "another value",
        "removed later"])
def test_what_a_crash_does_not_excuse(ops):
    assert len(problems(*ops, crashes=[Crash(8, 11)])) == 1


def test_a_removal_that_was_lost():
    ops = [read(ABSENT, 1, 2), write("1", 3, 4), rm(5, 20), read(ABSENT, 6, 7), read("1", 12, 13)]
    assert check([history_of(*ops)], [Crash(8, 11)]) == ([], 3, 1)


def test_written_twice_across_a_crash():
    """What was asked again happens before it is answered, and never again."""
    ops = [write("1", 1, 12), write("2", 13, 14), read("2", 15, 16)]
    assert not problems(*ops, crashes=[Crash(6, 11)])
    assert problems(*ops, read("1", 17, 18), crashes=[Crash(6, 11)])


# --- transactions

def both(value, result=OK, invoked=1, responded=4):
    return [write(value, invoked, responded, path, result, tx=1) for path in (A, B)]


def seen(a, b, invoked=5, responded=8):
    return [read(a, invoked, responded, A, tx=2), read(b, invoked, responded, B, tx=2)]


def test_a_whole_transaction():
    assert not problems(*both("1"), *seen("1", "1"))
    assert not problems(*both("1", responded=9), *seen(ABSENT, ABSENT))


@pytest.mark.parametrize("a, b", [("1", ABSENT), (ABSENT, "1")])
def test_half_a_transaction(a, b):
    found = problems(*both("1", responded=9), *seen(a, b))
    assert len(found) == 1 and "in part" in found[0]


def test_a_transaction_that_has_not_happened():
    assert not problems(*both("1", CONFLICT), *seen(ABSENT, ABSENT))
    assert problems(*both("1", CONFLICT), *seen("1", "1"))
    assert problems(*both("1", CONFLICT, responded=9), *seen("1", "1"))


def test_one_that_has_not_happened_after_all():
    """Its END was answered by another daemon than the one that has done it."""
    ops = [*both("1", CONFLICT, responded=20), *seen("1", "1")]
    assert check([history_of(*ops)], [Crash(9, 10)]) == ([], 2, 2)


def test_a_transaction_that_is_lost():
    assert problems(*both("1"), *seen(ABSENT, ABSENT))


# --- events

WATCHES = {"on x": X, "on top": "/top"}
CAME = Event(X, "on x", 5), Event(X, "on top", 5)


def test_events():
    assert not problems(write("1", 1, 6), watches=WATCHES, events=CAME)
    assert not problems(write("1", 4, 6), watches=WATCHES, events=CAME)


def test_a_first_event():
    came = [Event(X, "on x", 9), Event("/top", "on top", 9)]
    assert not problems(write("1", 6, 8), watches=WATCHES, events=came)


@pytest.mark.parametrize("missing", range(2))
def test_a_missing_event(missing):
    found = problems(write("1", 1, 6), watches=WATCHES, events=CAME[:missing] + CAME[missing + 1:])
    assert len(found) == 1 and "no event" in found[0]


def test_no_event_of_the_last_write():
    assert len(problems(write("1", 1, 6), write("2", 7, 8), watches=WATCHES, events=CAME)) == 2


def test_an_event_of_something_else():
    events = [Event(A, "on top", 5)]
    assert problems(write("1", 1, 6), watches={"on top": "/top"}, events=events)


@pytest.mark.parametrize("event", [Event(X, "odd", 9), Event("/topping", "on top", 9)])
def test_an_event_of_no_watch(event):
    found = problems(watches=WATCHES, events=[event])
    assert len(found) == 1 and "no such watch" in found[0]
