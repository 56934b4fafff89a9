# SPDX-License-Identifier: MIT
"""xsproxyctl stats: the text for known numbers; on real daemons, what a guest has done.

What the daemon counts is compared with what guests sent in test_tap.py.
"""

import json
import re
import subprocess

import pytest

import fake_control
import xensim
import xsclient
from control import Control
from fake_control import FakeControl, Refused

CTL = xensim.BUILD / "xsproxyctl"
MS = 10**6

# A guest of 1001 requests, 4 of them failed, as stats returns it.
STATS = fake_control.stats(
    {"WATCH": 1, "READ": 700, "WRITE": 300}, {"EACCES": 1, "ENOENT": 3}, events=12,
    octets_in=1536, octets_out=5 * 2**20, full=1230 * MS, unread=999, time={
        "total": fake_control.times(1000, 1000 * 12345, 61_500 * MS, 12345, 4560 * MS,
                                    [(1024, 10), (16384, 980), (None, 10)]),
        "proxy": fake_control.times(1000, 1000 * 345, 999_600, 300, 999,
                                    [(1024, 999), (1048576, 1)]),
        "upstream": fake_control.times(1000, 1000 * 12000, 61_499 * MS, 12000, 4559 * MS,
                                       [(1024, 10), (12288, 980), (None, 10)])})

TEXT = """\
domain     7
sessions   1
requests   1001
errors     4
events     12
octets     in 1.50K, out 5.00M
ring full  1.23s with replies or events waiting for room
unread     999ns with requests waiting to be read

OPERATION                    REQUESTS    SHARE
READ                              700    69.9%
WRITE                             300    30.0%
WATCH                               1     0.1%

ERROR                           COUNT    SHARE
ENOENT                              3     0.3%
EACCES                              1     0.1%

RESPONSE TIME       REQUESTS      MEAN       P50       P99       MAX
total                   1000    12.3µs    12.3µs     4.56s     61.5s
in xsproxyd             1000     345ns     300ns     999ns    1.00ms
upstream                1000    12.0µs    12.0µs     4.56s     61.5s

   BELOW  REQUESTS total                   in xsproxyd             upstream
  1.02µs        10 #                   999 #############        10 #
  12.3µs         0                       0                     980 #############
  16.4µs       980 #############         0                       0
  1.05ms         0                       1 #                     0
    more        10 #                     0                      10 #
"""


@pytest.fixture
def fake(tmp_path):
    def stats_of(domid):
        if domid == 9:
            raise Refused("domain 9 has no Xenstore connection")
        return STATS
    with FakeControl(tmp_path / "control", stats_of=stats_of) as control:
        yield control


def run(path, *args, locale="C.UTF-8"):
    return subprocess.run([CTL, *map(str, args), "--control", path], capture_output=True,
                          timeout=xensim.TIMEOUT, check=False, env={"LC_ALL": locale},
                          encoding="utf-8")


def ok(path, *args, **kwargs):
    done = run(path, *args, **kwargs)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_text(fake):
    text = ok(fake.path, "stats", 7)
    assert text == TEXT
    assert max(map(len, text.splitlines())) <= 80
    assert ok(fake.path, "stats").splitlines() == [
        "all sessions since xsproxyd was started", *TEXT.splitlines()[1:]]


def test_without_utf_8(fake):
    text = ok(fake.path, "stats", 7, locale="C")
    assert text.isascii() and text == TEXT.replace("µ", "u")


def test_json_is_the_answer_itself(fake):
    assert json.loads(ok(fake.path, "stats", 7, "--json")) == STATS


def test_nothing_has_happened(tmp_path):
    with FakeControl(tmp_path / "control"):
        lines = ok(tmp_path / "control", "stats").splitlines()
    assert "requests   0" in lines
    assert "total                      0         0         0         0         0" in lines
    assert not any("OPERATION" in line or "ERROR" in line or "BELOW" in line for line in lines)


def test_errors(fake, tmp_path):
    done = run(fake.path, "stats", 9)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "xsproxyctl stats: domain 9 has no Xenstore connection\n"
    done = run(tmp_path / "nothing", "stats")
    assert done.returncode == 1 and "is xsproxyd running?" in done.stderr
    for args in (("32752",), ("7", "8"), ("--lease",)):
        done = run(fake.path, "stats", *args)
        assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_a_full_disk_is_reported(fake):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([CTL, "stats", "--control", fake.path], stdout=full, check=False,
                              stderr=subprocess.PIPE, text=True, timeout=xensim.TIMEOUT)
    assert done.returncode == 1 and "No space left" in done.stderr


# --- on real daemons

def control_path(host):
    return host.run_dir / "control"


def count(text, name):
    found = re.search(rf"^{name} +(\d+)", text, re.M)
    return int(found[1]) if found else 0


def test_what_a_guest_did(host):
    guest = host.add_guest(7)
    before = ok(control_path(host), "stats", 7)
    for _ in range(9):
        guest.write("data/x", "1")
    with pytest.raises(xsclient.XsError):
        guest.read("data/none")
    after = ok(control_path(host), "stats", 7)
    for name, more in (("WRITE", 9), ("READ", 1), ("ENOENT", 1), ("requests", 10), ("errors", 1)):
        assert count(after, name) == count(before, name) + more, name
    # The requests of the histogram are those of the table above it.
    rows = re.findall(r"^ *\S+ +(\d+)[ #]+(\d+)[ #]+(\d+)[ #]*$", after.partition("BELOW")[2], re.M)
    assert [sum(int(row[i]) for row in rows) for i in range(3)] == [count(after, "total")] * 3


def test_requests_without_a_name_are_shown(host):
    """20 is a gap among the protocol's numbers, 42 is beyond them."""
    guest = host.add_guest(7)
    before = ok(control_path(host), "stats", 7)
    for type_ in (20, 20, 42):
        with pytest.raises(xsclient.XsError, match="ENOSYS"):
            guest.request(type_, b"\0")
    after = ok(control_path(host), "stats", 7)
    for name in ("UNKNOWN", "ENOSYS", "requests", "errors"):
        assert count(after, name) == count(before, name) + 3, name
    shares = [float(share) for share in re.findall(r"([\d.]+)%", after)]
    assert shares and max(shares) <= 100


def test_it_follows_the_json(host):
    guest = host.add_guest(7)
    guest.write("data/x", "1")
    answer = json.loads(ok(control_path(host), "stats", 7, "--json"))
    text = ok(control_path(host), "stats", 7)
    assert {name: count(text, name) for name in answer["requests"]} == answer["requests"]
    with Control(host) as control:
        assert control.run("stats", domid=7)["requests"] == answer["requests"]
    assert run(control_path(host), "stats", 9).returncode == 1


def test_what_toolstacks_did_stays_when_they_are_gone(host):
    """Their row of `load` only ever grows, or its rates would say nothing."""
    with Control(host) as control:
        before = control.run("load", index=0)["clients"]
        with xsclient.Client(host.socket) as client:
            for _ in range(5):
                client.read("/")
        control.wait(lambda status: status["clients"] == 1, "status")
        after = control.run("load", index=0)["clients"]
    assert after["requests"] == before["requests"] + 5
    assert after["octets_in"] == before["octets_in"] + 5 * (16 + 2)
