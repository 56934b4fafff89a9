# SPDX-License-Identifier: MIT
"""Histories of what clients of Xenstore have asked and seen at the same time, and whether a store
that answers one after the other could have answered so, in the way of Jepsen.

A path that is written, removed and read is a register; each is checked alone. linearization() is
the algorithm of Wing and Gong ("Testing and verifying concurrent objects", 1993), a search for an
order of the operations, with the memory that Lowe has added ("Testing for linearizability", 2017;
knossos has it, too): of a set of operations that are done and the state that they led to, it goes
on once.

What one transaction writes or reads takes effect at some instant from its START to its END's reply,
if that is OK; if it is EAGAIN it has not happened.

When xenstored crashes, what it has done of requests that it had not answered is lost, and done
again later. Who has read in between has seen what is yet to happen: reads for which this is
possible, and only those, are left out of their register (is_excused()).
"""

import collections
import math
import time

from xsclient import XsError

WRITE, RM, READ = "write", "rm", "read"
OK, CONFLICT = "OK", "EAGAIN"
ABSENT = "ENOENT"

# @argument: what is written; @result: OK or CONFLICT, or what was read. @invoked, @responded: ns.
# @tx: which of its client's transactions it is in; 0: none
Op = collections.namedtuple("Op", "client kind path argument result invoked responded tx",
                            defaults=(0,))
Event = collections.namedtuple("Event", "path token arrived")
# From before xenstored was killed to when it was dead.
Crash = collections.namedtuple("Crash", "begun dead")
Verdict = collections.namedtuple("Verdict", "problems reads excused")

now = time.monotonic_ns


# --- what happens

class History:
    """What one client has done and seen."""

    def __init__(self, client):
        self.client = client
        self.ops = []
        self.events = []
        self.watches = {}  # paths by their tokens


class Arrivals:
    """In place of the events that a peer keeps: each is noted when it is taken from the stream."""

    def __init__(self, history):
        self.history = history

    def append(self, event):
        self.history.events.append(Event(event.path, event.token, now()))


class Recorder:
    """A guest or a client of which all is noted."""

    def __init__(self, name, peer):
        self.peer = peer
        self.history = History(name)
        self._transactions = 0
        peer.events = Arrivals(self.history)

    def _ask(self, kind, path, argument, tx=0):
        if kind == READ:
            try:
                return self.peer.read(path, tx).decode()
            except XsError as err:
                if err.name != ABSENT:
                    raise
                return ABSENT
        if kind == WRITE:
            self.peer.write(path, argument, tx)
        else:
            self.peer.rm(path, tx)
        return OK

    def _note(self, *op):
        self.history.ops.append(Op(self.history.client, *op))

    def _single(self, kind, path, argument=None):
        invoked = now()
        result = self._ask(kind, path, argument)
        self._note(kind, path, argument, result, invoked, now())

    def write(self, path, value):
        self._single(WRITE, path, value)

    def rm(self, path):
        self._single(RM, path)

    def read(self, path):
        self._single(READ, path)

    def _end(self, tx):
        try:
            self.peer.end(tx)
        except XsError as err:
            if err.name != CONFLICT:
                raise
            return CONFLICT
        return OK

    def _transaction(self, kind, paths, argument=None):
        """What is read in one that is in conflict says nothing, and is not noted."""
        self._transactions += 1
        invoked = now()
        tx = self.peer.start()
        results = [self._ask(kind, path, argument, tx) for path in paths]
        end = self._end(tx)
        responded = now()
        if end == CONFLICT:
            results = [] if kind == READ else [CONFLICT] * len(paths)
        for path, result in zip(paths, results):
            self._note(kind, path, argument, result, invoked, responded, self._transactions)

    def write_all(self, paths, value):
        self._transaction(WRITE, paths, value)

    def read_all(self, paths):
        self._transaction(READ, paths)

    def watch(self, path, token):
        self.history.watches[token] = path
        self.peer.watch(path, token)


# --- whether it may

def candidates(ops, done):
    """Indices of those not @done (bits) that may come next: none of them has ended before. @ops in
    the order in which they began."""
    end = math.inf
    for index, op in enumerate(ops):
        if done >> index & 1:
            continue
        if op.invoked > end:
            return
        end = min(end, op.responded)
        yield index


def after(op, state):
    """What a register holds, or None if @op cannot be."""
    if op.kind == READ:
        return state if op.result == state else None
    return ABSENT if op.kind == RM else op.argument


def linearization(ops):
    """Whether operations on a register, which is absent at first, can have happened one after the
    other, each between its invocation and its response."""
    ops = sorted(ops, key=lambda op: op.invoked)
    everything = (1 << len(ops)) - 1
    waiting = [(0, ABSENT)]
    seen = set(waiting)
    while waiting:
        done, state = waiting.pop()
        if done == everything:
            return True
        # The one that began first is tried first: taken last.
        for index in reversed(list(candidates(ops, done))):
            found = done | 1 << index, after(ops[index], state)
            if found[1] is not None and found not in seen:
                seen.add(found)
                waiting.append(found)
    return False


def pending(ops, crashes):
    """What changes that were under way at a crash have led to, and may have led to before: by path
    and value, [(change, crash)]."""
    found = collections.defaultdict(list)
    for op in ops:
        if op.kind == READ:
            continue
        for crash in crashes:
            if op.invoked < crash.dead and op.responded > crash.begun:
                found[op.path, after(op, None)].append((op, crash))
    return found


def is_excused(read, lost):
    """Whether it may have been answered by a daemon that had done what was lost with it: it was
    asked before that one was dead, and answered after the change was asked for."""
    return any(read.invoked < crash.dead and read.responded > op.invoked
               for op, crash in lost.get((read.path, read.result), ()))


def text_of(ops, crashes=()):
    """A register's history, for whoever looks why it is wrong."""
    first = min(op.invoked for op in ops)
    last = max(op.responded for op in ops)
    lines = [(op.invoked, op.responded, op.client, op.kind, op.argument or "", op.result,
              op.tx or "") for op in ops]
    lines += [(*crash, "CRASH") for crash in crashes
              if first < crash.dead and crash.begun < last]
    return "\n".join(f"{(begun - first) / 1e3:12.1f} {(end - first) / 1e3:12.1f} "
                     + " ".join(map(str, words)) for begun, end, *words in sorted(lines))


def wrong_registers(ops, lost, crashes):
    """Those of which the answers cannot be. @ops: of all"""
    registers = collections.defaultdict(list)
    for op in ops:
        registers[op.path].append(op)
    for path, mine in sorted(registers.items()):
        counts = [op for op in mine if op.result != CONFLICT
                  and not (op.kind == READ and is_excused(op, lost))]
        if not linearization(counts):
            yield f"{path} is not linearizable, µs:\n{text_of(mine, crashes)}"


def torn_transactions(ops):
    """Reads of one transaction that differ: of what transactions write together, it saw a part."""
    transactions = collections.defaultdict(list)
    for op in ops:
        if op.tx and op.kind == READ:
            transactions[op.client, op.tx].append(op)
    for reads in transactions.values():
        if len({op.result for op in reads}) > 1:
            yield f"a transaction was seen in part:\n{text_of(reads)}"


def concerns(watched, path):
    return path == watched or path.startswith(watched + "/")


def last_writes(ops):
    """By path, the WRITE that was asked for last."""
    last = {}
    for op in ops:
        if (op.kind == WRITE and op.result == OK
                and (op.path not in last or op.invoked > last[op.path].invoked)):
            last[op.path] = op
    return last


def arrivals(history):
    """By path and token, when an event came last."""
    return {(event.path, event.token): event.arrived for event in history.events}


def missing_events(history, ops):
    """Of each path that is watched, one has come after its last WRITE began: for the path itself,
    or for the one that was watched, which is a watch's first event."""
    came, last = arrivals(history), last_writes(ops)
    for token, watched in history.watches.items():
        first = came.get((watched, token), 0)
        for path, write in last.items():
            came_last = max(first, came.get((path, token), 0))
            if concerns(watched, path) and came_last <= write.invoked:
                yield (f"{history.client} has {token} on {watched}, and no event of {path} after"
                       f" {write}")


def odd_events(history):
    """Those that belong to no watch."""
    for event in history.events:
        watched = history.watches.get(event.token)
        if watched is None or not concerns(watched, event.path):
            yield f"{history.client} has no such watch: {event}"


def check(histories, crashes=()):
    """All of it, once all is quiet. Return: a Verdict: what is wrong, and how many of the reads say
    nothing."""
    ops = [op for history in histories for op in history.ops]
    lost = pending(ops, crashes)
    reads = [op for op in ops if op.kind == READ]
    problems = [*wrong_registers(ops, lost, crashes), *torn_transactions(ops)]
    for history in histories:
        problems += [*missing_events(history, ops), *odd_events(history)]
    return Verdict(problems, len(reads), sum(is_excused(op, lost) for op in reads))
