# SPDX-License-Identifier: MIT
"""What the test_relay_*.py files share: transcripts, and one scenario played direct and proxied."""

import contextlib
import itertools
import os
import pathlib
import signal
import subprocess
import time

import xensim
import xsclient
import xsguest
from harness import Host
from xsclient import HEADER, WATCH_EVENT, Message

FLAVOURS = ("C", "O")
SIZES = (0, 1, 1008, 1009, 2000, 4096)
RING = 1024


def wait_until(condition, timeout=xensim.TIMEOUT, poll=0.002):
    """Poll something that has no descriptor to wait on, each @poll s; returns what it became."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(poll)


def pattern(size, seed=0):
    """Octets that repeat at no power of two."""
    return bytes((i * 31 + i // 251 + seed) & 0xFF for i in range(size))


class Tape:
    """A guest or a client whose messages are all written down, in the order in which they came."""

    def __init__(self, peer):
        self.peer = peer
        self.messages = []

    def recv(self):
        if isinstance(self.peer, xsguest.Guest):
            msg = self.peer.recv_message()
        else:
            msg = self.peer.recv()
        self.messages.append(msg)
        return msg

    def reply(self):
        """The next message that is no event."""
        while True:
            msg = self.recv()
            if msg.type != WATCH_EVENT:
                return msg

    def call(self, type_, *strings, payload=None, tx=0, req_id=None):
        """Send a request, of NUL-terminated strings or of @payload; its reply."""
        data = xsclient.join(*strings) if payload is None else payload
        if not data:
            return self._empty(type_, tx, req_id or 1)
        req_id = self.peer.send(type_, data, tx, req_id)
        msg = self.reply()
        assert msg.req_id == req_id
        return msg

    def _empty(self, type_, tx, req_id):
        """oxenstored does not see a request without payload before more octets come."""
        self.peer.send_raw(packet(type_, b"", req_id, tx) + packet(xsclient.READ, b"/\0", 2))
        msg = self.reply()
        assert (msg.req_id, self.reply().req_id) == (req_id, 2)
        return msg

    def ok(self, type_, *strings, **kwargs):
        """call(), and it must not be an error; the reply's payload."""
        msg = self.call(type_, *strings, **kwargs)
        assert msg.type == type_, msg
        return msg.payload

    def start(self):
        return int(self.ok(xsclient.TRANSACTION_START, payload=b"\0").rstrip(b"\0"))

    def end(self, tx, commit=True):
        return self.call(xsclient.TRANSACTION_END, "T" if commit else "F", tx=tx)

    def event(self, path):
        """Read up to the next event for @path."""
        while True:
            msg = self.recv()
            assert msg.type == WATCH_EVENT, msg
            if xsclient.parse_event(msg).path == path:
                return


def same(flavour, scenario, **kwargs):
    """Play scenario(host) direct and proxied; what it returns must be the same. Returns it.

    A scenario returns messages, or a dict of them, from which it has removed what may differ.
    """
    results = []
    for proxied in (False, True):
        with Host(flavour, proxied, **kwargs) as host:
            results.append(scenario(host))
            host.check()
    direct, proxied = results
    for key in direct if isinstance(direct, dict) else [None]:
        _compare(*((result if key is None else result[key]) for result in results), key)
    return direct


def _compare(direct, proxied, key):
    for i, pair in enumerate(itertools.zip_longest(direct, proxied)):
        assert pair[0] == pair[1], (
            f"{key or 'message'} {i}: direct {pair[0]}, proxied {pair[1]}; "
            f"before: {direct[:i][-2:]}")


def packet(type_, payload=b"", req_id=1, tx=0, length=None):
    """A request's octets; @length may lie."""
    return HEADER.pack(type_, req_id, tx, len(payload) if length is None else length) + payload


def split(octets):
    """The whole messages at the start of octets, and what is left."""
    found = []
    while len(octets) >= HEADER.size:
        type_, req_id, tx, length = HEADER.unpack_from(octets)
        end = HEADER.size + length
        if len(octets) < end:
            break
        found.append(Message(type_, req_id, tx, octets[HEADER.size:end]))
        octets = octets[end:]
    return found, octets


def exchange(guest, octets, replies, eager=False):
    """Send octets and read until @replies replies have come; all messages.

    It reads only when it cannot send (or, if @eager, whenever there is something), and waits for an
    event only when it can do neither: it needs all the events that Linux relies on.
    """
    came, found = b"", []
    while sum(msg.type != WATCH_EVENT for msg in found) < replies:
        sent = guest.push(octets)
        octets = octets[sent:]
        got = b"" if sent and not eager else guest.pull(2 * RING)
        messages, came = split(came + got)
        found += messages
        if not sent and not got:
            guest.wait_event()
    return found


def destroy(host, domid):
    """A domain ends, and xenstored has seen that."""
    host.sim.destroy(domid)
    wait_until(lambda: not host.dom0.is_introduced(domid))


def give_up(host, domid, domain):
    """Have the bridge give up, and kill, an xsproxyd that stands still while @domain is
    introduced; then start another one."""
    host.proxy.process.send_signal(signal.SIGSTOP)
    try:
        # Not through xsproxyd: dom0's own way to xenstored, which waits for it in vain.
        with xsclient.Client(host.run_dir / "upstream") as client:
            client.introduce(domid, domain.gfn, domain.port)
    finally:
        # It was killed before it could run on with what it believes of the domain.
        assert host.proxy.kill(signal.SIGCONT) == -signal.SIGKILL
    host.start_proxy()


def introduce(host, domid, prepare=None):
    """Create, prepare(guest) while xenstored does not know the domain yet, introduce."""
    domain = host.sim.create(domid)
    xensim.home(host.dom0, domid)
    guest = host.guest(domid)
    if prepare:
        prepare(guest)
    host.dom0.introduce(domid, domain.gfn, domain.port)
    return guest, domain


def children(host, path, total):
    """Make children of @path (for everybody to read) whose names come to @total octets."""
    host.dom0.write(path, "")
    host.dom0.set_perms(path, "r0")
    assert total % 64 == 0
    for i in range(total // 64):
        host.dom0.write(f"{path}/{i:063}", "")


def descriptors(process):
    """What each descriptor of a process is open on; one that closes meanwhile is left out."""
    found = {}
    for entry in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[entry] = os.readlink(entry)
    return found


def open_files(process):
    """The sockets and the like that a process has open; the simulator's own are files."""
    return sorted(name for name in descriptors(process).values() if not name.startswith("/"))


def wait_closed(process, before):
    """Wait until no more is open than what open_files() said before."""
    try:
        wait_until(lambda: len(open_files(process)) <= len(before))
    except AssertionError as err:
        raise AssertionError(f"open: {open_files(process)}, before: {before}") from err


def resident(process):
    """Octets of memory."""
    statm = pathlib.Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii")
    return int(statm.split()[1]) * os.sysconf("SC_PAGESIZE")


def run_tool(host, name, *args, timeout=xensim.TIMEOUT, **kwargs):
    """Run a stock tool against the host's socket: (status, output, errors)."""
    done = subprocess.run([name, *map(str, args)], env=host.tool_env(), capture_output=True,
                          stdin=subprocess.DEVNULL, text=True, timeout=timeout, check=False,
                          **kwargs)
    return done.returncode, done.stdout, done.stderr
