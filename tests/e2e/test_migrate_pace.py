# SPDX-License-Identifier: MIT
"""An import leaves xenstored to others meanwhile: few requests of its are under way, and few are
served while another one's waits."""

import json
import subprocess

import pytest

import xensim
from migration import HOME, Tap, count_requests, held, node, start_ctl, stream
from relay import FLAVOURS
from watching import Watching
from xsclient import READ, TRANSACTION_START

WINDOW = 4  # IMPORT_WINDOW
NODES = 800
BIG = stream(*[node(f"{HOME}/data/g{i // 50}", "", [("n", 7)]) for i in range(0, NODES, 50)],
             *[node(f"{HOME}/data/g{i // 50}/n{i}", "some value of a usual length", [("n", 7)])
               for i in range(NODES)])


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_under_way(flavour):
    """Never more than a window of them, but as many; and none in a transaction."""
    with held(flavour) as (host, _), Tap(host) as tap:
        process = start_ctl(host, "import", 7, "--socket", tap.path, stdin=subprocess.PIPE)
        _, errors = process.communicate(BIG, timeout=xensim.TIMEOUT)
        assert (process.returncode, errors) == (0, b"")
        assert tap.under_way == WINDOW
        assert TRANSACTION_START not in {msg.type for msg in tap.requests}
        assert not any(msg.tx_id for msg in tap.requests)
        # Each node is read, written and read again, by two requests each.
        assert len(tap.requests) <= 6 * (NODES + NODES // 50) + 20


def test_requests_grow_with_nodes_only():
    """20,000 of them once took a minute and a half, for each request searched a list of them."""
    with held("C") as (host, _):
        few = count_requests(host, "import", 7, input=stream(*[
            node(f"{HOME}/data/a{i}", "x") for i in range(50)]))
        many = count_requests(host, "import", 7, input=stream(*[
            node(f"{HOME}/data/b{i}", "x") for i in range(500)]))
        assert (many - few) == 6 * 450


def served_meanwhile(lines):
    """For each READ of domain 9: how many requests of the import were answered while it waited."""
    ours, theirs = [], []
    for obj in map(json.loads, lines):
        assert obj["kind"] != "lost", obj
        if obj["kind"] == "request" and obj.get("answered"):
            span = (obj["time"], obj["time"] + obj["took"])
            if obj["domid"] == 9:
                theirs.append(span)
            elif obj["client"] and obj["op"] in ("READ", "GET_PERMS", "WRITE", "SET_PERMS"):
                ours.append(span[1])
    ours.sort()
    assert ours
    during = [span for span in theirs if span[1] > ours[0] and span[0] < ours[-1]]
    return [sum(start < end <= stop for end in ours) for start, stop in during]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_in_a_row(flavour, tmp_path):
    """While another guest's request waits no more than two windows of ours are served."""
    with held(flavour) as (host, _):
        other = host.add_guest(9)
        with open(tmp_path / "trace", "wb") as out, Watching(host, "trace", "--json",
                                                              stdout=out) as trace:
            process = start_ctl(host, "import", 7, stdin=subprocess.PIPE)
            process.stdin.write(BIG)
            process.stdin.close()
            while process.poll() is None:
                assert other.call(READ, b"domid\0").payload == b"9"
            assert process.returncode == 0
            process.stdout.close()
            process.stderr.close()
            trace.process.terminate()
            assert trace.process.wait(xensim.TIMEOUT) == 0
        counts = served_meanwhile((tmp_path / "trace").read_text().splitlines())
        assert len(counts) > 20
        assert max(counts) <= 2 * WINDOW, sorted(counts)[-20:]
