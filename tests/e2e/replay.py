#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: replay.py [--log] [--daemon xenstored|oxenstored] FILE

What a report has of the traffic, played once more: FILE is of `xsproxyctl capture -w FILE`, or the
lines that `xsproxyctl trace` or `flight` printed. Domains become guests of a simulated host and
toolstacks' connections its clients; their requests are sent in the order of the file, each after
the one before it was answered. So with each daemon (or the one named), direct and through xsproxyd:
that must be the same, and who asked too late, or was refused otherwise than the file says, is told.

With --log FILE's requests are printed as lines instead, to be cut down and kept in
tests/e2e/reports, where test_reports.py plays them. Such a line needs no time, session or answer;
where there is one, an error or anything else, it must come again:

    # daemon: xenstored         the answers are that one's; without such a line, either's
    d7 > WRITE "data/x" "1" = OK
    d7 > READ "data/y" = ENOENT

Left out is what would be about another machine: INTRODUCE and the like, CONTROL, xsproxy's own
requests, and messages that the file has only in part.
"""

import argparse
import collections
import contextlib
import pathlib
import re
import struct
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / name) for name in ("e2e", "sim")]

import relay  # noqa: E402
import xsclient  # noqa: E402
from harness import DAEMONS  # noqa: E402
from ours import OURS  # noqa: E402
from relay import FLAVOURS, Tape  # noqa: E402
from xsclient import ERROR, HEADER, NAMES, TRANSACTION_START, WATCH_EVENT, WRITE  # noqa: E402

# who: "d7" for a domain's ring, "d0 c5" for a connection of a toolstack; answer: an error's name,
# "OK" for any other, "" if none is known; started: the transaction that it started, or 0.
Request = collections.namedtuple("Request", "who type tx payload answer started")

NOT_PLAYED = {xsclient.CONTROL, xsclient.INTRODUCE, xsclient.RELEASE,
              xsclient.IS_DOMAIN_INTRODUCED, xsclient.RESUME, xsclient.SET_TARGET, WATCH_EVENT,
              ERROR, *OURS}
TYPES = {name: number for number, name in NAMES.items() if number not in NOT_PLAYED}
UNKNOWN = "UNKNOWN "  # and the number: a type without a name

LINE = re.compile(r"(?:\d\d:\d\d:\d\d\.\d+ )?(?P<who>d\d+)(?:\([^ ]*\))?"
                  r"(?: s\d+| (?P<client>c\d+))? > (?:t(?P<tx>\d+) )?"
                  r"(?P<op>UNKNOWN 0x[0-9a-f]+|[A-Z_]+)(?P<words>(?: .*)?)$")
WORD = re.compile(r' (?:"((?:[^"\\]|\\.)*)"|([^ "]+))(\(no NUL\))?')

TOLD = 10  # lines about answers that differ

SECTION, PACKET = 0x0a0d0d0a, 6
FRAME = struct.Struct("<IHHIIQQQII")  # trace/frame.h
FRAME_REQUEST, FRAME_REPLY, FRAME_CLIENT = 1, 2, 2


class Wrong(Exception):
    """The file is not what it should be."""


# --- lines

def _octets(text):
    """What a quoted string of a line stands for."""
    return re.sub(rb"\\(?:x([0-9a-f]{2})|(.))",
                  lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2],
                  text.encode())


def _words(text):
    """[(octets, whether a NUL follows)] up to the answer, and the answer's first word."""
    words, at = [], 0
    while found := WORD.match(text, at):
        at = found.end()
        if found[2] == "=":
            answer = WORD.match(text, at)
            return words, answer
        words.append((_octets(found[1] if found[2] is None else found[2]), not found[3]))
    return words, None


def _answer(found):
    """An answer's first word as Request has it."""
    if not found or found[2] == "(no":  # reply)
        return ""
    return found[2] if re.fullmatch("E[A-Z0-9]{2,}", found[2] or "") else "OK"


def _type_of(name):
    """The number of a type that is played, or None."""
    if name.startswith(UNKNOWN):
        return int(name[len(UNKNOWN):], 0)
    return TYPES.get(name)


def parse_line(line):
    """A Request; None: the line is none that can be played."""
    found = LINE.match(line)
    type_ = _type_of(found["op"]) if found else None
    if type_ is None:
        return None
    words, answer = _words(found["words"])
    if words and words[-1][0].startswith(b"...+"):
        return None
    payload = b"".join(word + b"\0" * ended for word, ended in words) or b"\0"
    if type_ == WRITE and len(words) > 1 and words[-1][1]:
        payload = payload[:-1]
    started = answer[2] if answer and type_ == TRANSACTION_START else ""
    return Request(" ".join(filter(None, (found["who"], found["client"]))), type_,
                   int(found["tx"] or 0), payload, _answer(answer),
                   int(started) if (started or "").isdigit() else 0)


def _quoted(octets):
    return '"' + re.sub(rb'[^ !#-\[\]-~]', lambda found: b"\\x%02x" % found[0][0],
                        octets).decode() + '"'


def to_line(request):
    """The line of a Request, which parse_line() makes the same of."""
    words = [] if request.payload == b"\0" else request.payload.split(b"\0")
    if words and (not words[-1] or request.type == WRITE):
        text = [_quoted(word) for word in (words if request.type == WRITE else words[:-1])]
    else:
        text = [_quoted(word) for word in words]
        text[-1:] = [word + "(no NUL)" for word in text[-1:]]
    tx = [f"t{request.tx}"] if request.tx else []
    answer = ["=", str(request.started or request.answer)] if request.answer else []
    name = NAMES.get(request.type, f"{UNKNOWN}{request.type:#x}")
    return " ".join([request.who, ">", *tx, name, *text, *answer])


# --- captures

def _blocks(octets):
    """(type, body) of a pcapng file's blocks; the last one may be missing in part."""
    at = 0
    while at + 12 <= len(octets):
        kind, length = struct.unpack_from("<II", octets, at)
        if length < 12 or at + length > len(octets):
            return
        yield kind, octets[at + 8:at + length - 4]
        at += length


def _frames(octets):
    """(frame, message header, payload) of each message."""
    for kind, body in _blocks(octets):
        if kind != PACKET:
            continue
        frame = FRAME.unpack_from(body, 20)
        if frame[0] < FRAME.size + HEADER.size:
            continue
        payload = body[20 + FRAME.size + HEADER.size:20 + frame[0]]
        yield frame, HEADER.unpack_from(body, 20 + FRAME.size), payload


def parse_capture(octets):
    """Its Requests, and how many had to be left out."""
    requests, at, left_out = [], {}, 0
    for frame, header, payload in _frames(octets):
        _, kind, flags, domid, session, *_, number, _ = frame
        key = (session, number)
        if kind == FRAME_REPLY and key in at:
            request = requests[at[key]]
            answer = "OK"
            if header[0] == ERROR:
                answer = payload.rstrip(b"\0").decode("ascii", "replace")
            started = payload.rstrip(b"\0").decode("ascii", "replace")
            started = int(started) if request.type == TRANSACTION_START and started.isdigit() else 0
            requests[at[key]] = request._replace(answer=answer, started=started)
        elif kind == FRAME_REQUEST and header[0] not in NOT_PLAYED and header[3] == len(payload):
            at[key] = len(requests)
            who = f"d{domid} c{session}" if flags & FRAME_CLIENT else f"d{domid}"
            requests.append(Request(who, header[0], header[2], payload, "", 0))
        elif kind == FRAME_REQUEST:
            left_out += 1
    return requests, left_out


def read(path):
    """The Requests of a file, how many had to be left out, and whose answers they have, or ""."""
    octets = pathlib.Path(path).read_bytes()
    daemon = ""
    if octets[:4] == struct.pack("<I", SECTION):
        requests, left_out = parse_capture(octets)
    else:
        daemon = "".join(re.findall(r"^# daemon: (\w+)", octets.decode(), re.M)[:1])
        lines = [line for line in octets.decode().splitlines() if " > " in line and line[0] != "#"]
        requests = [request for request in map(parse_line, lines) if request]
        left_out = len(lines) - len(requests)
    if not requests:
        raise Wrong(f"{path} has no request that can be played")
    return requests, left_out, daemon


# --- the play

class Player:
    """The guests and clients of @host, and what each of them got."""

    def __init__(self, host, requests):
        self.host = host
        self.tapes = {}
        self.transactions = {}  # of the file -> of this host
        self.others = []  # what was answered otherwise than the file says
        for who in dict.fromkeys(request.who for request in requests):
            if " " not in who:
                domid = int(who[1:])
                self.tapes[who] = Tape(host.add_guest(domid) if domid else host.guest(0))

    def _tape(self, who):
        """Clients come when they ask: daemons accept no more than two at once."""
        if who not in self.tapes:
            self.tapes[who] = Tape(self.host.client())
        return self.tapes[who]

    def play(self, request):
        """Send it; its reply."""
        tx = self.transactions.get((request.who, request.tx), request.tx)
        try:
            reply = self._tape(request.who).call(request.type, payload=request.payload, tx=tx)
        except (xsclient.Timeout, xsclient.Closed) as err:
            raise AssertionError(f"no answer to: {to_line(request)}") from err
        got = "OK"
        if reply.type == ERROR:
            got = reply.payload.rstrip(b"\0").decode()
        elif request.started:
            self.transactions[request.who, request.started] = int(reply.payload.rstrip(b"\0"))
        if request.answer and got != request.answer:
            self.others.append(f"{to_line(request)}, here {got}")
        return reply


def play(host, requests):
    """Play all of them; the Player."""
    player = Player(host, requests)
    for request in requests:
        player.play(request)
    return player


def same(flavour, requests):
    """Play them direct and proxied, which must be the same; what was otherwise than the file says.
    """
    others = []

    def scenario(host):
        player = play(host, requests)
        others.extend(line for line in player.others if line not in others)
        return {who: tape.messages for who, tape in player.tapes.items()}

    relay.same(flavour, scenario)
    return others


def show(flavour, requests):
    """Play them and say what came; whether it was the same direct and proxied."""
    name = DAEMONS[flavour]
    with contextlib.redirect_stdout(sys.stderr):  # logs of a host that fails
        try:
            others = same(flavour, requests)
        except AssertionError as err:
            print(f"{name}: not the same: {err}")
            return False
    print(f"{name}: {len(requests)} requests, the same through xsproxyd")
    print(*(f"{name}: {line}" for line in others[:TOLD]), sep="\n", end="\n" * bool(others))
    if len(others) > TOLD:
        print(f"{name}: and {len(others) - TOLD} more that are not as the file says")
    return True


def main():
    parser = argparse.ArgumentParser(usage=__doc__.partition("\n")[0][len("usage: "):],
                                     description=__doc__.partition("\n\n")[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", action="store_true", help="print the requests as lines")
    parser.add_argument("--daemon", choices=sorted(DAEMONS.values()), help="with this one only")
    parser.add_argument("file", metavar="FILE")
    args = parser.parse_args()
    try:
        requests, left_out, _ = read(args.file)
    except (OSError, Wrong, UnicodeDecodeError, struct.error) as err:
        print(f"replay: {err}", file=sys.stderr)
        return 2
    if left_out:
        print(f"replay: {left_out} requests are left out, see --help", file=sys.stderr)
    if args.log:
        print(*map(to_line, requests), sep="\n")
        return 0
    flavours = [flavour for flavour in FLAVOURS if args.daemon in (None, DAEMONS[flavour])]
    return 0 if all([show(flavour, requests) for flavour in flavours]) else 1


if __name__ == "__main__":
    sys.exit(main())
