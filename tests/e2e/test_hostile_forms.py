# SPDX-License-Identifier: MIT
"""Messages that xsproxy and xenstored could read differently, and those with which a guest can end
xenstored: what is tracked stays what xenstored has, and xenstored stays."""

import http.client
import signal
import socket

import pytest

from hostile import HOME, OFFENDER, Memory, domain, refused, replies, scene
from ours import error_of, running, settings, tracked_transactions, tracked_watches
from relay import FLAVOURS, Tape, packet, same, wait_until
from versions import EXPECT
from xsclient import (CONTROL, DIRECTORY, DIRECTORY_PART, ERROR, GET_DOMAIN_PATH, GET_PERMS, MKDIR,
                      READ, RESET_WATCHES, RM, SET_PERMS, TRANSACTION_END, UNWATCH, WATCH, WRITE,
                      join)

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

ONE_STRING = (READ, DIRECTORY, GET_PERMS, MKDIR, RM, GET_DOMAIN_PATH)
NO_STRINGS = (b"", b"data", b"data\0x", b"data\0x\0", b"data\0\0", b"\0\0", b"data\0" + b"j" * 4091)
PASS = "[guard]\nmalformed = pass\n"


def test_unwatch_with_a_tail(flavour):
    """The C daemon ignores it, however long it is, and takes the watch away; oxenstored refuses.
    Thousands of them leave nothing behind."""
    def pair(i, tail):
        watch = b"data\0%d\0" % i
        return packet(WATCH, watch, 1) + packet(UNWATCH, watch + b"j" * (tail - len(watch)), 2)

    def scenario(host):
        guest = host.add_guest(OFFENDER)
        octets = b"".join(pair(i, tail) for i, tail in
                          enumerate((20, 1008, 1009, 4063, 4064, 4065, 4095, 4096)))
        return replies(guest, octets, 16)

    got = same(flavour, scenario)
    assert [error_of(msg) for msg in got[1::2]] == [None if flavour == "C" else "EINVAL"] * 8

    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        memory = Memory(host, EXPECT[flavour].watch_limit)
        for start in range(0, 2000, 50):
            got = replies(guest, b"".join(pair(i, 4096) for i in range(start, start + 50)), 100)
            assert {error_of(msg) for msg in got[1::2]} == {None if flavour == "C" else "EINVAL"}
            memory.check()
        left = 0 if flavour == "C" else EXPECT["O"].watch_limit
        assert len(tracked_watches(host.dom0, OFFENDER)) == left
        # Upstream's quota is as free as that.
        guest.call(RESET_WATCHES, b"\0")
        got = replies(guest, b"".join(packet(WATCH, b"data\0%d\0" % i)
                                      for i in range(EXPECT[flavour].watch_limit + 1)),
                      EXPECT[flavour].watch_limit + 1)
        assert [error_of(msg) for msg in got] == \
            [None] * EXPECT[flavour].watch_limit + [EXPECT[flavour].watch_quota]


def test_watch_with_a_tail(flavour):
    """Natively good with the C daemon, and so it is here, up to the largest message."""
    def scenario(host):
        tape = Tape(host.add_guest(OFFENDER))
        for length in (12, 1008, 1009, 4065, 4096):
            watch = b"data\0%d\0" % length
            tape.call(WATCH, payload=watch + b"j" * (length - len(watch)))
        return sorted(tape.messages)

    got = same(flavour, scenario)
    assert len([msg for msg in got if msg.type == WATCH]) == (5 if flavour == "C" else 0)


def test_end_in_every_form(flavour):
    """What ends a transaction natively ends it here; what does not leaves it open in both."""
    forms = (b"T\0", b"F\0", b"T", b"F", b"T\0F\0", b"T\0junk", b"F\0" + b"j" * 4094, b"TT\0",
             b"t\0", b"\0", b"T" * 4096)

    def scenario(host):
        tape = Tape(host.add_guest(OFFENDER))
        for form in forms:
            tx = tape.start()
            ended = tape.call(TRANSACTION_END, payload=form, tx=tx).type == TRANSACTION_END
            if host.proxied:
                assert (tx in tracked_transactions(host.dom0, OFFENDER)) != ended
            tape.call(READ, payload=HOME.encode() + b"/domid\0", tx=tx)
            tape.end(tx, commit=False)
        return tape.messages

    same(flavour, scenario)


def test_a_message_that_ends_xenstored(flavour):
    """READ and the like of what is not one string, after something that left errno 0: EINVAL, as
    oxenstored and later C daemons say; counted, and told the administrator."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        for i, payload in enumerate(NO_STRINGS):
            for type_ in ONE_STRING:
                guest.watch("data", f"{i} {type_}")
                got = replies(guest, packet(type_, payload, 7) + packet(READ, b"name\0", 8), 2)
                assert (error_of(got[0]), got[0].req_id) == ("EINVAL", 7)
                assert (got[1].payload, got[1].req_id) == (b"guest-7", 8)
        assert "refused a malformed READ that can end xenstored" in host.proxy.text()
        # Few lines, whatever it does.
        said = host.proxy.text().count("\n")
        replies(guest, packet(READ, b"x") * 500, 500)
        assert host.proxy.text().count("\n") <= said + 2
        assert domain(host)["state"] == "running"


def test_the_path_of_xsa_481(flavour):
    """C daemons of 4.18 to 4.21 abort on it; to all it is no path."""
    with scene(flavour) as host:
        guest = host.add_guest(OFFENDER)
        for type_, more in ((READ, ()), (DIRECTORY, ()), (DIRECTORY_PART, ("0",)), (GET_PERMS, ()),
                            (MKDIR, ()), (RM, ()), (WRITE, ("x",)), (SET_PERMS, ("n7",)),
                            (WATCH, ("t",)), (UNWATCH, ("t",))):
            assert error_of(guest.call(type_, join("/local/domain/", *more))) == "EINVAL"
        assert host.proxy.text().count("that can end xenstored") >= 3


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def malformed(port):
    """The metric, by operation."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    lines = [line for line in text.splitlines() if line.startswith("xsproxy_malformed_total{")]
    counts = {line.split('"')[1]: int(line.split()[-1]) for line in lines}
    return {name: count for name, count in counts.items() if count}


def test_metric(flavour):
    port = free_port()
    with running(flavour, config=f"[metrics]\nlisten = 127.0.0.1:{port}\n") as host:
        guest = host.add_guest(OFFENDER)
        for type_, payload in ((READ, b"name"), (READ, b""), (MKDIR, b"data/x\0y"), (UNWATCH, b"x"),
                               (TRANSACTION_END, b"X\0"), (READ, b"name\0"), (WRITE, b"x")):
            replies(guest, packet(type_, payload), 1)
        assert malformed(port) == {"READ": 2, "MKDIR": 1, "UNWATCH": 1, "TRANSACTION_END": 1}


def test_pass(flavour):
    """[guard] malformed = pass leaves it to xenstored: the answer is the native one. If that is an
    errno of before, something leaves one that is not 0; SIGHUP changes it."""
    def ask(guest):
        guest.call(READ, b"nowhere\0")
        return error_of(guest.call(READ, b"name"))

    native = "ENOENT" if EXPECT[flavour].by_errno else "EINVAL"
    with running(flavour, proxied=False) as host:
        assert ask(host.add_guest(OFFENDER)) == native
    with running(flavour, config=PASS) as host:
        guest = host.add_guest(OFFENDER)
        assert ask(guest) == native
        assert "malformed" not in host.proxy.text()
        conf = host.sim.dir / "xsproxy.conf"
        conf.write_text(conf.read_text().replace("= pass", "= refuse"))
        host.proxy.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "read the configuration again" in host.proxy.text())
        assert ask(guest) == "EINVAL"
        assert "[guard] malformed has changed" in host.proxy.text()
        assert "refused a malformed READ" in host.proxy.text()


def test_dom0_is_not_guarded(flavour):
    """What it asks is passed on, as xenstored trusts it."""
    with running(flavour) as host:
        host.add_guest(OFFENDER)
        for peer in (host.guest(0), host.client()):
            tape = Tape(peer)
            tape.call(READ, "/nowhere")
            answer = tape.call(READ, payload=b"/tool").payload
            assert answer == (b"ENOENT\0" if EXPECT[flavour].by_errno else b"EINVAL\0")


def test_live_update_from_a_guest(flavour, tmp_path):
    """oxenstored with allow-debug takes every CONTROL from anybody; this one would end it."""
    args = settings(tmp_path, {"allow-debug": "true"}) if flavour == "O" else ()
    with scene(flavour, daemon_args=args) as host:
        guest = host.add_guest(OFFENDER)
        for words in (("-s",), ("-f", "/bin/true"), ("-s", "-t", "0", "-F"), ()):
            assert error_of(guest.call(CONTROL, join("live-update", *words))) == "EACCES"
        assert guest.call(CONTROL, join("print", "hello")).type == (
            ERROR if flavour == "C" else CONTROL)
        assert refused(host, "CONTROL", "EACCES") == (5 if flavour == "C" else 4)
