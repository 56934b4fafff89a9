# SPDX-License-Identifier: MIT
"""[log] quota-warning: a line before a domain has as many watches as it may have, once until it
falls back; xsproxyctl check and a metric say the same. Xenstored's own quota is known once somebody
has asked for it, or has met it."""

import pytest

import exposition
import xsclient
from control import Control
from ours import limits, running, said
from harness import NO_MIRROR
from relay import FLAVOURS, run_tool
from test_check import check, problems
from test_control_ctl import ok
from test_metrics import config, fetch, free_address
from test_relay_tools import CONTROL
from versions import EXPECT

QUOTA = 40  # xenstored's


def warnings(host, domid=7):
    """The lines about domain @domid's watches."""
    return [line.partition(": ")[2].partition(": ")[2] for line in host.proxy.text().splitlines()
            if line.startswith(f"xsproxyd: d{domid} s") and
            ("it has" in line or "take" in line) and "was refused" not in line]


def watch(guest, numbers, size=0):
    for i in numbers:
        guest.watch("data", f"{i:0{size}}")


def unwatch(guest, numbers):
    for i in numbers:
        guest.unwatch("data", str(i))


def near(host):
    """How many are near a limit; whether domain 7 is."""
    with Control(host) as control:
        return (control.run("status")["near_limit"],
                control.run("domain", domid=7)["near_limit"])


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_once_until_it_falls_back(flavour):
    at = free_address()
    with running(flavour, config="[limits]\nwatches = 10\n" + config("%s:%d" % at)) as host:
        guest = host.add_guest(7)
        host.add_guest(8).watch("data", "t")
        watch(guest, range(7))
        assert warnings(host) == [] and near(host) == (0, False) and check(host)[0] == 0
        watch(guest, [7])
        line = ("it has 8 of the 10 watches that it may have by [limits] watches in xsproxy.conf; "
                "see xsproxyctl watches --stale 7")
        assert warnings(host) == [line] and near(host) == (1, True)
        assert problems(host) == [
            "domain 7: near a limit: it has 8 watches; see xsproxyctl watches --stale"]
        assert exposition.parse(fetch(at)[2])["xsproxy_domains_near_limit"].value() == 1
        # At the brink it goes back and forth, and that is no news.
        unwatch(guest, [7])
        assert near(host) == (0, False)
        watch(guest, [7, 8])
        unwatch(guest, [7, 8])
        watch(guest, [7])
        assert warnings(host) == [line]
        unwatch(guest, [6, 7])
        watch(guest, [6, 7])
        assert warnings(host) == [line] * 2
        # What ends all of them at once is falling back, too.
        guest.reset_watches()
        watch(guest, range(8))
        assert warnings(host) == [line] * 3
        # A WATCH that is refused changes nothing.
        watch(guest, range(8, 10))
        assert said(guest.watch, "data", "more") == "ENOMEM"
        assert [text for text in warnings(host) if "watches that" in text] == [line] * 3


@pytest.mark.parametrize("per_cent, least", [(1, 1), (50, 5), (100, 10), (0, None)])
def test_the_option(per_cent, least):
    with running("C", config="[limits]\nwatches = 10\n") as host:
        text = host._config().read_text(encoding="ascii")  # pylint: disable=protected-access
        (host.sim.dir / "xsproxy.conf").write_text(
            text.replace("[log]\n", f"[log]\nquota-warning = {per_cent}\n"), encoding="ascii")
        ok(host, "reload")
        guest = host.add_guest(7)
        for i in range(10):
            watch(guest, [i])
            assert len(warnings(host)) == (least is not None and i + 1 >= least)
        assert near(host) == ((0, False) if least is None else (1, True))


def test_what_they_take():
    with running("C", config="[limits]\nwatch-memory = 1MiB\n",
                 daemon_args=("-W", "10000", "-Q", "memory=0")) as host:
        guest = host.add_guest(7)
        size = 4000
        watch(guest, range(200), size)
        assert warnings(host) == []
        watch(guest, range(200, 215), size)
        assert warnings(host) == ["its watches take 80% of the 1 MiB that they may take, by "
                                  "[limits] watch-memory in xsproxy.conf"]
        assert near(host) == (1, True)


def daemon_args(flavour, tmp_path):
    return limits(flavour, tmp_path, watches=QUOTA)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_xenstoreds_quota_is_known_once_it_has_been_told(flavour, tmp_path):
    with running(flavour, daemon_args=daemon_args(flavour, tmp_path)) as host:
        guest = host.add_guest(7)
        line = ("it has {} of the {} watches that xenstored lets it have; see xsproxyctl watches "
                "--stale 7")
        watch(guest, range(QUOTA - 1))
        assert warnings(host) == []
        if flavour == "C":
            assert f"it may have {QUOTA}\n" in ok(host, "watches", "--stale", "7")
            assert near(host) == (1, True)
            watch(guest, [QUOTA])
            assert warnings(host) == [line.format(QUOTA, QUOTA)]
            return
        # oxenstored says nothing of it but by refusing.
        assert "it may have 4096" in ok(host, "watches", "--stale", "7")
        answers = [said(guest.watch, "data", str(i)) for i in range(QUOTA, QUOTA + 3)]
        assert answers == [None, None, EXPECT["O"].watch_quota]
        assert warnings(host) == []  # the refusal has been logged
        most = QUOTA + 1
        assert f"it may have {most}\n" in ok(host, "watches", "--stale", "7")
        other = host.add_guest(8)
        watch(other, range(33))
        assert warnings(host, 8) == [line.format(33, most).replace("stale 7", "stale 8")]


def test_a_quota_that_is_changed():
    """Whoever sets one makes us forget it; dom0 and the toolstack have none."""
    with running("C") as host:
        guest = host.add_guest(7)
        with Control(host) as control:
            def most():
                return control.run("domain", domid=7)["watches_max"]
            assert most() == 4096
            status, text, _ = run_tool(host, CONTROL, "quota")
            assert status == 0 and "watches" in text and most() == 128
            assert control.run("domain", domid=0)["watches_max"] is None
            assert run_tool(host, CONTROL, "quota", "7")[0] == 0
            assert most() == 128
            assert run_tool(host, CONTROL, "quota", "set", "watches", "10")[0] == 0
            assert most() == 4096
            assert run_tool(host, CONTROL, "quota")[0] == 0
            assert most() == 10
            watch(guest, range(8))
            assert len(warnings(host)) == 1
            # What it has tells that this cannot be so: set on another way, say.
            with host.client() as client:
                client.control("quota", "set", "watches", "30")
                client.control("quota")
                assert most() == 30
            with xsclient.Client(host.run_dir / "upstream") as past_us:
                past_us.control("quota", "set", "watches", "100")
            watch(guest, range(8, 33))
            assert most() == 4096


def test_a_guest_cannot_teach_us(tmp_path):
    """oxenstored says OK to a guest's CONTROL."""
    with running("O", daemon_args=daemon_args("O", tmp_path)) as host:
        guest = host.add_guest(7)
        said(guest.control, "quota")
        said(guest.control, "quota", "set", "watches", "1")
        with Control(host) as control:
            assert control.run("domain", domid=7)["watches_max"] == 4096


def test_the_next_xenstored_may_have_another():
    with running("C", daemon_args=("-W", str(QUOTA)),
                 config=NO_MIRROR) as host:
        host.add_guest(7)
        ok(host, "watches", "--stale")
        with Control(host) as control:
            assert control.run("domain", domid=7)["watches_max"] == QUOTA
            host.daemon.kill()
            control.wait(lambda status: status["state"] == "waiting", "status")
            host.sim.daemons.remove(host.daemon)
            host.daemon_args = ()
            host.start_daemon()
            control.wait(lambda status: status["state"] == "running", "status")
            with host.client() as client:
                port, gfn = host.sim.create(9)
                client.introduce(9, gfn, port)
            assert control.run("domain", domid=9)["watches_max"] == 4096
