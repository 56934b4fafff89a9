# SPDX-License-Identifier: MIT
"""Debian's own tools and test-xenstore say the same through xsproxyd as to xenstored itself."""

import itertools
import re
import subprocess

import pytest

import xensim
from harness import Host
from relay import FLAVOURS, run_tool

both = pytest.mark.parametrize("flavour", FLAVOURS)

TEST_XENSTORE = xensim.XEN_BIN / "test-xenstore"
CONTROL = xensim.XEN_BIN / "xenstore-control"  # /usr/bin's wants a real hypervisor
BIG = "v" * 2000

# In order, over a store with a guest 7 in it.
COMMANDS = (
    "xenstore-ls", "xenstore-ls -f", "xenstore-ls -fp", "xenstore-ls /local/domain/7",
    "xenstore-ls -s /local", "xenstore-ls /nowhere",
    "xenstore-read /local/domain/7/name", "xenstore-read -p /local/domain/7/name /nowhere",
    "xenstore-read -s domid", "xenstore-read",
    "xenstore-write /tool/a 1", f"xenstore-write /tool/b {BIG} /tool/c 3", "xenstore-read /tool/b",
    "xenstore-read /tool/a /tool/c", "xenstore-write /tool/a", "xenstore-write -s /tool/d/e/f deep",
    "xenstore-write bad//path x", "xenstore-write /tool/\xe9 x",
    "xenstore-list /tool", "xenstore-list -p /local/domain", "xenstore-list /nowhere",
    "xenstore-list /tool/a",
    "xenstore-exists /tool/a", "xenstore-exists /nowhere", "xenstore-exists /tool/a /tool/c",
    "xenstore-chmod /tool/a n0 r7", "xenstore-chmod -r /tool/d r7 b8",
    "xenstore-chmod -u /tool/c w7",
    "xenstore-chmod /nowhere r0", "xenstore-chmod /tool/a z9", "xenstore-ls -fp /tool",
    "xenstore-rm /tool/c", "xenstore-rm -t /tool/d/e/f", "xenstore-rm /nowhere",
    "xenstore-rm /tool/a",
    "xenstore-ls -p /tool", "xenstore-watch -n 1 /local/domain/7/name",
    "xenstore-watch -n 3 /local /tool @releaseDomain",
)


@both
def test_tools(flavour):
    results = []
    for proxied in (False, True):
        with Host(flavour, proxied) as host:
            host.add_guest(7)
            host.dom0.write("/tool/xenstored", "")
            results.append([(command, run_tool(host, *command.split())) for command in COMMANDS])
            host.check()
    for direct, through in zip(*results):
        assert through == direct
    said = dict(results[0])
    assert said["xenstore-read /tool/b"] == (0, BIG + "\n", "")
    assert said["xenstore-exists /nowhere"][0] == 1
    assert "/tool/d/e = \"\"   (r7,b8)\n" in said["xenstore-ls -fp /tool"][1]


@both
def test_watch(flavour):
    """xenstore-watch prints what others change while it runs."""
    outputs = []
    for proxied in (False, True):
        with Host(flavour, proxied) as host:
            guest = host.add_guest(7)
            with subprocess.Popen(
                    ["xenstore-watch", "-n", "5", "/local/domain/7/data", "/tool/x"],
                    env=host.tool_env(), stdout=subprocess.PIPE, text=True) as watch:
                lines = [watch.stdout.readline() for _ in range(2)]
                guest.write("data/from-guest", "1")
                lines.append(watch.stdout.readline())
                assert run_tool(host, "xenstore-write", "/tool/x", "1") == (0, "", "")
                lines.append(watch.stdout.readline())
                guest.rm("data/from-guest")
                lines += watch.stdout.readlines()
                assert watch.wait(xensim.TIMEOUT) == 0
            outputs.append(lines)
    assert outputs[1] == outputs[0]
    data = "/local/domain/7/data"
    assert outputs[0] == [f"{data}\n", "/tool/x\n", f"{data}/from-guest\n", "/tool/x\n",
                          f"{data}/from-guest\n"]


@both
def test_control(flavour):
    """xenstore-control: upstream's commands come from upstream."""
    results = []
    for proxied in (False, True):
        with Host(flavour, proxied) as host:
            host.add_guest(7)
            results.append([run_tool(host, CONTROL, *command.split()) for command in
                            ("check", "print hello", "quota", "log on", "nonsense x")])
    assert [r[0] for r in results[0][:2]] == [0, 0]
    # A refused command makes the tool print the help, to which ours are added.
    assert [r[:2] for r in results[1][:4]] == [r[:2] for r in results[0][:4]]
    assert results[1][4][0] == results[0][4][0]


def names(text):
    """test-xenstore's output without the times."""
    return re.sub(r"\d+ ns", "N ns", text)


@both
def test_xenstore_tests(flavour):
    """Every test of test-xenstore, by itself, all together, and 20 times over."""
    results = []
    for proxied in (False, True):
        with Host(flavour, proxied) as host:
            listed = run_tool(host, TEST_XENSTORE, "--list-tests")[1]
            tests = [line.split(":")[0].rstrip() for line in listed.splitlines()]
            runs = [(), ("-i", "20")] + [("-t", test) for test in tests]
            results.append([(args, tuple(map(str, run_tool(host, TEST_XENSTORE, *args))))
                            for args in runs])
            assert len(tests) >= 12
            host.check()
    direct, proxied = ([(args, status, names(out), err) for args, (status, out, err) in result]
                       for result in results)
    assert proxied == direct
    assert all((status, err) == ("0", "") for _, status, _, err in proxied)
    assert proxied[0][2].count("N ns") == len(proxied) - 2


@pytest.mark.long
def test_xenstore_random():
    """test-xenstore -r 20, four at a time: all end well, and leave the same store behind."""
    hosts, runs = [], []
    try:
        for flavour, proxied in itertools.product(FLAVOURS, (False, True)):
            host = Host(flavour, proxied)
            hosts.append(host)
            runs.append(subprocess.Popen(
                [TEST_XENSTORE, "-r", "20"], env=host.tool_env(), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        results = [(*run.communicate(timeout=90), run.returncode) for run in runs]
        assert results == [("", "", 0)] * 4
        stores = [run_tool(host, "xenstore-ls", "-fp") for host in hosts]
        assert stores[0] == stores[1] and stores[2] == stores[3]
        for host in hosts:
            host.check()
    finally:
        for run in runs:
            run.kill()
            run.communicate()
        for host in hosts:
            host.close()
