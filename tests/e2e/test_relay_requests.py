# SPDX-License-Identifier: MIT
"""Every request gets the answer that xenstored gives without us, octet for octet: from a guest,
from dom0's kernel and from a toolstack socket; good, bad and malformed; inside, outside and beyond
transactions; of every size; pipelined; with request ids that repeat."""

import itertools

import pytest

import xsclient
from harness import Host
from ours import OURS
from relay import FLAVOURS, SIZES, Tape, children, exchange, packet, pattern, same
from versions import EXPECT
from xsclient import (CONTROL, DIRECTORY, DIRECTORY_PART, ERROR, GET_DOMAIN_PATH, GET_PERMS,
                      INTRODUCE, IS_DOMAIN_INTRODUCED, MKDIR, READ, RELEASE, RESET_WATCHES, RESUME,
                      RM, SET_PERMS, SET_TARGET, TRANSACTION_END, TRANSACTION_START, UNWATCH, WATCH,
                      WATCH_EVENT, WRITE)

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

# All known ones, some nobody knows, and the two that are answers.
TYPES = (*range(CONTROL, DIRECTORY_PART + 1), 23, 99, 0x10000, 0xFFFFFFFF)
# What takes more than one string, or none.
LISTS = (CONTROL, WATCH, UNWATCH, TRANSACTION_START, TRANSACTION_END, INTRODUCE, WRITE, SET_PERMS,
         WATCH_EVENT, ERROR, SET_TARGET, RESET_WATCHES, DIRECTORY_PART)
UNKNOWN_TX = 4711
HOME = "/local/domain/7"

PAYLOADS = (
    b"", b"\0", b"\0\0", b"data", b"data\0", b"data\0x", b"data\0x\0", b"data\0x\0y\0",
    f"{HOME}/data\0".encode(), f"{HOME}/data\0x\0".encode(), b"data//x\0", b"data/\0", b"/\0",
    b"/\0r0\0", b"data/a b\0t\0", b"nowhere/at/all\0", b"data\0n7\0r9\0", b"data\0q7\0",
    b"@releaseDomain\0t\0", b"@introduceDomain\0t\0", b"@nothing\0t\0", b"name\0", b"name\0mine",
    b"memory/target\0t\0", b"7\0", b"9\0", b"9\0001\0002\0", b"32752\0", b"-1\0", b"7\0009\0",
    b"T\0", b"F\0", b"T", b"F", b"T\0F\0", b"hello\0", b"x" * 300 + b"\0t\0",
    b"x" * 3000 + b"\0t\0", b"data/" + b"y" * 2040 + b"\0t\0",
)


def malformed(type_, payload):
    """Whether one string is wanted and this is not one: where the answer is what errno happened to
    be, and the daemon dies if that is 0."""
    return type_ not in LISTS and (payload.count(b"\0") != 1 or payload[-1:] != b"\0")


def matrix(flavour, peer):
    """Every payload with every type: outside, inside and beyond a transaction. What may differ is
    taken out: errno as above; the OCaml daemon answers WATCH and UNWATCH with transaction 0, which
    the proxy sets right."""
    tape = Tape(peer)
    for type_ in TYPES:
        inside = tape.start()
        for payload, tx in itertools.product(PAYLOADS, (0, inside, UNKNOWN_TX)):
            # RELEASE of domain 0 gets its EINVAL from us, also where upstream would first say that
            # there is no such transaction.
            if type_ == RELEASE and tx == UNKNOWN_TX:
                continue
            if EXPECT[flavour].by_errno and malformed(type_, payload):
                tape.call(READ, "nowhere")  # some errno
            msg = tape.call(type_, payload=payload, tx=tx)
            at = len(tape.messages) - 1 - tape.messages[::-1].index(msg)
            if EXPECT[flavour].by_errno and malformed(type_, payload) and msg.type == ERROR:
                tape.messages[at] = msg._replace(payload=b"?")
            if flavour == "O" and type_ in (WATCH, UNWATCH):
                assert msg.tx_id in (0, tx)
                tape.messages[at] = msg._replace(tx_id=tx)
        tape.end(inside, commit=False)
        tape.call(RESET_WATCHES, payload=b"\0")
    return tape.messages


def test_matrix_guest(flavour):
    replies = same(flavour, lambda host: matrix(flavour, host.add_guest(7)))
    assert len({msg.type for msg in replies}) >= 14, "hardly any request succeeded"


@pytest.mark.parametrize("kind", ["socket", "kernel"])
def test_matrix_privileged(flavour, kind):
    """What only dom0 may do succeeds too."""
    def scenario(host):
        host.add_guest(7)
        return matrix(flavour, host.client() if kind == "socket" else host.guest(0))

    replies = same(flavour, scenario)
    assert {RELEASE, IS_DOMAIN_INTRODUCED} <= {msg.type for msg in replies}


@pytest.mark.parametrize("domid", ["0", "00", "-0", "", "x"])
def test_release_of_dom0(flavour, domid):
    """oxenstored would forget dom0; it must never see that."""
    with Host(flavour) as host:
        kernel = Tape(host.guest(0))
        msg = Tape(host.client()).call(RELEASE, domid)
        assert (msg.type, msg.payload) == (ERROR, b"EINVAL\0")
        kernel.ok(DIRECTORY, "/")
        assert kernel.ok(IS_DOMAIN_INTRODUCED, "0") == b"T\0"


def test_control_help(flavour):
    """Ours come after upstream's own."""
    texts = []
    for proxied in (False, True):
        with Host(flavour, proxied) as host:
            texts.append(host.dom0.control("help"))
    assert texts[1].startswith(texts[0].rstrip("\n"))
    assert "quiesce" in texts[1][len(texts[0]):]


def test_every_type_works(flavour):
    """The good case of each request, so that the comparison is not one of errors."""
    def scenario(host):
        guest, dom0 = Tape(host.add_guest(7)), Tape(host.client())
        port, gfn = host.sim.create(8)
        assert guest.ok(GET_DOMAIN_PATH, "7") == HOME.encode() + b"\0"
        guest.ok(MKDIR, "data/dir")
        guest.ok(WRITE, payload=b"data/dir/x\0value")
        guest.ok(SET_PERMS, "data/dir/x", "n7", "r9")
        assert guest.ok(GET_PERMS, "data/dir/x") == b"n7\0r9\0"
        assert guest.ok(DIRECTORY, "data") == b"dir\0"
        if flavour == "C":
            assert guest.ok(DIRECTORY_PART, "data", "0").endswith(b"dir\0\0")
        guest.ok(WATCH, "data", "token")
        guest.event("data")
        tx = guest.start()
        guest.ok(WRITE, payload=b"data/dir/x\0other", tx=tx)
        assert guest.ok(READ, "data/dir/x") == b"value"
        assert guest.ok(READ, "data/dir/x", tx=tx) == b"other"
        assert guest.end(tx).payload == b"OK\0"
        assert guest.ok(READ, "data/dir/x") == b"other"
        guest.ok(RM, "data/dir")
        guest.ok(UNWATCH, "data", "token")
        guest.ok(RESET_WATCHES, payload=b"\0")

        dom0.ok(INTRODUCE, "8", str(gfn), str(port))
        assert dom0.ok(IS_DOMAIN_INTRODUCED, "8") == b"T\0"
        dom0.ok(SET_TARGET, "8", "7")
        host.sim.shutdown(8, "suspend")
        dom0.ok(RESUME, "8")
        dom0.ok(CONTROL, "print" if flavour == "C" else "debug", "hello")
        dom0.ok(RELEASE, "8")
        assert dom0.ok(IS_DOMAIN_INTRODUCED, "8") == b"F\0"
        return {"guest": guest.messages, "dom0": dom0.messages}

    same(flavour, scenario)


@pytest.mark.parametrize("type_", OURS)
def test_our_requests_are_for_dom0(flavour, type_):
    """A guest gets EACCES; direct, such types do not exist (docs/protocol.md)."""
    def scenario(host):
        tape = Tape(host.add_guest(7))
        tape.call(type_, "7")
        tape.call(READ, "name")
        return [msg._replace(payload=b"-") if msg.type == ERROR else msg for msg in tape.messages]

    replies = same(flavour, scenario)
    assert [msg.type for msg in replies] == [ERROR, READ]


def test_watch_too_long(flavour):
    """Every watch must fit a GET_DOMAIN_WATCHES reply: 4064 octets do, 4065 get E2BIG."""
    def scenario(host, length=4064):
        tape = Tape(host.add_guest(7))
        tape.call(WATCH, payload=b"data\0" + b"t" * (length - 6) + b"\0")
        tape.call(READ, "name")
        return tape.messages

    replies = same(flavour, scenario)
    assert [msg.type for msg in replies] == [WATCH, WATCH_EVENT, READ]

    with Host(flavour) as host:
        refused, _ = scenario(host, 4065)
        assert (refused.type, refused.payload) == (ERROR, b"E2BIG\0")


def sizes(host, tape, base):
    """Requests, replies and events with payloads of the sizes that matter."""
    for size in SIZES:
        tape.call(WRITE, payload=(f"{base}/v\0".encode() + pattern(size))[:size])
        tape.call(READ, f"{base}/v")
        tape.call(GET_DOMAIN_PATH, payload=b"x" * (size - 1) + b"\0" if size else b"")
        value = pattern(size, 7)[:2040]
        host.dom0.write(f"{HOME}/data/v", value)
        assert tape.ok(READ, f"{base}/v") == value
        token = f"{size}" + "t" * max(min(size, 4064) - len(f"{base}/v{size}") - 2, 0)
        assert len(tape.ok(WATCH, f"{base}/v", token)) == 3
        tape.event(f"{base}/v")
    children(host, "/tool/many", 4096)
    assert len(tape.ok(DIRECTORY, "/tool/many")) == 4096
    return tape.messages


@pytest.mark.parametrize("kind", ["guest", "socket", "kernel"])
def test_sizes(flavour, kind):
    def scenario(host):
        guest = host.add_guest(7)
        if kind == "guest":
            return sizes(host, Tape(guest), "data")
        return privileged(Tape(host.client() if kind == "socket" else host.guest(0)))

    def privileged(tape):
        """oxenstored limits dom0's values, too."""
        limit = 4088 if flavour == "C" else 2048
        for size in SIZES:
            value = pattern(size)[:limit]
            tape.ok(WRITE, payload=b"/tool/v\0" + value)
            assert tape.ok(READ, "/tool/v") == value
            tape.call(GET_DOMAIN_PATH, payload=b"x" * (size - 1) + b"\0" if size else b"")
        return tape.messages

    messages = same(flavour, scenario)
    lengths = {len(msg.payload) for msg in messages}
    assert lengths >= ({0, 1, 1008, 1009, 2000, 4064, 4096} if kind == "guest"
                       else {1, 1008, 1009, 2000, 4088 if flavour == "C" else 2048})


@pytest.mark.parametrize("ids", ["counting", "same", "zero", "extreme"])
def test_pipelined(flavour, ids):
    """More requests than fit a ring, sent without waiting; the guest reads when it must. Answers
    come in the order of the requests and bear their ids, however odd those are."""
    def req_id(i):
        return {"counting": i, "same": 7, "zero": 0,
                "extreme": (0xFFFFFFFF, 0x80000000, 0x3FFFFFFF, 0)[i % 4]}[ids]

    def request(i):
        value = pattern((0, 1, 40, 900, 1009, 2000)[i % 6], i)
        return [packet(WRITE, f"data/v{i % 3}\0".encode() + value, req_id(i)),
                packet(READ, f"data/v{i % 3}\0".encode(), req_id(i)),
                packet(READ, b"nowhere\0", req_id(i), 0),
                packet(WATCH, f"data/v{i}\0t\0".encode(), req_id(i)),
                packet(DIRECTORY, b"data\0", req_id(i), UNKNOWN_TX)][i % 5]

    count = 120

    def scenario(host):
        octets = b"".join(request(i) for i in range(count))
        return exchange(host.add_guest(7), octets, count)

    replies = [msg for msg in same(flavour, scenario) if msg.type != WATCH_EVENT]
    assert [msg.req_id for msg in replies] == [req_id(i) for i in range(count)]


def test_pipelined_socket(flavour):
    """The same over a socket: ids that repeat, more at once than we keep pending."""
    def scenario(host):
        host.dom0.write("/tool/v", "value")
        tape = Tape(host.client())
        for i in range(200):
            tape.peer.send(READ, b"/tool/v\0" if i % 3 else b"/tool/none\0", req_id=i // 50)
        for _ in range(200):
            tape.reply()
        return tape.messages

    replies = same(flavour, scenario)
    assert [msg.req_id for msg in replies] == [i // 50 for i in range(200)]


def test_transactions(flavour):
    """Conflicts, limits, aborts and ends that do not end, as upstream has them."""
    def scenario(host):
        host.add_guest(8)
        tape, dom0 = Tape(host.add_guest(7)), Tape(host.client())
        tape.ok(WRITE, payload=b"data/x\0old")
        first, second = tape.start(), tape.start()
        for tx in (first, second):
            tape.ok(READ, "data/x", tx=tx)
            tape.ok(WRITE, payload=b"data/x\0in %d" % tx, tx=tx)
        dom0.ok(WRITE, payload=f"{HOME}/data/x\0new".encode())
        for tx in (first, second):
            assert tape.call(TRANSACTION_END, "X", tx=tx).payload == b"EINVAL\0"
            assert tape.end(tx).payload == b"EAGAIN\0"
            tape.call(READ, "data/x", tx=tx)
            tape.end(tx)
        # As many as upstream allows, and one more.
        opened = []
        while (reply := tape.call(TRANSACTION_START, payload=b"\0")).type != ERROR:
            opened.append(int(reply.payload.rstrip(b"\0")))
        assert len(opened) == 11
        for tx in opened:
            tape.call(TRANSACTION_START, payload=b"\0", tx=tx)
            tape.ok(READ, "data/x", tx=tx)
            assert tape.end(tx, commit=tx % 2).payload == b"OK\0"
        # Nobody is limited on a socket.
        several = [dom0.start() for _ in range(40)]
        for tx in several:
            dom0.ok(WRITE, payload=b"/tool/t%d\0x" % tx, tx=tx)
        for tx in reversed(several):
            dom0.end(tx)
        dom0.ok(DIRECTORY, "/tool")
        tape.end(0)
        return {"guest": tape.messages, "dom0": dom0.messages}

    same(flavour, scenario)


def test_watches(flavour):
    """Relative and absolute spellings, special paths, what a guest may not read, its own writes:
    the same events, spelt the same, in the same places between the replies."""
    def scenario(host):
        tape = Tape(host.add_guest(7))
        for path in ("data", f"{HOME}/data", "", "/", HOME, "data/deep/node", "/local/domain/8",
                     "@releaseDomain", "@introduceDomain", "memory/target", f"{HOME}/memory"):
            for token in ("one", "one", "two", ""):
                tape.call(WATCH, path, token)
        tape.call(WRITE, payload=b"data/deep/node\0x")
        tape.call(WRITE, payload=f"{HOME}/data/deep/node\0y".encode())
        tx = tape.start()
        tape.call(WRITE, payload=b"data/in-tx\0x", tx=tx)
        tape.call(MKDIR, "data/dir", tx=tx)
        tape.end(tx)
        tape.call(SET_PERMS, "data/deep", "n7", "r8")
        tape.call(RM, "data/deep")
        host.dom0.write(f"{HOME}/memory/target", "1")
        host.add_guest(8)
        host.dom0.release(8)
        tape.call(UNWATCH, f"{HOME}/data", "one")  # was added as "data"
        tape.call(UNWATCH, "data", "one")
        tape.call(UNWATCH, "data", "no such token")
        tape.call(WRITE, payload=b"data/last\0x")
        while not any(msg.payload.startswith(b"data/last\0two") for msg in tape.messages):
            tape.recv()
        tape.call(READ, "data/last")
        return tape.messages

    messages = same(flavour, scenario)
    spelt = {msg.payload for msg in messages if msg.type == WATCH_EVENT}
    assert {b"data/deep/node\0one\0", f"{HOME}/memory/target\0one\0".encode(),
            b"data/in-tx\0two\0"} <= spelt


def test_reset_watches(flavour):
    """It ends watches and transactions, upstream's and ours, and new ones can be made."""
    def scenario(host):
        tape = Tape(host.add_guest(7))
        for _ in range(3):
            tape.ok(WATCH, "data", "t")
            tape.event("data")
            tx = tape.start()
            assert tape.call(WATCH, f"{HOME}/data", "t").payload == b"EEXIST\0"
            tape.ok(RESET_WATCHES, payload=b"\0")
            tape.call(READ, "name", tx=tx)
            tape.call(UNWATCH, "data", "t")
            host.dom0.write(f"{HOME}/data/x", "1")
            tape.ok(xsclient.READ, "data/x")
        return tape.messages

    same(flavour, scenario)
