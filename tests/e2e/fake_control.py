# SPDX-License-Identifier: MIT
"""A control socket that answers as docs/protocol.md says, with numbers that a test chooses."""

import contextlib
import inspect
import json
import socket
import threading

SECOND = 10**9
PAGE = 128


def row(domid, session=1, **values):
    """A row of `load`."""
    keys = ("requests", "errors", "events", "octets_in", "octets_out", "full", "unread",
            "under_way", "watches", "transactions", "p50", "p99", "max")
    return {"domid": domid, "session": session, **dict.fromkeys(keys, 0), **values}


def tools(**values):
    """Its row of the toolstacks, of which less is known."""
    keys = ("requests", "errors", "events", "octets_in", "octets_out", "full", "unread", "p50",
            "p99", "max")
    return {**dict.fromkeys(keys, 0), **values}


def times(count=0, total=0, most=0, p50=0, p99=0, buckets=()):
    """A part of `time` in a reply to `stats`."""
    return {"count": count, "sum": total, "max": most, "p50": p50, "p99": p99,
            "buckets": [list(bucket) for bucket in buckets]}


def stats(requests=None, errors=None, time=None, **values):
    """A reply to `stats`."""
    return {"sessions": 1, "requests": requests or {}, "errors": errors or {}, "events": 0,
            "octets_in": 0, "octets_out": 0, "full": 0, "unread": 0,
            "time": time or {part: times() for part in ("total", "proxy", "upstream")}, **values}


class Refused(Exception):
    """A command that is answered with an error."""

    def __init__(self, desc, error_class="NotFound"):
        super().__init__(desc)
        self.error_class = error_class


class FakeControl:
    """Serves @path. Each sample of `load` comes exactly one second after the one before.

    load(n) has the rows of the n-th sample and the row of the toolstacks; stats(domid) a reply.
    """

    def __init__(self, path, load=None, stats_of=None):
        self.path = path
        self.load = load or (lambda n: ([], tools()))
        self.stats_of = stats_of or (lambda domid: stats())
        self.samples = 0
        self.answering = threading.Event()  # cleared: commands are taken and not answered
        self.answering.set()
        self.asked = threading.Event()
        self._open = []
        self._listener = None
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self):
        """As when xsproxyd is killed."""
        self.answering.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink()
        for conn in list(self._open):
            with contextlib.suppress(OSError):  # it may have ended by itself
                conn.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        try:
            while True:
                conn = listener.accept()[0]
                self._open.append(conn)
                threading.Thread(target=self._serve, args=(conn,), daemon=True).start()
        except OSError:
            pass

    def _serve(self, conn):
        try:
            with conn, conn.makefile("rw") as stream:
                for line in stream:
                    for reply in self._replies(json.loads(line)):
                        self.asked.set()
                        self.answering.wait()
                        stream.write(json.dumps(reply) + "\n")
                        stream.flush()
        except OSError:
            pass
        self._open.remove(conn)

    def _replies(self, request):
        """The answer; a command that yields has said that before."""
        try:
            result = getattr(self, "_run_" + request["execute"])(**request["arguments"])
            if inspect.isgenerator(result):
                result = yield from result
            yield {"return": result}
        except Refused as err:
            yield {"error": {"class": err.error_class, "desc": str(err)}}

    def _run_stats(self, domid=None):
        return self.stats_of(domid)

    def _run_load(self, index):
        if index == 0:
            self.samples += 1
        rows, clients = self.load(self.samples)
        end = index + PAGE
        return {"rows": rows[index:end], "clients": clients, "time": self.samples * SECOND,
                "next": end if end < len(rows) else None}
