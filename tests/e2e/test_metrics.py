# SPDX-License-Identifier: MIT
"""GET /metrics: valid, the same numbers as the control socket's, few domains by name, and nothing
that a scraper does holds anybody up."""

import contextlib
import http.client
import os
import random
import select
import signal
import socket
import stat
import subprocess
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

import exposition
import xensim
import xsclient
from control import Control
from harness import Host
from ours import running
from relay import FLAVOURS, open_files, wait_closed, wait_until

CONNECTIONS = 8
DOMAIN_COUNTERS = ("requests", "errors", "events", "received_bytes", "sent_bytes",
                   "ring_full_seconds", "unread_seconds", "answered", "answered_seconds")


def config(listen, domains=100):
    return f"[metrics]\nlisten = {listen}\ndomains = {domains}\n"


def free_address():
    """A loopback address and a port that nobody else has in mind."""
    host = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
    with socket.socket() as sock:
        sock.bind((host, 0))
        return sock.getsockname()


@pytest.fixture
def at():
    return free_address()


@contextlib.contextmanager
def serving(flavour, at, domains=100):
    with running(flavour, config=config("%s:%d" % at, domains)) as host:
        with Control(host) as control:
            control.wait(lambda status: status["state"] == "running", "status")
        yield host


def fetch(at, method="GET", path="/metrics", **kwargs):
    """(status, headers, body)"""
    connection = http.client.HTTPConnection(*at, timeout=2 * xensim.TIMEOUT)
    try:
        connection.request(method, path, **kwargs)
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read().decode()
    finally:
        connection.close()


def scrape(at):
    status, headers, body = fetch(at)
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return exposition.parse(body)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=xensim.TIMEOUT)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def scrape_unix(path):
    connection = UnixConnection(path)
    try:
        connection.request("GET", "/metrics")
        return exposition.parse(connection.getresponse().read().decode())
    finally:
        connection.close()


def scrape_until(at, what):
    """Scrape until what(families): a text may be a second old."""
    found = []

    def good():
        found[:] = [scrape(at)]
        return what(found[0])
    wait_until(good)
    return found[0]


def requests_of(families, domid):
    return families["xsproxy_domain_requests_total"].value(domid)


def busy(guest, n):
    for _ in range(n):
        guest.write("data/x", "1")


# --- the text

@pytest.mark.parametrize("flavour", ("C", "O"))
def test_the_numbers_are_those_of_the_control_socket(flavour, at):
    with serving(flavour, at) as host, Control(host) as control:
        guest = host.add_guest(7)
        busy(guest, 5)
        guest.watch("data", "t")
        guest.wait_watch()
        with pytest.raises(xsclient.XsError):
            guest.read("data/none")
        guest.start()
        families = scrape(at)
        stats, load = control.run("stats"), control.run("load", index=0)
        clients = control.run("status")["clients"]
    counts = {op: n for op, n in families["xsproxy_requests_total"].by_label().items() if n}
    assert counts == stats["requests"]
    assert {name: n for name, n in families["xsproxy_errors_total"].by_label().items() if n} == \
        stats["errors"] == {"ENOENT": 1}
    for name, key in (("sessions", "sessions"), ("events", "events"),
                      ("received_bytes", "octets_in"), ("sent_bytes", "octets_out")):
        assert families[f"xsproxy_{name}_total"].value() == stats[key]
    for name, part in (("", "total"), ("_proxy", "proxy"), ("_upstream", "upstream")):
        histogram = families[f"xsproxy_request{name}_seconds"].samples
        times = stats["time"][part]
        assert histogram["_count", None] == times["count"]
        assert histogram["_sum", None] == pytest.approx(times["sum"] / 1e9, abs=1e-9)
        for (suffix, bound), number in histogram.items():
            if suffix == "_bucket":
                assert number == sum(n for up_to, n in times["buckets"]
                                     if (up_to or 1e30) <= float(bound) * 1e9 + 0.5), bound
    row, = (row for row in load["rows"] if row["domid"] == 7)
    for name, key in (("requests_total", "requests"), ("errors_total", "errors"),
                      ("events_total", "events"), ("received_bytes_total", "octets_in"),
                      ("sent_bytes_total", "octets_out"), ("watches", "watches"),
                      ("transactions", "transactions"), ("requests_under_way", "under_way")):
        assert families[f"xsproxy_domain_{name}"].value("7") == row[key], name
    assert row["transactions"] == row["watches"] == 1
    assert requests_of(families, "toolstack") == load["clients"]["requests"]
    assert families["xsproxy_domains"].total() == 2
    assert families["xsproxy_toolstack_clients"].value() == clients
    assert families["xsproxy_xenstored_connected"].value() == 1


def test_prometheus_own_parser_reads_the_same(at):
    with serving("C", at) as host:
        busy(host.add_guest(7), 3)
        text = fetch(at)[2]
    theirs = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sample.labels.values())[:1]
            theirs[key] = theirs.get(key, 0) + sample.value
    ours = {}
    for family in exposition.parse(text).values():
        for (suffix, label), number in family.samples.items():
            if family.name != "xsproxy_build_info":
                ours[family.name + suffix, (label,) if label else ()] = number
    theirs = {key: value for key, value in theirs.items() if key[0] != "xsproxy_build_info"}
    assert ours == theirs and len(ours) > 100


@pytest.mark.parametrize("flavour", ("C", "O"))
def test_the_busiest_have_names_and_the_others_only_grow(flavour, at):
    with serving(flavour, at, domains=2) as host:
        guests = {domid: host.add_guest(domid) for domid in range(1, 6)}
        for domid, guest in guests.items():
            busy(guest, 10 * domid)
        first = scrape(at)
        assert set(first["xsproxy_domain_requests_total"].by_label()) == {
            "4", "5", "other", "toolstack"}
        assert (requests_of(first, "4"), requests_of(first, "5")) == (40, 50)
        assert requests_of(first, "other") == 10 + 20 + 30
        # Domain 1 gets a name. What it did before that stays with the others.
        busy(guests[1], 90)
        busy(guests[2], 7)
        second = scrape_until(at, lambda families: requests_of(families, "other") == 67)
        assert requests_of(second, "1") == 100
        assert "4" not in second["xsproxy_domain_requests_total"].by_label()
        # One that is gone takes nothing away.
        host.dom0.release(3)
        busy(guests[4], 1)
        third = scrape_until(at, lambda families: requests_of(families, "other") == 68)
        assert third["xsproxy_domains"].total() == first["xsproxy_domains"].total() - 1
        for name in DOMAIN_COUNTERS:
            values = [families[f"xsproxy_domain_{name}_total"].value("other")
                      for families in (first, second, third)]
            assert values == sorted(values), name


def test_the_number_of_lines_does_not_grow_with_the_domains(at):
    with serving("C", at, domains=5) as host:
        for domid in range(1, 6):
            host.add_guest(domid)
        before = len(fetch(at)[2].splitlines())
        for domid, (port, gfn) in host.sim.create_range(6, 300).items():
            host.dom0.introduce(domid, gfn, port)
        families = scrape_until(at, lambda families: families["xsproxy_domains"].total() == 301)
        assert len(families["xsproxy_domain_watches"].samples) == 6
        assert len(fetch(at)[2].splitlines()) == before


def test_sighup_changes_how_many_have_names(at):
    with serving("C", at) as host:
        busy(host.add_guest(7), 1)
        assert requests_of(scrape(at), "7") == 1
        host.config = config("%s:%d" % at, 0)
        host._config()
        host.proxy.process.send_signal(signal.SIGHUP)
        families = scrape_until(
            at, lambda families: len(families["xsproxy_domain_watches"].samples) == 1)
        assert set(families["xsproxy_domain_requests_total"].by_label()) == {"other", "toolstack"}


def test_without_a_xenstored(at):
    with Host("C", start=False, config=config("%s:%d" % at)) as host:
        host.start_proxy()
        families = scrape(at)
        assert families["xsproxy_xenstored_connected"].value() == 0
        assert families["xsproxy_domains"].total() == 0


# --- what a scraper may do

def test_other_requests_are_refused(at):
    with serving("C", at):
        assert fetch(at, path="/")[0] == 404
        assert fetch(at, path="/metrics/x")[0] == 404
        assert fetch(at, path="/metrics?x=1")[0] == 200
        for method in ("HEAD", "POST", "DELETE"):
            status, headers, _ = fetch(at, method=method)
            assert (status, headers["Allow"]) == (405, "GET")
        assert fetch(at, method="POST", body="x")[0] >= 400
        assert fetch(at, headers={"X": 9000 * "x"})[0] >= 400
        for octets in (b"\0\xff\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"",
                       b"GET /metrics"):
            with socket.create_connection(at) as sock:
                sock.sendall(octets)
                sock.shutdown(socket.SHUT_WR)
                sock.settimeout(xensim.TIMEOUT)
                reply = sock.recv(65536)
                assert not reply or b" 4" in reply.splitlines()[0], octets
        scrape(at)


def test_each_connection_has_one_answer(at):
    with serving("C", at), socket.create_connection(at) as sock:
        sock.settimeout(xensim.TIMEOUT)
        sock.sendall(2 * b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        octets = b""
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(65536):
                octets += data
        assert octets.count(b"HTTP/1.1 ") == 1


def test_slow_scrapers_are_few_and_come_to_an_end(at):
    with serving("C", at) as host, contextlib.ExitStack() as stack:
        guest = host.add_guest(7)
        before = open_files(host.proxy)
        scrape(at)
        wait_closed(host.proxy, before)
        slow = [stack.enter_context(socket.create_connection(at)) for _ in range(2 * CONNECTIONS)]
        for sock in slow:
            sock.sendall(b"GET /metrics HTTP/1.1\r\n")
        wait_until(lambda: len(open_files(host.proxy)) == len(before) + CONNECTIONS)
        guest.read("domid")
        # Those that hold the places go on slowly; the last ones, whose requests are whole, wait.
        for sock in slow[CONNECTIONS:]:
            sock.sendall(b"\r\n")
        deadline = time.monotonic() + 2 * xensim.TIMEOUT
        held = slow[:CONNECTIONS]
        while held:
            assert time.monotonic() < deadline
            assert len(open_files(host.proxy)) <= len(before) + CONNECTIONS
            held = [sock for sock in held if drips(sock)]
        for sock in slow[CONNECTIONS:]:
            sock.settimeout(2 * xensim.TIMEOUT)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        scrape(at)
        wait_closed(host.proxy, before)
        guest.read("domid")


def drips(sock):
    """Send one octet of a header that never ends; False once the connection is over."""
    try:
        sock.sendall(b"x")
        sock.settimeout(0.5)
        return bool(sock.recv(1))
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def test_one_that_does_not_read(tmp_path):
    """Its answer is dropped in the end, and others are served meanwhile."""
    path = tmp_path / "metrics"
    with running("C", config=config(f"unix:{path}", 1000)) as host, \
            socket.socket(socket.AF_UNIX) as sock:
        # Their text does not fit the socket's buffer.
        for domid, (port, gfn) in host.sim.create_range(1, 600).items():
            host.dom0.introduce(domid, gfn, port)
        before = open_files(host.proxy)
        sock.connect(str(path))
        sock.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        select.select([sock], [], [], xensim.TIMEOUT)
        assert scrape_unix(path)["xsproxy_domains"].total() == 601
        assert len(open_files(host.proxy)) > len(before)
        wait_closed(host.proxy, before)


def test_what_has_no_end_is_cut_off(tmp_path):
    """What one sends and nobody reads is not kept either: the line before a chunk has no limit of
    its own, nor has what follows a request whose answer is not read."""
    path = tmp_path / "metrics"
    with running("C", config=config(f"unix:{path}", 1000)) as host:
        for domid, (port, gfn) in host.sim.create_range(1, 600).items():
            host.dom0.introduce(domid, gfn, port)
        before = open_files(host.proxy)
        for request in (b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                        b"GET /metrics HTTP/1.1\r\n\r\n"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(xensim.TIMEOUT)
                sock.connect(str(path))
                sock.sendall(request)
                with pytest.raises(ConnectionError):
                    sock.sendall(bytes(4 << 20))
        wait_closed(host.proxy, before)
        assert scrape_unix(path)["xsproxy_domains"].total() == 601


# --- where it listens

def listening(process):
    """Inodes of internet sockets that a process has."""
    inodes = set()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/{process.pid}/net/{name}", encoding="ascii") as table:
            inodes |= {line.split()[9] for line in list(table)[1:]}
    links = open_files(process)
    return {inode for inode in inodes if f"socket:[{inode}]" in links}


def test_it_is_off_unless_configured(at):
    with running("C") as host:
        assert listening(host.proxy) == set()
    with serving("C", at) as host:
        assert len(listening(host.proxy)) == 1


def test_ipv6():
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        port = sock.getsockname()[1]
    with running("C", config=config(f"[::1]:{port}")):
        assert scrape(("::1", port))["xsproxy_domains"].total() >= 1


def test_a_port_in_use_costs_only_the_metrics(at):
    with socket.socket() as sock:
        sock.bind(at)
        sock.listen()
        with serving("C", at) as host:
            assert "no metrics: cannot listen on %s:%d: Address already in use" % at \
                in host.proxy.text()
            host.add_guest(7).read("domid")


def test_a_unix_socket(tmp_path):
    path = tmp_path / "metrics"
    with running("C", config=config(f"unix:{path}")) as host:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for _ in range(2):
            assert scrape_unix(path)["xsproxy_xenstored_connected"].value() == 1
            # One that was killed leaves its socket behind; the next takes its place.
            host.proxy.kill()
            host.start_proxy()
            host.client().directory("/")
    assert not path.exists()


def test_a_file_at_its_place_stays(tmp_path):
    path = tmp_path / "metrics"
    path.write_text("mine")
    with running("C", config=config(f"unix:{path}")) as host:
        assert f"no metrics: cannot listen on unix:{path}: File exists" in host.proxy.text()
    assert path.read_text() == "mine"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_domains_by_their_names(at, flavour):
    """What the toolstack calls a domain, whatever it writes there, and when it changes it."""
    def info():
        text = fetch(at)[2]
        exposition.parse(text)
        family, = (family for family in text_string_to_metric_families(text)
                   if family.name == "xsproxy_domain_info")
        return {sample.labels["domid"]: (sample.labels["name"], sample.labels["uuid"])
                for sample in family.samples}

    with serving(flavour, at) as host:
        host.settle_mirror()
        host.add_guest(7)
        host.dom0.write("/local/domain/7/vm", "/vm/0e4ba1a3")
        assert wait_until(lambda: info().get("7") == ("guest-7", "0e4ba1a3"), timeout=10)
        assert info()["0"] == ("", "")
        host.dom0.write("/local/domain/7/name", b'a"b\\c\n\xff')
        host.dom0.write("/local/domain/7/vm", "/other")
        assert wait_until(lambda: info()["7"] == ('a"b\\c\\x0a\\xff', ""), timeout=10)
        host.dom0.write("/local/domain/7/name", "n" * 1000)
        assert wait_until(lambda: info()["7"][0] == "n" * 128, timeout=10)


def test_names_without_a_mirror(at):
    with running("C", config=config("%s:%d" % at) + "[mirror]\nenabled = off\n") as host:
        host.add_guest(7)
        families = scrape_until(at, lambda families: families["xsproxy_domains"].total() == 2)
        assert set(families["xsproxy_domain_info"].by_label()) == {"0", "7"}
        assert 'xsproxy_domain_info{domid="7",name="",uuid=""} 1' in fetch(at)[2]


def test_over_the_control_socket():
    """The same text where nobody listens, for a textfile collector."""
    with running("C") as host:
        host.add_guest(7)
        done = subprocess.run([xensim.BUILD / "xsproxyctl", "metrics", "--control",
                               host.run_dir / "control"], capture_output=True, text=True,
                              check=True, timeout=xensim.TIMEOUT)
        families = exposition.parse(done.stdout)
        assert not done.stderr and families["xsproxy_domains"].total() == 2


def test_the_process(at):
    """What is known of any process, by the names that all have for it."""
    with serving("C", at) as host:
        families = scrape(at)
        fds = len(os.listdir(f"/proc/{host.proxy.pid}/fd"))
        assert abs(families["process_open_fds"].value() - fds) <= 2
        with open(f"/proc/{host.proxy.pid}/limits", encoding="ascii") as limits:
            soft, = (line.split()[3] for line in limits if line.startswith("Max open files"))
        assert families["process_max_fds"].value() == int(soft)
        assert 0 < families["process_cpu_seconds_total"].value() < 60
        assert (0 < families["process_resident_memory_bytes"].value() <
                families["process_virtual_memory_bytes"].value())
        assert abs(families["process_start_time_seconds"].value() - time.time()) < 60


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_who_was_refused_what(at, flavour):
    """By domain and error, so that a quota can be told from what is only not there."""
    with serving(flavour, at) as host:
        guest = host.add_guest(7)
        for path in ("/vm/x", "/vm/y"):
            with pytest.raises(xsclient.XsError):
                guest.write(path, "1")
        with pytest.raises(xsclient.XsError):
            guest.read("data/none")
        assert wait_until(lambda: requests_of(scrape(at), "7") == 3, timeout=10)
        lines = [line for line in fetch(at)[2].splitlines()
                 if line.startswith('xsproxy_domain_refused_total{domid="7"')]
        assert sorted(lines) == ['xsproxy_domain_refused_total{domid="7",error="EACCES"} 2',
                                 'xsproxy_domain_refused_total{domid="7",error="ENOENT"} 1']
