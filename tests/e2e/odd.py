# SPDX-License-Identifier: MIT
"""A generator of requests of every type that no sane client sends: tails behind the last string,
missing NULs, further strings, nothing at all, odd numbers and permissions, and the sizes at which
something ends. What it makes depends on its seed and on the transactions that it is told of."""

import random

from relay import packet
from xsclient import (CONTROL, DIRECTORY, DIRECTORY_PART, ERROR, GET_DOMAIN_PATH, GET_PERMS,
                      INTRODUCE, IS_DOMAIN_INTRODUCED, MKDIR, READ, RELEASE, RESET_WATCHES, RESUME,
                      RM, SET_PERMS, SET_TARGET, TRANSACTION_END, TRANSACTION_START, UNWATCH, WATCH,
                      WATCH_EVENT, WRITE)

# How often each; those that change what is tracked come most.
TYPES = {WATCH: 30, UNWATCH: 30, TRANSACTION_START: 8, TRANSACTION_END: 16, RESET_WATCHES: 1,
         READ: 6, DIRECTORY: 4, DIRECTORY_PART: 3, GET_PERMS: 3, GET_DOMAIN_PATH: 3, WRITE: 3,
         MKDIR: 2, RM: 2, SET_PERMS: 3, CONTROL: 1, INTRODUCE: 1, RELEASE: 1, WATCH_EVENT: 1,
         ERROR: 1, IS_DOMAIN_INTRODUCED: 1, RESUME: 1, SET_TARGET: 1, 20: 1, 23: 1, 0xFFFF: 1}
ONE_STRING = (READ, DIRECTORY, GET_PERMS, MKDIR, RM, GET_DOMAIN_PATH)

PATHS = ("data", "data/a", "data/a/b", "/local/domain/7/data", "/local/domain/7/data/a", "device",
         "@releaseDomain", "@x", "/", "/tool", "nowhere/at/all", "data/", "data//a", "d\x80", "")
# Nodes that may come and go.
OWN = ("data/a", "data/a/b", "data/x", "/local/domain/7/data/a", "data/", "data//a", "")
TOKENS = ("t", "T", "u", "", "\x01\xff", "t" * 40, "l" * 1000, "l" * 4050)
NUMBERS = ("7", "8", "9", "007", "0x7", "0X8", "0o7", "0b111", "0u7", "1_0", "+7", " 7", "7 ", "7x",
           "-7", "x", "", "4294967303", "18446744073709551623", "65543", "32752")
PERMS = ("n7", "r0", "b8", "w7", "r-1", "r65536", "r0x7", "n007", "r", "7", "q7", "r7 ", " r7", "",
         "n4294967303", "rr7", "r1_0")
# Where a request or its payload is as large as a ring, a WATCH that can be listed, a message.
SIZES = (1007, 1008, 1009, 1024, 4063, 4064, 4065, 4080, 4095, 4096)


def is_string(payload):
    return payload.count(b"\0") == 1 and payload.endswith(b"\0")


class Odd:
    """Requests: one(ids) is a type, a payload and a transaction, the latter one of @ids or others.

    pairs: all (path, token) that a WATCH of it can have been about, as spelt
    present: those of them that an UNWATCH is likely to be about
    avoid(type, payload): whether a request must not be made
    """

    def __init__(self, seed, avoid=lambda type_, payload: False):
        self.rng = random.Random(seed)
        self.pairs = set()
        self.present = []
        self._avoid = avoid

    def one(self, ids=()):
        while True:
            type_ = self.rng.choices(list(TYPES), TYPES.values())[0]
            payload = self._spoil(self._strings(type_))
            if not self._avoid(type_, payload):
                break
        if type_ == WATCH and payload.count(b"\0") >= 2:
            self.pairs.add(tuple(payload.split(b"\0")[:2]))
        return type_, payload, self._tx(type_, ids)

    def octets(self, count, ids=()):
        """Requests with the ids 0, 1, ... as they go into a ring, and their types."""
        requests = [self.one(ids) for _ in range(count)]
        return (b"".join(packet(type_, payload, i, tx)
                         for i, (type_, payload, tx) in enumerate(requests)),
                [type_ for type_, _, _ in requests])

    def _tx(self, type_, ids):
        some = sorted(ids) or [0]
        if type_ == TRANSACTION_END:
            return self.rng.choice(some + [0, 4711])
        return self.rng.choice([0, 0, 0, self.rng.choice(some), 4711])

    def _strings(self, type_):
        """What a request of the type is made of."""
        pick = self.rng.choice
        if type_ == UNWATCH and self.present and pick((True, True, False)):
            return [text.decode("latin-1") for text in pick(self.present)]
        if type_ in (WATCH, UNWATCH):
            return [pick(PATHS), pick(TOKENS)] + pick(([], [], [], [pick(("0", "1", "-1", "x"))]))
        if type_ in (MKDIR, RM, WRITE, SET_PERMS):
            more = {WRITE: [pick(TOKENS)], SET_PERMS: self.rng.choices(PERMS, k=pick((1, 2, 7)))}
            return [pick(OWN)] + more.get(type_, [])
        if type_ == TRANSACTION_END:
            return [pick(("T", "F", "TT", "t", ""))]
        if type_ in (RELEASE, RESUME, IS_DOMAIN_INTRODUCED, GET_DOMAIN_PATH):
            return [pick(NUMBERS)]
        if type_ in (INTRODUCE, SET_TARGET):
            return self.rng.choices(NUMBERS, k=3 if type_ == INTRODUCE else 2)
        if type_ == CONTROL:
            return [pick(("print", "help", "watches")), pick(NUMBERS)]
        if type_ == DIRECTORY_PART:
            return [pick(PATHS), pick(NUMBERS)]
        return [pick(PATHS)]

    def _spoil(self, strings):
        payload = b"".join(text.encode("latin-1") + b"\0" for text in strings)
        tail = bytes(self.rng.choice((0, 0, 0x6A, 0x80)) for _ in range(8))
        kind = self.rng.choice(("good", "good", "good", "good", "tail", "tail", "size", "no end",
                                "no NUL", "more", "none", "any", "double"))
        if kind == "tail":
            payload += b"j" * self.rng.choice((1, 2, 100, 1000, 4096 - len(payload)))
        elif kind == "size":
            payload += b"j" * max(0, self.rng.choice(SIZES) - len(payload))
        elif kind == "no end":
            payload = payload[:-1]
        elif kind == "no NUL":
            payload = payload.replace(b"\0", b"", 1)
        elif kind == "more":
            payload += self.rng.choice((b"1\0", b"\0", b"data\0t\0", b"1\0junk"))
        elif kind == "none":
            payload = b""
        elif kind == "any":
            payload = tail[:self.rng.randint(1, 8)]
        elif kind == "double":
            payload += payload
        return payload[:4096]
