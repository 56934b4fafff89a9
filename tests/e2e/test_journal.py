# SPDX-License-Identifier: MIT
"""What goes to the journal and with which fields, when it goes there, and that neither guests nor a
journald that hangs can do harm by it."""

import os
import socket
import subprocess

import pytest

import xensim
import xsclient
from harness import NO_MIRROR, Host
from ours import running
from relay import wait_until
from service import proxy_with, stuff


def read_journal(sock):
    """One entry: {field: value}."""
    fields = {}
    for line in sock.recv(65536).decode().splitlines():
        key, _, value = line.partition("=")
        fields[key] = value
    return fields


@pytest.fixture
def journal_host(tmp_path):
    """A host whose xsproxyd finds @tmp_path/socket where journald has its own."""
    script = ("mount -t tmpfs none /run/systemd && mkdir /run/systemd/journal && "
              f"mount --bind {tmp_path} /run/systemd/journal && exec \"$@\"")
    argv = ["unshare", "-m", "sh", "-c", script, "sh"]
    if not os.path.isdir("/run/systemd") or subprocess.run(
            [*argv, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this needs /run/systemd and the right to mount")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal, \
            Host("C", start=False, config=NO_MIRROR) as host:
        journal.bind(str(tmp_path / "socket"))
        journal.settimeout(xensim.TIMEOUT)
        host.journal = journal
        host.argv = argv
        host.start_daemon()
        log = host.sim.dir / "xsproxyd.log"
        log.touch()
        host.stream = f"{log.stat().st_dev}:{log.stat().st_ino}"
        yield host


def test_journal_fields(journal_host):
    host = journal_host
    with proxy_with(host, host.argv, {"JOURNAL_STREAM": host.stream}) as notify:
        notify.wait("READY=1")
        entry = read_journal(host.journal)
        assert entry["SYSLOG_IDENTIFIER"] == "xsproxyd"
        assert entry["PRIORITY"] == "5" and entry["MESSAGE"].startswith("connected to the bridge")
        assert "DOMID" not in entry
        guest = host.add_guest(7)
        with pytest.raises(xsclient.XsError):
            guest.write("/local/domain/0/forbidden", "x")
        entry = read_journal(host.journal)
        assert entry["DOMID"] == "7" and entry["REQUEST"] == "WRITE" and entry["PRIORITY"] == "5"
        assert entry["MESSAGE"].startswith(
            f"d7 s{entry['SESSION']}: WRITE of /local/domain/0/forbidden was refused")
        assert "DOMAIN" not in entry
        guest.reconnect()
        entry = read_journal(host.journal)
        assert entry["DOMID"] == "7" and "reconnects" in entry["MESSAGE"]
        assert "REQUEST" not in entry
        assert host.proxy.text() == ""


def test_the_name(journal_host):
    """As the mirror has it: what cannot stand in a line is made harmless, and a change is seen."""
    host = journal_host
    host.config = ""  # with a mirror
    with proxy_with(host, host.argv, {"JOURNAL_STREAM": host.stream}) as notify:
        notify.wait("READY=1")
        guest = host.add_guest(7)
        host.settle_mirror()
        for name, said in (("web", "web"), ("a) s9: (b\nc\x1b[2J", "a??s9:??b?c?[2J"),
                           ("x" * 100, "x" * 39)):
            host.dom0.write("/local/domain/7/name", name)
            guest.reconnect()
            entry = next_about(host.journal, "7")
            assert entry["DOMAIN"] == said
            assert entry["MESSAGE"].startswith(f"d7({said}) s{entry['SESSION']}: ")


def next_about(journal, domid):
    """The next entry about a domain."""
    while True:
        entry = read_journal(journal)
        if entry.get("DOMID") == domid:
            return entry


def test_a_journald_that_hangs_stops_nobody(journal_host):
    """Its socket takes nothing more: lines are lost and counted, guests are served."""
    host = journal_host
    filled = stuff(host.journal.getsockname(), b"MESSAGE=noise\n")
    with proxy_with(host, host.argv, {"JOURNAL_STREAM": host.stream}) as notify:
        notify.wait("READY=1")
        guest = host.add_guest(7)
        with pytest.raises(xsclient.XsError):
            guest.write("/local/domain/0/forbidden", "x")
        with pytest.raises(xsclient.XsError):
            guest.mkdir("/local/domain/0/forbidden")
        assert guest.read("domid") == b"7"
        for _ in range(filled):
            assert read_journal(host.journal) == {"MESSAGE": "noise"}
        with pytest.raises(xsclient.XsError):
            guest.rm("/local/domain/0/name")
        entry = read_journal(host.journal)
        # That it found the bridge, and the first two refusals.
        assert entry["MESSAGE"] == "journald did not take 3 lines, they are lost"
        assert entry["PRIORITY"] == "4"
        assert read_journal(host.journal)["REQUEST"] == "RM"


def test_stderr_where_it_is_not_the_journal(journal_host):
    """JOURNAL_STREAM is inherited by whoever is started from a service; stderr may be elsewhere."""
    host = journal_host
    with proxy_with(host, host.argv, {"JOURNAL_STREAM": "1:2"}) as notify:
        notify.wait("READY=1")
        wait_until(lambda: "connected to the bridge" in host.proxy.text())


def test_a_guest_cannot_flood_the_log():
    with running("C") as host:
        guest = host.add_guest(7)
        for _ in range(100):
            guest.reconnect()
        assert host.proxy.text().count("reconnects") <= 10
