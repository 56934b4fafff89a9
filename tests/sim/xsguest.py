# SPDX-License-Identifier: MIT
"""A guest of a simulated machine, for tests: the flat C API of guest.h through ctypes.

A wait blocks in poll(2) on the guest's event channel, never in a loop, and raises
xsclient.Timeout. One thread at a time per Guest.
"""

import collections
import contextlib
import ctypes
import errno
import os
import pathlib

import xsclient
from xsclient import Message, Timeout

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("XSPROXY_BUILD", ROOT / "build"))

NOTIFY_LINUX, NOTIFY_ALWAYS, NOTIFY_NEVER = range(3)
FIELDS = ("req_cons", "req_prod", "rsp_cons", "rsp_prod", "server_features", "connection", "error")
PAGE_SIZE = 4096
RING_SIZE = 1024
REQ_RING, RSP_RING = 0, RING_SIZE  # offsets in the page
_OFFSETS = {name: 2 * RING_SIZE + 4 * i for i, name in enumerate(FIELDS)}


class _Msg(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_uint32),
        ("req_id", ctypes.c_uint32),
        ("tx_id", ctypes.c_uint32),
        ("len", ctypes.c_uint32),
        ("payload", ctypes.c_char * 4097),
    ]

    def message(self):
        offset = _Msg.payload.offset
        payload = ctypes.string_at(ctypes.addressof(self) + offset, self.len)
        return Message(self.type, self.req_id, self.tx_id, payload)


class _Blow(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint32), ("value", ctypes.c_uint32), ("step", ctypes.c_uint32)]


def _load():
    lib = ctypes.CDLL(str(BUILD / "libxsguest.so"))
    ptr, u32, cint, buf = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_char_p
    msg = ctypes.POINTER(_Msg)
    for name, result, *args in (
        ("open", cint, buf, u32, ctypes.POINTER(ptr)),
        ("close", None, ptr),
        ("stop", None, ptr),
        ("start", cint, ptr),
        ("fd", cint, ptr),
        ("set_notify", None, ptr, cint),
        ("notify", cint, ptr),
        ("set_nudge", None, ptr, cint),
        ("wait_event", cint, ptr, cint),
        ("page_read", cint, ptr, u32, buf, u32),
        ("page_write", cint, ptr, u32, buf, u32),
        ("get", u32, ptr, cint),
        ("set", None, ptr, cint, u32),
        ("push", cint, ptr, buf, u32),
        ("pull", cint, ptr, buf, u32),
        ("send", cint, ptr, buf, u32, cint),
        ("send_request", cint, ptr, u32, u32, u32, buf, u32, cint),
        ("recv", cint, ptr, msg, cint),
        ("reconnect", cint, ptr, cint),
        ("hammer_start", cint, ptr, ctypes.POINTER(_Blow), u32, u32, ctypes.POINTER(ptr)),
        ("hammer_stop", ctypes.c_uint64, ptr),
    ):
        function = getattr(lib, "xsguest_" + name)
        function.restype = result
        function.argtypes = args
    return lib


_LIB = None


def _lib():
    global _LIB
    if _LIB is None:
        _LIB = _load()
    return _LIB


class Guest(xsclient.Requests, xsclient.Closing):
    """Domain @domid of the machine in @directory; 0 is the dom0 kernel.

    Fields of the page (FIELDS) are attributes that can be read and set: guest.req_prod.
    """

    def __init__(self, directory, domid, timeout=xsclient.TIMEOUT, nudge=0):
        """@nudge: how often it sends an event while it waits for one (guest.h), in s; 0: never"""
        self.domid = domid
        self.timeout = timeout
        self.events = collections.deque()
        self._id = 0
        self._guest = None
        guest = ctypes.c_void_p()
        rc = _lib().xsguest_open(os.fsencode(directory), domid, ctypes.byref(guest))
        self._check(rc, f"domain {domid}")
        self._guest = guest
        _lib().xsguest_set_nudge(guest, int(nudge * 1000))

    def __del__(self):
        self.close()

    def close(self):
        guest, self._guest = getattr(self, "_guest", None), None
        if guest:
            _lib().xsguest_close(guest)

    @staticmethod
    def _check(rc, what):
        if rc == -errno.ETIMEDOUT:
            raise Timeout(what)
        if rc < 0:
            raise OSError(-rc, f"{what}: {os.strerror(-rc)}")
        return rc

    def _ms(self, timeout):
        return int((self.timeout if timeout is None else timeout) * 1000)

    # The processor and its event channel.

    def halt(self):
        """The guest's CPU goes away; page and port stay as they are, events stay pending."""
        _lib().xsguest_stop(self._guest)

    def run(self):
        """It is back."""
        self._check(_lib().xsguest_start(self._guest), "run")

    def fileno(self):
        return self._check(_lib().xsguest_fd(self._guest), "fd")

    def set_notify(self, mode):
        _lib().xsguest_set_notify(self._guest, mode)

    def notify(self):
        self._check(_lib().xsguest_notify(self._guest), "notify")

    def wait_event(self, timeout=None):
        """Wait for an event on the channel and take it."""
        self._check(_lib().xsguest_wait_event(self._guest, self._ms(timeout)), "no event")

    # The page.

    def page(self):
        """A snapshot of the whole page."""
        return self.page_read(0, PAGE_SIZE)

    def page_read(self, offset, length):
        buf = ctypes.create_string_buffer(length)
        self._check(_lib().xsguest_page_read(self._guest, offset, buf, length), "page")
        return buf.raw

    def page_write(self, offset, data):
        self._check(_lib().xsguest_page_write(self._guest, offset, bytes(data), len(data)), "page")

    def get(self, field):
        return _lib().xsguest_get(self._guest, FIELDS.index(field))

    def set(self, field, value):
        _lib().xsguest_set(self._guest, FIELDS.index(field), value & 0xFFFFFFFF)

    @contextlib.contextmanager
    def hammer(self, *blows, notify=0):
        """Meanwhile, a thread stores words as fast as it can: each of @blows is a field's name or
        an offset in the page, a value, and what is added to it each round. After every @notify
        rounds it sends an event."""
        words = (_Blow * len(blows))()
        for word, (where, value, *step) in zip(words, blows):
            offset = _OFFSETS[where] if isinstance(where, str) else where
            word.offset, word.value, word.step = offset, value % 2**32, sum(step) % 2**32
        hammer = ctypes.c_void_p()
        rc = _lib().xsguest_hammer_start(self._guest, words, len(blows), notify,
                                         ctypes.byref(hammer))
        self._check(rc, "hammer")
        try:
            yield
        finally:
            _lib().xsguest_hammer_stop(hammer)

    # Octets and messages.

    def push(self, data):
        """Write as much as there is room for; returns how much."""
        return self._check(_lib().xsguest_push(self._guest, bytes(data), len(data)), "push")

    def pull(self, length):
        """Read at most @length octets of what there is."""
        buf = ctypes.create_string_buffer(length)
        got = self._check(_lib().xsguest_pull(self._guest, buf, length), "pull")
        return buf.raw[:got]

    def send_raw(self, data, timeout=None):
        """Write all of @data, waiting for room."""
        rc = _lib().xsguest_send(self._guest, bytes(data), len(data), self._ms(timeout))
        self._check(rc, "the ring stays full")

    def send(self, type_, payload=b"", tx=0, req_id=None, timeout=None):
        """Send a request without waiting for its reply; returns its id."""
        if req_id is None:
            self._id = self._id % 0x3FFFFFFF + 1
            req_id = self._id
        rc = _lib().xsguest_send_request(
            self._guest, type_, req_id, tx, bytes(payload), len(payload), self._ms(timeout))
        self._check(rc, "the ring stays full")
        return req_id

    def recv_message(self, timeout=None):
        """The next message of any kind."""
        msg = _Msg()
        rc = _lib().xsguest_recv(self._guest, ctypes.byref(msg), self._ms(timeout))
        self._check(rc, "no message")
        return msg.message()

    def recv_reply(self, timeout=None):
        """The next message that is no watch event; watch events go to self.events."""
        while True:
            msg = self.recv_message(timeout)
            if msg.type != xsclient.WATCH_EVENT:
                return msg
            self.events.append(xsclient.parse_event(msg))

    def call(self, type_, payload=b"", tx=0, req_id=None, timeout=None):
        """Send a request, return its reply, an error too."""
        req_id = self.send(type_, payload, tx, req_id, timeout)
        msg = self.recv_reply(timeout)
        if msg.req_id != req_id:
            raise AssertionError(f"request {req_id} was answered as {msg.req_id}")
        return msg

    def request(self, type_, payload=b"", tx=0, req_id=None):
        """Send a request, return its reply's payload; raises XsError."""
        name = xsclient.NAMES.get(type_, type_)
        msg = self.call(type_, payload, tx, req_id)
        return xsclient.check(msg, type_, f"domain {self.domid}: {name} {payload[:80]!r}")

    def wait_watch(self, timeout=None):
        """The next watch event, queued or new."""
        if self.events:
            return self.events.popleft()
        msg = self.recv_message(timeout)
        if msg.type != xsclient.WATCH_EVENT:
            raise AssertionError(f"unasked {msg}")
        return xsclient.parse_event(msg)

    def reconnect(self, timeout=None):
        """Ask for a ring reconnect and wait until it is done."""
        self.events.clear()
        self._check(_lib().xsguest_reconnect(self._guest, self._ms(timeout)), "no reconnect")


def _field(name):
    return property(lambda self: self.get(name), lambda self, value: self.set(name, value))


for _name in FIELDS:
    setattr(Guest, _name, _field(_name))
