# SPDX-License-Identifier: MIT
"""xsproxyctl top: rates from two samples, sorting and looking into a domain on a real terminal,
resized, and an xsproxyd that hangs or goes away; and the tables of --batch."""

import os
import shutil
import signal
import subprocess
import tempfile

import pytest

import fake_control
import xensim
from fake_control import FakeControl, Refused, row, tools
from ours import running
from relay import wait_until
from terminal import DOWN, ENTER, ESCAPE, PAGE_DOWN, UP, Terminal

CTL = xensim.BUILD / "xsproxyctl"
MS = 10**6

HEAD = ("DOMID NAME *REQ/s ERR/s P99 IN/s OUT/s EVT/s P50 MAX WAY FULL% UNREAD% WATCHES TRANS "
        "SESSION STATE")


def three(n):
    """Domain 3 asks most, 1 fails most, 2 is slow and moves most octets."""
    rows = [
        row(1, 11, requests=10 * n, errors=5 * n, octets_in=100 * n, p99=2 * MS, watches=3),
        row(2, 12, requests=20 * n, octets_out=2048 * n, p50=999, p99=3 * MS, max=1500 * MS),
        row(3, 13, requests=1500 * n, events=n, p99=MS, full=500 * MS * n, unread=10 * MS * n,
            under_way=1, transactions=2)]
    return rows, tools(requests=40 * n, errors=n, p50=1024, p99=2048, max=4096,
                       unread=100 * MS * n)


def renewed(n):
    """The same, and domain 3 has a new session from the fourth sample on."""
    rows, clients = three(n)
    if n >= 4:
        rows[2].update(session=14, requests=7)
    return rows, clients


def many(n):
    return [row(domid, domid, requests=domid * n) for domid in range(300)], tools()


def stats_of(domid):
    if domid == 2:
        raise Refused("domain 2 has no Xenstore connection")
    return fake_control.stats({"READ": 100 * domid}, events=domid)


@pytest.fixture
def fake(tmp_path):
    with FakeControl(tmp_path / "control", three, stats_of) as control:
        yield control


def argv(path, *args, interval="0.1"):
    return [CTL, "top", "--interval", interval, *args, "--control", path]


def batch(path, *args):
    done = subprocess.run(argv(path, "--batch", *args), capture_output=True, encoding="utf-8",
                          timeout=xensim.TIMEOUT, check=False, env={"LC_ALL": "C.UTF-8"})
    assert (done.returncode, done.stderr) == (0, "")
    return [table.splitlines() for table in done.stdout.split("\n\n")]


def names(lines, first=4):
    """The first column of the domains' rows on a screen."""
    return [line.split()[0] for line in lines[first:-1] if line]


# --- batches

def test_rates(fake):
    table, = batch(fake.path, "-n", "1")
    assert table[0].endswith(", 3 domains")
    assert [" ".join(line.split()) for line in table[1:]] == [
        HEAD,
        "all - 1.57k 6.00 - 100 2.00K 1.00 - - 1 - - 3 2 - -",
        "tools - 40.0 1.00 2.05µs 0 0 0 1.02µs 4.10µs - - - - - - -",
        "3 - 1.50k 0 1.00ms 0 0 1.00 - - 1 50.0 1.0 0 2 13 -",
        "2 - 20.0 0 3.00ms 0 2.00K 0 999ns 1.50s 0 0.0 0.0 0 0 12 -",
        "1 - 10.0 5.00 2.00ms 100 0 0 - - 0 0.0 0.0 3 0 11 -"]


@pytest.mark.parametrize("key, order", [
    ("requests", "321"), ("errors", "123"), ("p99", "213"), ("octets", "213"), ("domid", "123"),
    ("full", "312"), ("watches", "123")])
def test_sort(fake, key, order):
    table, = batch(fake.path, "-n", "1", "--sort", key)
    assert "".join(names(table + [""])) == order
    marked = {"requests": "REQ/s", "errors": "ERR/s", "p99": "P99", "octets": "IN/s",
              "domid": "DOMID", "full": "FULL%", "watches": "WATCHES"}[key]
    assert "*" + marked in table[1].split()


def test_a_new_session_has_no_rates_yet(fake):
    fake.load = renewed
    tables = batch(fake.path, "-n", "4", "--sort", "domid")
    assert len(tables) == 4
    assert [table[6].split()[2] for table in tables] == ["1.50k", "1.50k", "-", "0"]


def test_more_domains_than_a_page(tmp_path):
    with FakeControl(tmp_path / "control", many):
        table, = batch(tmp_path / "control", "-n", "1")
    assert names(table + [""]) == [str(domid) for domid in reversed(range(300))]


def test_wrong_command_lines(fake):
    for args in (("--interval", "0"), ("--interval", "0.05"), ("--interval", "x"),
                 ("--interval", "nan"), ("--interval", "9999"), ("--sort", "name"), ("-n", "1"),
                 ("-b", "-n", "0"), ("-b", "-n", "-1"), ("7",)):
        done = subprocess.run([CTL, "top", *args, "--control", fake.path], capture_output=True,
                              text=True, check=False, timeout=xensim.TIMEOUT)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, args
    assert fake.samples == 0


def test_it_needs_a_terminal_or_batch(fake):
    done = subprocess.run(argv(fake.path), capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "--batch" in done.stderr
    for name, words in (("nonsense", "is unknown"), ("dumb", "cannot move its cursor")):
        with Terminal(argv(fake.path), columns=120, TERM=name) as terminal:
            terminal.wait_text(f"the terminal {name} {words}; set TERM, or use --batch")
            assert terminal.wait_end() == 1
            assert terminal.is_restored()
    done = subprocess.run(argv(fake.path.parent / "nothing", "--batch"), capture_output=True,
                          text=True, check=False, timeout=xensim.TIMEOUT)
    assert done.returncode == 1 and "is xsproxyd running?" in done.stderr


# --- on a terminal

def test_the_table_fits_80_columns(fake):
    with Terminal(argv(fake.path)) as terminal:
        # All that fits, and no line goes on in the next one.
        terminal.wait(lambda lines: lines[0] == "xsproxyctl top: 3 domains, by requests" and
                      lines[1].split() == [name for name in HEAD.split()[:12]
                                           if name != "NAME"] and
                      names(lines) == ["3", "2", "1"] and "1.50k" in lines[4] and
                      max(map(len, lines)) == 80, "80 columns")
        terminal.press("q")
        assert terminal.wait_end() == 0
        assert terminal.is_restored()


@pytest.mark.parametrize("key, order", [("e", "123"), ("p", "213"), ("o", "213"), ("d", "123"),
                                        ("dr", "321"), ("f", "312"), ("w", "123")])
def test_keys_sort(fake, key, order):
    with Terminal(argv(fake.path)) as terminal:
        terminal.wait_text("1.50k")
        # The table as it stands is sorted at once: no further sample is needed.
        fake.answering.clear()
        terminal.press(key)
        terminal.wait(lambda lines: "".join(names(lines)) == order, order)


def test_it_is_resized(fake):
    fake.load = many
    with Terminal(argv(fake.path), rows=10, LINES="30", COLUMNS="40") as terminal:
        terminal.wait(lambda lines: len(names(lines)) == 5, "5 domains")
        terminal.resize(20, 140)
        terminal.wait(lambda lines: {"NAME", "SESSION"} <= set(lines[1].split()) and
                      len(names(lines)) == 15, "wide")
        terminal.resize(6, 30)
        terminal.wait(lambda lines: "P99" in lines[1] and "IN/s" not in lines[1] and
                      names(lines) == ["299"] and lines[5].startswith("by:"), "narrow")
        terminal.resize(2, 5)
        terminal.wait(lambda lines: lines[1] == "by: r", "tiny")
        terminal.resize(24, 80)
        terminal.wait(lambda lines: len(names(lines)) == 19 and "FULL%" in lines[1], "as before")


def test_choosing_scrolls(fake):
    fake.load = many
    with Terminal(argv(fake.path), rows=10) as terminal:
        terminal.wait_text("300 domains")
        terminal.wait(lambda _: terminal.reversed_line().split()[:1] == ["299"], "299 chosen")
        for keys, chosen in ((DOWN, 298), ("j", 297), (UP, 298), ("k", 299), (UP, 299),
                             (6 * DOWN, 293), (PAGE_DOWN, 288), (400 * DOWN, 0), (UP, 1)):
            terminal.press(keys)
            terminal.wait(lambda _, at=str(chosen): terminal.reversed_line().split()[:1] == [at],
                          f"{chosen} chosen")
        # It stays chosen when the order changes.
        terminal.press("d")
        terminal.wait(lambda lines: names(lines) == ["1", "2", "3", "4", "5"] and
                      terminal.reversed_line().split()[:1] == ["1"], "by domid")


def test_looking_into_a_domain_and_back(fake):
    with Terminal(argv(fake.path), rows=30) as terminal:
        terminal.wait_text("1.50k")
        terminal.press(ENTER)
        terminal.wait(lambda lines: lines[2].split()[:1] == ["3"] and "events     3" in lines and
                      any(line.split()[:2] == ["READ", "300"] for line in lines), "domain 3")
        # Live: what the daemon says next is shown without a key.
        fake.stats_of = lambda domid: fake_control.stats({"READ": 4321})
        terminal.wait_text("4321")
        terminal.resize(10, 80)
        terminal.wait(lambda lines: lines[9].startswith("b back") and "sessions" in lines[4], "top")
        terminal.press(400 * DOWN)
        terminal.wait(lambda lines: lines[8].startswith("upstream"), "the end")
        for back in ("b", ESCAPE):
            terminal.press(back)
            terminal.wait_text("tools")
            terminal.press(ENTER)
            terminal.wait_text("sessions")


def test_looking_into_a_domain_that_has_gone(fake):
    with Terminal(argv(fake.path)) as terminal:
        terminal.wait_text("1.50k")
        terminal.press(DOWN + ENTER)
        terminal.wait(lambda lines: "domain 2 has no Xenstore connection" in "".join(lines) and
                      lines[3].split()[:1] == ["tools"], "the table, and why")
        terminal.press(UP)
        terminal.wait_text("xsproxyctl top: 3 domains")


def test_no_domains(fake):
    fake.load = lambda n: ([], tools())
    with Terminal(argv(fake.path)) as terminal:
        terminal.wait_text("0 domains")
        terminal.press(DOWN + UP + PAGE_DOWN + ENTER + "b" + "e")
        terminal.wait_text("0 domains, by errors")
        terminal.press("q")
        assert terminal.wait_end() == 0


def test_before_the_first_answer(fake):
    """Nothing is said that nobody knows."""
    fake.answering.clear()
    with Terminal(argv(fake.path)) as terminal:
        terminal.wait(lambda lines: "waiting for xsproxyd to answer" in lines[0], "waiting")
        fake.answering.set()
        terminal.wait(lambda lines: lines[0] == "xsproxyctl top: 3 domains, by requests" and
                      names(lines) == ["3", "2", "1"], "the table")
        fake.answering.clear()
    assert "0 domains" not in terminal.seen and " all " not in terminal.seen.split("3 domains")[0]


def test_it_is_started_first(tmp_path):
    with Terminal(argv(tmp_path / "control")) as terminal:
        terminal.wait(lambda lines: lines[0] == "xsproxyd is away: No such file or directory; "
                      "trying again" and not any(lines[2:-1]), "away")
        terminal.press("e")
        with FakeControl(tmp_path / "control", three):
            terminal.wait_text("xsproxyctl top: 3 domains, by errors")
        terminal.wait_text("xsproxyd is away")
        terminal.press("q")
        assert terminal.wait_end() == 0
        assert terminal.is_restored()


def test_who_may_not_is_told_so(fake):
    """Waiting would not help."""
    fake.path.parent.chmod(0o700)
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        program = shutil.copy(CTL, directory)  # the build may be root's alone
        with Terminal(["setpriv", "--reuid=nobody", "--clear-groups", program,
                       *argv(fake.path)[1:]]) as terminal:
            terminal.wait_text("only root may")
            assert terminal.wait_end() == 1


def test_an_xsproxyd_that_hangs_takes_no_keys_away(fake):
    with Terminal(argv(fake.path)) as terminal:
        terminal.wait_text("1.50k")
        fake.answering.clear()
        terminal.wait(lambda lines: "waiting for xsproxyd to answer" in "".join(lines) and
                      names(lines) == ["3", "2", "1"], "321 while it waits")
        terminal.press("d")
        terminal.wait(lambda lines: names(lines) == ["1", "2", "3"], "sorted")
        terminal.resize(24, 40)
        terminal.wait(lambda lines: "OUT/s" not in lines[1], "narrow")
        fake.answering.set()
        terminal.wait_text("xsproxyctl top: 3 domains")
        fake.answering.clear()
        terminal.press("q")
        assert terminal.wait_end() == 0
        assert terminal.is_restored()


@pytest.mark.parametrize("sig", (signal.SIGINT, signal.SIGTERM))
def test_a_signal_restores_the_terminal(fake, sig):
    with Terminal(argv(fake.path)) as terminal:
        terminal.wait_text("1.50k")
        terminal.signal(sig)
        assert terminal.wait_end() == 0
        assert terminal.is_restored()


# --- on real daemons

def rated(lines):
    """Whether both domains have rates."""
    return all(line.split()[1:2] not in ([], ["-"]) for line in lines[4:6])


@pytest.mark.parametrize("flavour", ("C", "O"))
def test_xsproxyd_is_restarted(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        guest.read("domid")
        with Terminal(argv(host.run_dir / "control"), rows=40) as terminal:
            # dom0's ring and the guest.
            terminal.wait(lambda lines: sorted(names(lines)) == ["0", "7"] and rated(lines),
                          "rates")
            host.proxy.kill()
            terminal.wait_text("xsproxyd is away")
            host.start_proxy()
            terminal.wait(lambda lines: "2 domains" in lines[0] and rated(lines), "again")
            terminal.press("d" + DOWN + ENTER)
            terminal.wait_text("requests   0")
            guest.read("domid")
            terminal.wait_text("requests   1")
            terminal.press("q")
            assert terminal.wait_end() == 0


@pytest.mark.parametrize("flavour", ("C", "O"))
def test_what_a_guest_does_is_seen(flavour):
    with running(flavour) as host:
        guest = host.add_guest(7)
        with subprocess.Popen(argv(host.run_dir / "control", "--batch", "--sort", "domid"),
                              stdout=subprocess.PIPE, text=True) as process:
            def rate():
                guest.read("domid")
                columns = process.stdout.readline().split()
                return columns[:1] == ["7"] and columns[2] != "-" and float(columns[2])

            assert wait_until(rate) > 0
            process.terminate()
