#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: xenbus_dev.py [-d DIR] [--create] [--nudge SECONDS] DOMID SOCKET

Play domain DOMID of the simulated machine in DIR ($XENSIM_DIR) as its kernel does for its user
space: many open /dev/xen/xenbus, and all share the domain's one ring. Here they connect to SOCKET,
so the stock tools and libraries use it as they are:

    XENSTORED_PATH=SOCKET xenstore-watch data

What each sees is what Linux shows (from 4.11 on):

- request ids are the kernel's on the ring, and each opener's own in its replies;
- transactions belong to who started them: another one's id is ENOENT, and nobody is asked;
- watches belong to who registered them: on the ring each has a token of the kernel's, so two
  openers may use the same one; WATCH and UNWATCH hold up what the same opener writes next; an
  UNWATCH of what there is not is OK;
- who closes has its transactions aborted and its watches ended; a part of a message is dropped.

One thing differs, as a socket has no errno of write(2): a refused WATCH is an error reply, and
a message beyond 4096 octets ends the connection.

It begins as soon as the domain exists, and until it is introduced requests wait; --create creates
and introduces it. It says `ready' once SOCKET is there, goes on until a signal ends it, and exits
with 1 if the domain goes.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import resource
import selectors
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import xensim  # noqa: E402
import xsguest  # noqa: E402
import xsclient  # noqa: E402
from xsclient import (ERROR, HEADER, PAYLOAD_MAX, TRANSACTION_END, TRANSACTION_START,  # noqa: E402
                      UNWATCH, WATCH, WATCH_EVENT, Closing)

READY = "ready\n"
IDS = 0x40000000
CHUNK = 65536

# Of the kernel's requests, who waits for the reply: an opener or nobody, and what it called it.
Asked = collections.namedtuple("Asked", "opener type req_id tx_id token")
Watch = collections.namedtuple("Watch", "opener path token")


class Opener:
    """Who has the device open."""

    def __init__(self, sock):
        self.sock = sock
        self.written = bytearray()  # of a message that is not whole
        self.to_read = bytearray()
        self.transactions = set()
        self.waits = False  # for its WATCH or UNWATCH
        self.closed = False

    def tell(self, type_, req_id, tx_id, payload):
        if not self.closed:
            self.to_read += HEADER.pack(type_, req_id, tx_id, len(payload)) + payload

    def message(self):
        """The next whole message that it wrote and may be taken: its header, its payload."""
        if self.waits or len(self.written) < HEADER.size:
            return None
        head = HEADER.unpack_from(self.written)
        end = HEADER.size + head[3]
        if head[3] > PAYLOAD_MAX:
            raise ValueError("a message is too long")
        if len(self.written) < end:
            return None
        payload = bytes(self.written[HEADER.size:end])
        del self.written[:end]
        return head[:3], payload


class XenbusDev(Closing):
    """The device of @guest (xsguest.Guest), at @path."""

    def __init__(self, guest, path):
        self.guest = guest
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(socket.SOMAXCONN)
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(guest, selectors.EVENT_READ)
        self.openers = set()
        self.asked = {}    # id on the ring -> Asked
        self.watches = {}  # token on the ring -> Watch
        self.to_ring = bytearray()
        self.from_ring = bytearray()
        self._id = self._token = 0

    def close(self):
        """Nobody can open it any more; who has it open sees its end."""
        os.unlink(self.path)
        self.listener.close()
        for opener in self.openers:
            opener.sock.close()

    # --- the ring

    def _ask(self, opener, type_, payload, req_id=0, tx_id=0, token=None):
        """Have a request sent. @token: of a WATCH or UNWATCH, on the ring"""
        self._id = self._id % (IDS - 1) + 1
        while self._id in self.asked:
            self._id = self._id % (IDS - 1) + 1
        self.asked[self._id] = Asked(opener, type_, req_id, tx_id, token)
        on_ring = 0 if token else tx_id
        self.to_ring += HEADER.pack(type_, self._id, on_ring, len(payload)) + payload

    def _pump(self):
        """Move what there is and what fits, both ways."""
        while True:
            sent = self.guest.push(bytes(self.to_ring[:xsguest.RING_SIZE])) if self.to_ring else 0
            del self.to_ring[:sent]
            got = self.guest.pull(xsguest.RING_SIZE)
            self.from_ring += got
            if not sent and not got:
                return
            self._take()

    def _take(self):
        """The whole messages that have come over the ring."""
        while len(self.from_ring) >= HEADER.size:
            type_, req_id, _, length = HEADER.unpack_from(self.from_ring)
            end = HEADER.size + length
            if len(self.from_ring) < end:
                return
            payload = bytes(self.from_ring[HEADER.size:end])
            del self.from_ring[:end]
            if type_ == WATCH_EVENT:
                self._event(payload)
            else:
                self._reply(self.asked.pop(req_id), type_, payload)

    def _event(self, payload):
        path, token, *more = payload.split(b"\0")
        watch = self.watches.get(token)
        if watch:
            watch.opener.tell(WATCH_EVENT, 0, 0, b"\0".join([path, watch.token, *more]))

    def _reply(self, asked, type_, payload):
        opener = asked.opener
        if asked.token and type_ == ERROR:
            self.watches.pop(asked.token, None)
        if type_ == TRANSACTION_START:
            tx_id = int(payload.rstrip(b"\0"))
            opener.transactions.add(tx_id)
            if opener.closed:
                self._abort(opener)
        if not opener:
            return
        opener.tell(type_, asked.req_id, asked.tx_id, payload)
        if asked.token:
            opener.waits = False
            self._requests(opener)

    # --- what openers write

    def _requests(self, opener):
        while not opener.closed:
            try:
                message = opener.message()
            except ValueError:
                self._close(opener)
                return
            if not message:
                return
            self._request(opener, *message)

    def _request(self, opener, head, payload):
        type_, req_id, tx_id = head
        error = None
        if type_ in (WATCH, UNWATCH):
            error = self._watch(opener, head, payload)
        elif type_ != TRANSACTION_START and tx_id and tx_id not in opener.transactions:
            error = b"ENOENT"
        elif type_ == TRANSACTION_END and payload not in (b"T\0", b"F\0"):
            error = b"EINVAL"
        else:
            if type_ == TRANSACTION_END:
                opener.transactions.discard(tx_id)
            self._ask(opener, type_, payload, req_id, tx_id)
        if error:
            opener.tell(ERROR, req_id, tx_id, error + b"\0")

    def _watch(self, opener, head, payload):
        """A WATCH or UNWATCH; the error to answer it with, or None."""
        type_, req_id, tx_id = head
        path, *more = payload.split(b"\0")
        if len(more) < 2:
            return b"EINVAL"
        watch = Watch(opener, path, more[0])
        if type_ == WATCH:
            self._token += 1
            token = b"%X" % (0x8880_0000_0000 + 0x40 * self._token)
            self.watches[token] = watch
        else:
            token = next((token for token, known in self.watches.items() if known == watch), None)
            if not token:
                opener.tell(type_, req_id, tx_id, b"OK\0")
                return None
            del self.watches[token]
        opener.waits = True
        self._ask(opener, type_, path + b"\0" + token + b"\0", req_id, tx_id, token)
        return None

    def _abort(self, opener):
        for tx_id in opener.transactions:
            self._ask(None, TRANSACTION_END, b"F\0", tx_id=tx_id)
        opener.transactions = set()

    # --- openers come and go

    def _accept(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                sock = self.listener.accept()[0]
                sock.setblocking(False)
                opener = Opener(sock)
                self.openers.add(opener)
                self.selector.register(sock, selectors.EVENT_READ, opener)

    def _close(self, opener):
        if opener.closed:
            return
        opener.closed = True
        self.selector.unregister(opener.sock)
        opener.sock.close()
        self.openers.discard(opener)
        self._abort(opener)
        for token in [token for token, watch in self.watches.items() if watch.opener is opener]:
            path = self.watches.pop(token).path
            self._ask(None, UNWATCH, path + b"\0" + token + b"\0", token=token)

    def _read(self, opener):
        try:
            octets = opener.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if not octets:
            self._close(opener)
        opener.written += octets
        self._requests(opener)

    def _flush(self, opener):
        """Give it what there is for it, and look for room if there is none."""
        try:
            while opener.to_read:
                del opener.to_read[:opener.sock.send(opener.to_read[:CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            self._close(opener)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if opener.to_read else 0)
        if self.selector.get_key(opener.sock).events != events:
            self.selector.modify(opener.sock, events, opener)

    def turn(self, nudge=None):
        """Wait for something, and do what there is to do. @nudge: as of Guest"""
        ready = self.selector.select(nudge if self.asked else None)
        if not ready:
            self.guest.notify()
        for key, _ in ready:
            if key.fileobj is self.listener:
                self._accept()
            elif key.fileobj is self.guest:
                self.guest.wait_event()
            else:
                self._read(key.data)
        self._pump()
        for opener in list(self.openers):
            if opener.to_read:
                self._flush(opener)


@contextlib.contextmanager
def running(directory, domid, path, nudge=0, create=False):
    """The program, with the domain @domid of the machine in @directory, until the end of `with`."""
    argv = [__file__, "-d", directory, "--nudge", nudge, *["--create"] * create, domid, path]
    with subprocess.Popen(list(map(str, [sys.executable, *argv])), stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            if process.stdout.readline() != READY:
                raise AssertionError(f"xenbus_dev does not start: {process.wait()}")
            yield process
            assert process.poll() is None, "xenbus_dev has ended"
        finally:
            process.terminate()


def make_domain(directory, domid):
    """What a toolstack does."""
    with xensim.XenSim(directory, init=False) as sim, sim.client() as dom0:
        port, gfn = sim.create(domid)
        xensim.home(dom0, domid)
        dom0.introduce(domid, gfn, port)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.partition("\n")[0][len("usage: "):],
                                     description=__doc__.partition("\n\n")[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", metavar="DIR", default=os.environ.get("XENSIM_DIR"),
                        help="the machine's directory, by default $XENSIM_DIR")
    parser.add_argument("--create", action="store_true",
                        help="create the domain with its home and introduce it")
    parser.add_argument("--nudge", type=float, default=0, metavar="SECONDS",
                        help="how often to send an event while waiting for a reply, for an "
                        "oxenstored on the guest's own ring (guest.h); 0, the default: never")
    parser.add_argument("domid", type=int, metavar="DOMID")
    parser.add_argument("socket", metavar="SOCKET")
    args = parser.parse_args()
    if not args.d:
        parser.error("no machine: neither -d nor XENSIM_DIR")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        if args.create:
            make_domain(args.d, args.domid)
        with xsguest.Guest(args.d, args.domid) as guest:
            with XenbusDev(guest, args.socket) as device:
                print(READY, end="", flush=True)
                while True:
                    device.turn(args.nudge or None)
    except KeyboardInterrupt:
        return 0
    except (OSError, xensim.SimError, xsclient.XsError) as err:
        print(f"xenbus_dev: {err}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
