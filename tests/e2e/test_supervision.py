# SPDX-License-Identifier: MIT
"""The unit that runs xenstored: when it does, what it starts, and what it does once a boot."""

import os
import pathlib
import subprocess

import pytest

import xensim
from bridge_bed import BUILD, TIMEOUT, wait_until
from harness import Host
from starting import STARTER

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = "xsproxy-xenstored.service"
WRAPPER = "/usr/libexec/xsproxy/xenstored"
CHOSEN = f"XENSTORED_ARGS='-a b'\nXENSTORED={WRAPPER}\n"

pytest_plugins = ("altered", "bridge_bed")


# --- the unit

def lines_of(name):
    return (ROOT / "systemd" / name).read_text().splitlines()


def before():
    return {name for line in lines_of(UNIT) if line.startswith("Before=")
            for name in line.partition("=")[2].split()}


def test_nothing_ends_xenstored():
    """Neither an administrator by mistake, nor what ends xsproxyd; and what needs a Xenstore ends
    before."""
    unit, service = lines_of(UNIT), lines_of("xsproxy.service")
    for line in ("RefuseManualStop=yes", "IgnoreOnIsolate=yes", "Restart=always",
                 "StartLimitIntervalSec=0", "OOMScoreAdjust=-1000", "TimeoutStartSec=infinity"):
        assert line in unit
    assert not any(line.startswith(("PartOf=", "BindsTo=", "Requires=", "Requisite=", "Conflicts=",
                                    "WatchdogSec=", "WantedBy=", "RuntimeMaxSec="))
                   for line in unit)
    assert [line for line in service if UNIT in line] == [f"Wants={UNIT}"]
    assert before() >= {"xen.service", "xendomains.service", "xenstored.service",
                        "xenconsoled.service", "libvirtd.service", "libvirt-guests.service"}


# --- what it executes

@pytest.fixture
def dom0(altered):
    """One with Debian's Xen, where the wrapper is chosen."""
    altered.write("/run-xenstored", (ROOT / "systemd/run-xenstored").read_text(), 0o755)
    altered.write("/etc/default/xen", CHOSEN)
    for path in ("/etc/default/xencommons", "/etc/sysconfig/xencommons", "/etc/default/xsproxy",
                 "/run/xenstore.pid"):
        altered.remove(path)
    altered.stub("/usr/bin/grep", "true")  # of /proc/xen/capabilities
    altered.stub(WRAPPER, 'echo "wrapper $* $XENSTORED_ROOTDIR"')
    altered.stub("/usr/libexec/xsproxy/starter")
    altered.stub("/usr/lib/xen-common/bin/xen-dir", "echo /usr/lib/xen-9.9")
    altered.stub("/usr/lib/xen-9.9/bin/xen-init-dom0", "echo init >>/said")
    return altered


@pytest.mark.parametrize("path, text, wanted", [
    ("/etc/default/xen", CHOSEN, True),
    ("/etc/default/xen", f"XENSTORED='{WRAPPER}' # mine\n", True),
    ("/etc/default/xen", "XENSTORED=/usr/sbin/xenstored\n", False),
    ("/etc/default/xen", "", False),
    ("/etc/sysconfig/xencommons", CHOSEN, True),
    ("/etc/sysconfig/xencommons", f"XENSTORETYPE=domain\n{CHOSEN}", False)])
def test_it_runs_where_the_wrapper_is_chosen(dom0, path, text, wanted):
    if path != "/etc/default/xen":
        (dom0.changes / "etc/default/xen").unlink()
        dom0.remove("/etc/default/xen")
    dom0.write(path, text)
    assert dom0.run("/run-xenstored", "wanted").returncode == (0 if wanted else 1)


def test_not_in_a_guest(dom0):
    dom0.stub("/usr/bin/grep", "false")
    assert dom0.run("/run-xenstored", "wanted").returncode == 1


def test_another_choice_is_for_the_next_boot(dom0):
    """As by the removal of the package: who has served guests must not be left without one."""
    dom0.write("/etc/default/xen", "")
    dom0.write("/run/xsproxy/served", "")
    assert dom0.run("/run-xenstored", "wanted").returncode == 0


def test_it_becomes_the_wrapper(dom0):
    done = dom0.run("/run-xenstored", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "wrapper --no-fork -a b --pid-file /run/xenstore.pid /run/xenstored\n"


@pytest.mark.parametrize("ended", (True, False))
def test_it_never_starts_a_second_one(dom0, ended):
    dom0.write("/run/xenstore.pid", "77\n")
    dom0.stub("/usr/libexec/xsproxy/starter", f'echo "starter $*"; {str(ended).lower()}')
    done = dom0.run("/run-xenstored", "run")
    lines = done.stdout.splitlines()
    assert lines[0] == "starter --after 77"
    assert (done.returncode, len(lines)) == ((0, 2) if ended else (1, 1))


def test_where_xens_own_unit_starts_the_first_one(dom0):
    """That unit would fail if it found one; ours waits for it to come, and to end."""
    (dom0.changes / "etc/default/xen").unlink()
    dom0.remove("/etc/default/xen")
    dom0.write("/etc/default/xencommons", CHOSEN)
    dom0.write("/usr/lib/systemd/system/xenstored.service", "")
    dom0.stub("/usr/bin/sleep", "mkdir -p /run/xen; echo 77 >/run/xen/xenstored.pid; echo slept")
    dom0.stub("/usr/libexec/xsproxy/starter", 'echo "starter $*"')
    done = dom0.run("/run-xenstored", "run")
    assert done.stdout.splitlines() == [
        "slept", "starter --after 77",
        "wrapper --no-fork -a b --pid-file /run/xen/xenstored.pid /run/xenstored"]
    # And nothing of what that unit's own ones do.
    assert dom0.run("/run-xenstored", "ready").returncode == 0


READY = """
export MAINPID=$$
/run-xenstored ready && /run-xenstored ready; echo $?; cat /said
"""


@pytest.mark.parametrize("exists, said", [
    ("[ $2 = / ]", ["init"]),
    ("true", []),  # a daemon that the init script has started, and what had that
    ("[ -e /seen ] && [ $2 = / ]; r=$?; >/seen; exit $r", ["init"])])  # not at once
def test_dom0_is_initialised_once_a_boot(dom0, exists, said):
    dom0.write("/said", "")
    dom0.write("/run/xsproxy/other", "")
    dom0.stub("/usr/bin/xenstore-exists", exists)
    done = dom0.run("sh", "-c", READY)
    assert done.stdout.splitlines() == ["0", *said], done.stderr
    # Another boot's does not count, but where /run has outlived it.
    dom0.write("/run/xsproxy/dom0-initialised", "0\n")
    assert dom0.run("sh", "-c", READY).stdout.splitlines() == ["0", *said]


@pytest.mark.parametrize("lives", (True, False))
def test_a_xenstored_that_does_not_answer(dom0, lives):
    """It is asked for a while; one that has ended is not, for it is started again only then."""
    dom0.stub("/usr/bin/timeout", "exit 124")
    dom0.write("/run-xenstored", (ROOT / "systemd/run-xenstored").read_text()
               .replace("/proc/uptime", "/uptime"), 0o755)
    dom0.write("/uptime", "0.1 1\n")
    dom0.stub("/usr/bin/sleep", "echo 300.5 1 >/uptime; echo slept")
    done = dom0.run("/run-xenstored", "ready", env={"MAINPID": "1" if lives else "99999999"})
    assert (done.returncode, done.stdout) == (1, "slept\n" if lives else "")
    assert ("xsproxyctl status" in done.stderr) == lives


@pytest.mark.parametrize("args", ([], ["stop"]))
def test_usage(args):
    done = subprocess.run([ROOT / "systemd/run-xenstored", *args], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2 and done.stderr.startswith("usage: ")


# --- the place of the toolstack's socket

def free(dom0, pid):
    dom0.write("/run/xenstore.pid", f"{pid}\n")
    done = dom0.run("/run-xenstored", "free")
    return done.returncode, done.stderr


@pytest.mark.parametrize("flavour", xensim.FLAVOURS)
def test_a_daemon_without_us_keeps_its_place(sim, dom0, flavour):
    daemon = sim.start_daemon(flavour)
    assert free(dom0, daemon.pid) == (
        1, f"xsproxy: xenstored (pid {daemon.pid}) serves without xsproxy; run 'xsproxyctl enter', "
        "which starts what it takes\n")
    daemon.kill()
    assert free(dom0, daemon.pid) == (0, "")


def test_one_behind_us_has_another_place(dom0):
    with Host("C") as host:
        assert free(dom0, host.daemon.pid) == (0, "")


@pytest.mark.parametrize("pid", ("1", "99999999", "", "x"))
def test_what_is_no_daemon_has_none(dom0, pid):
    assert free(dom0, pid) == (0, "")


# --- the end of another one

@pytest.mark.parametrize("flavour", xensim.FLAVOURS)
def test_it_waits_for_the_end(sim, flavour):
    daemon = sim.start_daemon(flavour)
    with subprocess.Popen([STARTER, "--after", f"{daemon.pid}\n"]) as waiting:
        fds = pathlib.Path(f"/proc/{waiting.pid}/fd")
        wait_until(lambda: any(os.readlink(fd) == "anon_inode:[pidfd]" for fd in fds.iterdir()))
        assert waiting.poll() is None
        daemon.kill()
        assert waiting.wait(TIMEOUT) == 0


def test_a_number_that_another_process_has(tmp_path):
    with subprocess.Popen(["sleep", "1000"]) as other:
        after(other.pid)
        other.kill()
    after(other.pid)
    after(1)


def after(pid, status=0):
    done = subprocess.run([BUILD / "starter", "--after", str(pid)], capture_output=True, text=True,
                          timeout=TIMEOUT, check=False)
    assert done.returncode == status
    return done.stderr


@pytest.mark.parametrize("text", ("", "x", "12x", "-1", "0", "99999999999"))
def test_what_is_no_pid(text):
    assert after(text, 1).startswith("xsproxy: cannot wait for the end of process")
