# SPDX-License-Identifier: MIT
"""A Xenstore client over the daemon's socket, as a toolstack is one.

Raw on purpose: it sends what it is told, checks what comes back, and hides nothing. Every wait has
a timeout and raises Timeout.
"""

import collections
import contextlib
import select
import socket
import struct
import time

CONTROL, DIRECTORY, READ, GET_PERMS, WATCH, UNWATCH = range(6)
TRANSACTION_START, TRANSACTION_END, INTRODUCE, RELEASE = range(6, 10)
GET_DOMAIN_PATH, WRITE, MKDIR, RM, SET_PERMS, WATCH_EVENT = range(10, 16)
ERROR, IS_DOMAIN_INTRODUCED, RESUME, SET_TARGET = range(16, 20)
RESET_WATCHES, DIRECTORY_PART = 21, 22

NAMES = {value: name for name, value in list(globals().items()) if isinstance(value, int)}

HEADER = struct.Struct("<IIII")
PAYLOAD_MAX = 4096
TIMEOUT = 10.0

Message = collections.namedtuple("Message", "type req_id tx_id payload")
Event = collections.namedtuple("Event", "path token")


class XsError(Exception):
    """The daemon answered with an error; .name is its word for it, such as "ENOENT"."""

    def __init__(self, name, request=""):
        super().__init__(f"{request}: {name}" if request else name)
        self.name = name


class Timeout(Exception):
    """Nothing came in time."""


class Closed(Exception):
    """The daemon closed the connection."""


def to_bytes(value):
    """Octets of a str, an int or octets."""
    if isinstance(value, bytes):
        return value
    return str(value).encode()


def join(*parts):
    """A payload of strings that each end in NUL."""
    return b"".join(to_bytes(part) + b"\0" for part in parts)


def strings(payload):
    """The strings of a payload, as str where they are ASCII."""
    parts = payload.split(b"\0")
    if parts[-1] == b"":
        parts.pop()
    return [part.decode("ascii", "surrogateescape") for part in parts]


def parse_event(msg):
    path, token = strings(msg.payload)[:2]
    return Event(path, token)


def check(msg, type_, request_name=""):
    """The payload of a reply to a request of @type_; raises XsError."""
    if msg.type == ERROR:
        raise XsError(msg.payload.rstrip(b"\0").decode("ascii", "replace"), request_name)
    if msg.type != type_:
        raise AssertionError(f"reply {msg} to a {NAMES.get(type_, type_)}")
    return msg.payload


class Closing(contextlib.AbstractContextManager):
    """What a `with` closes at its end."""

    def __exit__(self, *_):
        self.close()


class Requests:
    """The requests, for whoever can request(type, payload, tx=0) -> payload."""

    def read(self, path, tx=0):
        return self.request(READ, join(path), tx=tx)

    def write(self, path, value, tx=0):
        self.request(WRITE, join(path) + to_bytes(value), tx=tx)

    def mkdir(self, path, tx=0):
        self.request(MKDIR, join(path), tx=tx)

    def rm(self, path, tx=0):
        self.request(RM, join(path), tx=tx)

    def directory(self, path, tx=0):
        return strings(self.request(DIRECTORY, join(path), tx=tx))

    def exists(self, path, tx=0):
        try:
            self.read(path, tx=tx)
        except XsError as err:
            if err.name != "ENOENT":
                raise
            return False
        return True

    def get_perms(self, path, tx=0):
        return strings(self.request(GET_PERMS, join(path), tx=tx))

    def set_perms(self, path, *perms, tx=0):
        self.request(SET_PERMS, join(path, *perms), tx=tx)

    def watch(self, path, token):
        self.request(WATCH, join(path, token))

    def unwatch(self, path, token):
        self.request(UNWATCH, join(path, token))

    def reset_watches(self):
        self.request(RESET_WATCHES, b"\0")

    def start(self):
        return int(self.request(TRANSACTION_START, b"\0").rstrip(b"\0"))

    def end(self, tx, commit=True):
        self.request(TRANSACTION_END, b"T\0" if commit else b"F\0", tx=tx)

    def get_domain_path(self, domid):
        return strings(self.request(GET_DOMAIN_PATH, join(domid)))[0]

    def introduce(self, domid, gfn, port):
        self.request(INTRODUCE, join(domid, gfn, port))

    def release(self, domid):
        self.request(RELEASE, join(domid))

    def is_introduced(self, domid):
        return self.request(IS_DOMAIN_INTRODUCED, join(domid)) == b"T\0"

    def resume(self, domid):
        self.request(RESUME, join(domid))

    def set_target(self, domid, target):
        self.request(SET_TARGET, join(domid, target))

    def control(self, *words):
        return self.request(CONTROL, join(*words)).rstrip(b"\0").decode("utf-8", "replace")


class Client(Requests, Closing):
    """One connection to a Xenstore socket."""

    def __init__(self, socketpath, timeout=TIMEOUT):
        self.timeout = timeout
        self.events = collections.deque()
        self._buf = bytearray()
        self._id = 0
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._poll = select.poll()  # there may be more descriptors than select() takes
        self._poll.register(self.sock, select.POLLIN)
        try:
            # With a timeout of Python's a full backlog, which is 1, would be an error instead of a
            # wait.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO,
                                 struct.pack("ll", int(timeout), int(timeout % 1 * 1e6)))
            self.sock.connect(str(socketpath))
            self.sock.settimeout(timeout)
        except BaseException:
            self.sock.close()
            raise

    def close(self):
        self.sock.close()

    def fileno(self):
        return self.sock.fileno()

    def send_raw(self, data):
        self.sock.settimeout(self.timeout)
        try:
            self.sock.sendall(data)
        except TimeoutError as err:
            raise Timeout("the daemon does not read") from err

    def send(self, type_, payload=b"", tx=0, req_id=None):
        """Send a request without waiting; returns its id."""
        if req_id is None:
            self._id = self._id % 0x3FFFFFFF + 1
            req_id = self._id
        self.send_raw(HEADER.pack(type_, req_id, tx, len(payload)) + payload)
        return req_id

    def _fill(self, length, deadline):
        while len(self._buf) < length:
            left = deadline - time.monotonic()
            if left < 0 or not self._poll.poll(left * 1000):
                raise Timeout("no message from the daemon")
            data = self.sock.recv(65536)
            if not data:
                raise Closed("the daemon closed the connection")
            self._buf += data

    def recv(self, timeout=None):
        """The next message of any kind."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        self._fill(HEADER.size, deadline)
        type_, req_id, tx, length = HEADER.unpack_from(self._buf)
        self._fill(HEADER.size + length, deadline)
        payload = bytes(self._buf[HEADER.size:HEADER.size + length])
        del self._buf[:HEADER.size + length]
        return Message(type_, req_id, tx, payload)

    def recv_reply(self, timeout=None):
        """The next message that is no watch event; watch events go to self.events."""
        while True:
            msg = self.recv(timeout)
            if msg.type != WATCH_EVENT:
                return msg
            self.events.append(parse_event(msg))

    def request(self, type_, payload=b"", tx=0):
        """Send a request, return its reply's payload; raises XsError."""
        req_id = self.send(type_, payload, tx)
        msg = self.recv_reply()
        if msg.req_id != req_id:
            raise AssertionError(f"request {req_id} was answered as {msg.req_id}")
        return check(msg, type_, f"{NAMES.get(type_, type_)} {payload[:80]!r}")

    def wait_event(self, timeout=None, path=None):
        """The next watch event; with @path, skip others."""
        timeout = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        while True:
            if self.events:
                event = self.events.popleft()
            else:
                msg = self.recv(max(0, deadline - time.monotonic()))
                if msg.type != WATCH_EVENT:
                    raise AssertionError(f"unasked {msg}")
                event = parse_event(msg)
            if path is None or event.path == path:
                return event
