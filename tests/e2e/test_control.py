# SPDX-License-Identifier: MIT
"""The control socket: what it shows, what it does, and what nobody can do to it."""

import json
import os
import pwd
import re
import socket
import stat
import subprocess
import sys

import pytest

import xsclient
from control import Control, ControlError
from harness import Host
from ours import error_of
from versions import EXPECT

FLAVOURS = ("C", "O")

STATUS_KEYS = {"version", "pid", "socket", "uptime", "state", "reason", "bridge_lacks", "xenstored",
               "domains", "states", "unknown_domains", "near_limit", "clients",
               "clients_waiting", "clients_waited", "keeper", "keeper_foreign", "clients_kept",
               "mirror_broken", "hold_new", "log_level", "config_error", "exchange",
               "last_exchange"}
DOMAIN_KEYS = {"domid", "state", "reason", "introduced", "stopped", "session", "watches",
               "watches_max", "near_limit", "transactions", "requests", "oldest_ms",
               "unread_ms", "queued", "watch_octets", "watch_bound", "memory",
               "events", "replies", "unfinished", "refusals", "last_error"}


@pytest.fixture
def control(host):
    with Control(host) as connection:
        # Toolstack clients may be served a moment before the bridge has said hello.
        connection.wait(lambda status: status["state"] == "running", "status")
        yield connection


def domids(control):
    return [domain["domid"] for domain in control.run("domains")["domains"]]


# --- what it shows

def test_status(host, control):
    status = control.run("status")
    assert set(status) == STATUS_KEYS
    assert status["state"] == "running"
    assert status["pid"] == host.proxy.pid
    assert status["xenstored"] == {"name": {"C": "xenstored", "O": "oxenstored"}[host.flavour],
                                   "pid": host.daemon.pid}
    assert status["domains"] == 1
    assert status["clients"] == 1
    host.add_guest(7)
    assert control.run("status")["domains"] == 2


def test_status_without_xenstored():
    with Host("C", start=False) as host:
        host.start_proxy()
        with Control(host) as control:
            status = control.run("status")
            assert (status["state"], status["xenstored"]) == ("waiting", None)
            assert control.run("domains") == {"domains": [], "next": None}
            for command in ("quiesce", "unquiesce", "hold", "watches", "transactions"):
                assert control.said(command, domid=7) == "NotReady"
            assert control.said("hold", new=True) == "NotReady"
            assert control.said("domain", domid=7) == "NotFound"


def test_domains(host, control):
    guest = host.add_guest(7)
    guest.watch("data", "t")
    guest.start()
    domain = control.run("domain", domid=7)
    assert set(domain) == DOMAIN_KEYS
    assert domain["domid"] == 7 and domain["introduced"] and domain["state"] == "running"
    assert (domain["watches"], domain["transactions"]) == (1, 1)
    assert (domain["requests"], domain["refusals"], domain["last_error"]) == (0, [], None)
    assert control.run("domains")["domains"][1] == domain
    host.dom0.release(7)
    assert domids(control) == [0]
    assert control.said("domain", domid=7) == "NotFound"


def test_queued_octets_and_requests_under_way(host, control):
    """Events of a quiesced guest wait in xsproxy."""
    guest = host.add_guest(7)
    guest.watch("data", "t")
    guest.wait_watch()
    control.run("quiesce", domid=7)
    host.dom0.write("/local/domain/7/data", "x")
    control.wait(lambda domain: domain["queued"] > 16, "domain", domid=7)
    control.run("unquiesce", domid=7)
    guest.wait_watch()
    assert control.wait(lambda domain: not domain["queued"], "domain", domid=7)


def test_domains_in_pages(host, control):
    ports = host.sim.create_range(1, 140)
    for domid, (port, gfn) in ports.items():
        host.dom0.introduce(domid, gfn, port)
    first = control.run("domains")
    assert [domain["domid"] for domain in first["domains"]] == list(range(128))
    assert first["next"] == 128
    second = control.run("domains", index=first["next"])
    assert [domain["domid"] for domain in second["domains"]] == list(range(128, 141))
    assert second["next"] is None


def test_watches(host, control):
    guest = host.add_guest(7)
    guest.watch("data", "t")
    guest.watch("@releaseDomain", "r")
    guest.watch("/local/domain/7/data", "t2")
    reply = control.run("watches", domid=7)
    assert [(watch["path"], watch["token"]) for watch in reply["watches"]] == [
        ("data", "t"), ("@releaseDomain", "r"), ("/local/domain/7/data", "t2")]
    assert reply["next"] == 3
    assert control.run("watches", domid=7, index=3)["next"] is None
    again = control.run("watches", domid=7, index=1)
    assert len(again["watches"]) == 2 and again["generation"] == reply["generation"]
    guest.unwatch("data", "t")
    assert control.run("watches", domid=7)["generation"] != reply["generation"]


def test_who_holds_my_watches(host, control):
    """All of them come, page by page."""
    guest = host.add_guest(7)
    tokens = [f"{'x' * 300}{i}" for i in range(60)]
    for token in tokens:
        guest.watch("data", token)
    found, index = [], 0
    while index is not None:
        page = control.run("watches", domid=7, index=index)
        found += [watch["token"] for watch in page["watches"]]
        index = page["next"]
    assert found == tokens


def test_octets_that_are_no_text(host, control):
    guest = host.add_guest(7)
    shown = {b"plain": "plain", "tschüß".encode(): "tschüß", b"\xff\xfe": "\\xff\\xfe",
             b"a\x1b[2J\x7f": "a\\x1b[2J\\x7f", b"back\\slash": "back\\\\slash",
             b"\xc0\xaf": "\\xc0\\xaf", b"\xed\xa0\x80": "\\xed\\xa0\\x80",
             "\u20ac\U0001f600".encode(): "\u20ac\U0001f600", b"cut\xe2\x82": "cut\\xe2\\x82",
             b"\xc2\x9b": "\\xc2\\x9b"}
    for token in shown:
        guest.request(xsclient.WATCH, b"data\0" + token + b"\0")
    watches = control.run("watches", domid=7)["watches"]
    assert [watch["token"] for watch in watches] == list(shown.values())


def test_transactions(host, control):
    guest = host.add_guest(7)
    assert control.run("transactions", domid=7) == {"transactions": []}
    ids = [guest.start(), guest.start()]
    assert control.run("transactions", domid=7) == {"transactions": ids}
    assert control.said("transactions", domid=8) == "NotFound"


# --- refusals

def test_refusals_are_counted_and_logged(host, control):
    guest = host.add_guest(7)
    expect = EXPECT[host.flavour]
    quota = expect.watch_quota
    for i in range(expect.watch_limit):
        guest.watch("data", str(i))
    for i in range(5):
        with pytest.raises(xsclient.XsError, match=quota):
            guest.watch("data", f"more{i}")
    for i in range(expect.tx_limit):
        guest.start()
    with pytest.raises(xsclient.XsError):
        guest.start()
    with pytest.raises(xsclient.XsError, match="EACCES"):
        guest.write("/local/domain/0/forbidden", "x")
    with pytest.raises(xsclient.XsError, match="ENOENT"):
        guest.read("nonsense")
    domain = control.run("domain", domid=7)
    refusals = {(entry["request"], entry["error"]): entry["count"]
                for entry in domain["refusals"]}
    assert refusals == {("WATCH", quota): 5, ("TRANSACTION_START", expect.tx_quota): 1,
                        ("WRITE", "EACCES"): 1}
    assert domain["last_error"] == "WRITE: EACCES"
    causes = {entry["request"]: entry["cause"] for entry in domain["refusals"]}
    assert causes == {"WATCH": "watches", "TRANSACTION_START": "transactions",
                      "WRITE": "permission"}
    log = host.proxy.text()
    assert log.count(f"WATCH of data was refused with {quota}: it has {expect.watch_limit} watches;"
                     " see xsproxyctl watches 7") == 1
    assert log.count(f"TRANSACTION_START was refused with {expect.tx_quota}: it has "
                     f"{expect.tx_limit} transactions open; see xsproxyctl transactions 7") == 1
    assert log.count("WRITE of /local/domain/0/forbidden was refused with EACCES; it has no "
                     "permission") == 1
    assert re.search(rf"d7(\(guest-7\))? s{domain['session']}: ", log)


def test_a_directory_that_is_asked_for_in_parts_is_no_refusal(host, control):
    """As xenstore-ls does it of one above 4096 octets."""
    guest = host.add_guest(7)
    for i in range(70):
        host.dom0.mkdir(f"/local/domain/7/data/{i:064}")
    error = error_of(guest.call(xsclient.DIRECTORY, b"data\0"))
    if host.flavour == "C":
        assert error == "E2BIG"
        assert guest.request(xsclient.DIRECTORY_PART, b"data\0" b"0\0")
    with pytest.raises(xsclient.XsError, match="EACCES"):
        guest.write("/local/domain/0/forbidden", "x")
    refusals = control.run("domain", domid=7)["refusals"]
    assert [entry["request"] for entry in refusals] == ["WRITE"]
    assert "DIRECTORY" not in host.proxy.text()


def test_toolstack_errors_are_no_refusals(host, control):
    with pytest.raises(xsclient.XsError):
        host.dom0.set_perms("/", "x9")
    assert control.run("domain", domid=0)["refusals"] == []


def test_a_fault_is_the_last_error(host, control):
    guest = host.add_guest(7)
    guest.send_raw(xsclient.HEADER.pack(xsclient.READ, 1, 0, 5000))
    domain = control.wait(lambda found: found["state"] == "ended", "domain", domid=7)
    assert "4096" in domain["last_error"]


# --- the protocol

def test_errors_of_form(control):
    for line in ("", "nonsense", "[]", "7", '{"execute":7}', "{}", '{"execute":"status"',
                 '{"execute":"status","arguments":[]}', '{"execute":"status","extra":1}',
                 '{"execute":"status","execute":"status"}', '{"execute":"status"} x',
                 b'{"execute":"\xff"}\n', "[" * 9000):
        control.send_raw(line)
        reply = control.recv()
        assert reply["error"]["class"] == "BadRequest", line
        assert "id" not in reply or reply["id"] is None
    assert control.run("status")["state"] == "running"


@pytest.mark.parametrize("command, arguments", [
    ("status", {"domid": 7}), ("domain", {}), ("domain", {"domid": "7"}), ("domain", {"domid": -1}),
    ("domain", {"domid": 32752}), ("domain", {"domid": 7.0}), ("domain", {"domid": None}),
    ("domain", {"domid": 1, "index": 0}), ("watches", {"domid": 1, "index": -1}),
    ("watches", {"domid": 1, "index": 1 << 32}), ("quiesce", {"domid": 1, "lease": 1}),
    ("hold", {}), ("hold", {"domid": 1, "new": True}), ("hold", {"new": "yes"}),
    ("log-level", {"level": "loud"}), ("log-level", {"level": 7}), ("mirror", {"check": 1}),
])
def test_bad_arguments(arguments, command):
    with Host("C", start=False) as host:
        host.start_proxy()
        with Control(host) as control:
            assert control.said(command, **arguments) == "BadRequest"
            assert control.run("status")["state"] == "waiting"


def test_unknown_command(control):
    with pytest.raises(ControlError, match="'reboot'") as error:
        control.run("reboot")
    assert error.value.error_class == "CommandNotFound"
    # Quoted in part, and cut in the middle of a character.
    assert control.said("x" * 39 + "\u00fc") == "CommandNotFound"


def test_ids_come_back(control):
    for value in (1, "x", None, [1, {"a": 2}], 1.5):
        control.send_raw(json.dumps({"execute": "log-level", "id": value}))
        assert control.recv()["id"] == value
    control.send_raw('{"execute":"log-level"}')
    assert "id" not in control.recv()


def test_many_lines_at_once(control):
    control.send_raw(b'{"execute":"log-level","id":1}\n' * 500)
    assert [control.recv()["id"] for _ in range(500)] == [1] * 500


def test_a_client_that_only_writes_gets_its_answers(host, control):
    """`echo '{"execute":"status"}' | socat - UNIX-CONNECT:control`"""
    with Control(host) as other:
        other.send_raw('{"execute":"status"}\n{"execute":"domains"}')
        other.sock.shutdown(socket.SHUT_WR)
        assert other.recv()["return"]["pid"] == control.run("status")["pid"]
        assert "domains" in other.recv()["return"]
        assert other.ended()


def test_log_level(host, control):
    assert control.run("log-level") == {"level": "debug"}
    control.run("log-level", level="error")
    assert control.run("status")["log_level"] == "error"
    guest = host.add_guest(7)
    with pytest.raises(xsclient.XsError):
        guest.write("/local/domain/0/forbidden", "x")
    assert "forbidden" not in host.proxy.text() and "EACCES" not in host.proxy.text()


# --- nobody is harmed

def test_an_oversized_line_ends_its_connection(host, control):
    for line in (b"x" * 70000, b'{"execute":"' + b"y" * 70000 + b'"}\n'):
        with Control(host) as other:
            try:
                other.send_raw(line)
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert other.ended()
    assert control.run("status")["pid"] == host.proxy.pid


def test_a_client_that_never_reads(host, control):
    guest = host.add_guest(7)
    with Control(host) as other:
        other.sock.settimeout(0)
        sent = 0
        with pytest.raises(BlockingIOError):
            while sent < 1 << 24:
                sent += other.sock.send(b'{"execute":"domains"}\n' * 100)
        assert guest.read("domid") == b"7"
        assert control.run("status")["pid"] == host.proxy.pid
        with open(f"/proc/{host.proxy.pid}/status", encoding="ascii") as status:
            rss = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        assert rss < 400_000
    assert control.run("status")["pid"] == host.proxy.pid


def test_a_hundred_idle_clients(host, control):
    with Control(host) as leased:
        guest = host.add_guest(7)
        leased.run("quiesce", domid=7, lease=True)
        idle = [Control(host) for _ in range(100)]
        with Control(host) as other:
            assert other.state(7) == "leased"
        for client in idle:
            client.close()
        # Who holds a lease is not turned away.
        leased.run("unquiesce", domid=7)
        assert guest.read("domid") == b"7"


def test_only_root_gets_in(host):
    path = host.run_dir / "control"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(host.run_dir).st_mode) == 0o700
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    # Even with a path that lets them through: the peer is looked at.
    nobody = pwd.getpwnam("nobody").pw_uid
    script = ("import os, socket, sys\n"
              "s = socket.socket(socket.AF_UNIX)\n"
              "d = os.open(sys.argv[1], os.O_PATH)\n"
              f"os.chmod(sys.argv[1], 0o666)\n"
              f"os.setresuid({nobody}, {nobody}, {nobody})\n"
              "try:\n"
              "    s.connect(f'/proc/self/fd/{d}')\n"
              "    s.sendall(b'{\"execute\":\"status\"}\\n')\n"
              "    print(s.recv(100))\n"
              "except OSError as err:\n"
              "    print(err)\n")
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True,
                          check=True)
    assert "return" not in done.stdout
    assert done.stdout.strip() in ("b''", "[Errno 32] Broken pipe",
                                   "[Errno 104] Connection reset by peer")
    with Control(host) as control:
        control.run("status")
    assert "another user on the control socket" in host.proxy.text()
