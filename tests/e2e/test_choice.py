# SPDX-License-Identifier: MIT
"""Which xenstored starts: select-xenstored has the wrapper started, which finds the daemon."""

import pathlib
import stat
import subprocess

import pytest

from bridge_bed import BRIDGE

ROOT = pathlib.Path(__file__).resolve().parents[2]
SELECT = ROOT / "systemd/select-xenstored"
WRAPPER = "/usr/libexec/xsproxy/xenstored"
OURS = f"XENSTORED={WRAPPER}\n"

pytest_plugins = ("altered",)


# --- choosing the wrapper

def select(what, path):
    subprocess.run([SELECT, what, path], check=True)
    return path.read_text()


@pytest.mark.parametrize("before, daemon", [
    ("", None),
    ("# comment\n#XENSTORED=/usr/sbin/oxenstored\nXENSTORED_ARGS=\n", None),
    ("XENSTORED_ARGS=-v\nXENSTORED=/usr/sbin/xenstored\n# end\n", "/usr/sbin/xenstored"),
    ("XENSTORED='/opt/my xen/oxenstored'\n", "/opt/my xen/oxenstored"),
])
def test_select_xenstored(tmp_path, before, daemon):
    path, defaults = tmp_path / "xen", tmp_path / "xsproxy"
    path.write_text(before)
    path.chmod(0o640)
    after = select("on", path)
    assert select("on", path) == after
    shell = f'. {path}; [ -e {defaults} ] && . {defaults}; echo "$XENSTORED,$XSPROXY_XENSTORED"'
    said = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == f"{WRAPPER},{daemon or ''}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert select("off", path) == before
    assert not defaults.exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["xen"]
    assert select("off", path) == before


def test_select_keeps_what_the_administrator_wrote(tmp_path):
    path, defaults = tmp_path / "xen", tmp_path / "xsproxy"
    path.write_text("XENSTORED=/usr/sbin/xenstored\n")
    defaults.write_text("XSPROXY_DOM0=0\n")
    select("on", path)
    select("off", path)
    assert defaults.read_text() == "XSPROXY_DOM0=0\n"
    # Chosen anew by hand since: that is left alone.
    select("on", path)
    path.write_text("XENSTORED=/opt/other\n")
    assert select("off", path) == "XENSTORED=/opt/other\n"


@pytest.mark.parametrize("text, said", [
    (f"#{OURS}", "is not set"), ("", "is not set"),
    (f"{OURS}XENSTORED=/opt/other\n", "names /opt/other"),
    (f"#xsproxy-was: XENSTORED=/opt/old\n#{OURS}XENSTORED=/opt/new\n", "names /opt/new")])
def test_an_upgrade_keeps_another_choice(tmp_path, text, said):
    """Once it is not ours any more an administrator has seen to it."""
    path = tmp_path / "xen"
    path.write_text(text)
    done = subprocess.run([SELECT, "keep", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == f"xsproxy: XENSTORED in {path} {said}; left as it is\n"
    assert path.read_text() == text and not (tmp_path / "xsproxy").exists()


def test_an_upgrade_keeps_ours(tmp_path):
    path = tmp_path / "xen"
    path.write_text(f"#xsproxy-was: {OURS}#xsproxy-was: XENSTORED=/opt/other\n{OURS}")
    assert select("keep", path) == f"#xsproxy-was: XENSTORED=/opt/other\n{OURS}"
    assert select("keep", path) == f"#xsproxy-was: XENSTORED=/opt/other\n{OURS}"


@pytest.mark.parametrize("args", ([], ["maybe"], ["on", "/nonexistent/xen"], ["on", "a", "b"],
                                  ["keep", "/nonexistent/xen"]))
def test_select_refuses(args):
    done = subprocess.run([SELECT, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def choice(path):
    """What whoever reads @path starts."""
    return subprocess.run(["sh", "-c", f'. {path} >/dev/null; echo "$XENSTORED"'],
                          capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("added", ("after", "before"))
def test_our_own_line_is_never_taken_for_the_administrators(tmp_path, added):
    """A line of his, an upgrade, removal: all lines of his are there again, and none of ours."""
    path = tmp_path / "xen"
    path.write_text("XENSTORED=/usr/sbin/xenstored\n")
    text = select("on", path)
    path.write_text(text + "XENSTORED=/opt/other\n" if added == "after" else
                    "XENSTORED=/opt/other\n" + text)
    for _ in range(2):
        assert select("on", path).count(WRAPPER) == 1
        assert choice(path) == WRAPPER
    if added == "after":
        assert "XSPROXY_XENSTORED='/opt/other'" in (tmp_path / "xsproxy").read_text()
    assert sorted(select("off", path).splitlines()) == [
        "XENSTORED=/opt/other", "XENSTORED=/usr/sbin/xenstored"]


@pytest.mark.parametrize("what", ("on", "off"))
def test_what_0_1_has_marked_goes(tmp_path, what):
    path = tmp_path / "xen"
    path.write_text(f"#xsproxy-was: {OURS}#xsproxy-was: XENSTORED=/opt/other\n{OURS}")
    assert select(what, path) == ("XENSTORED=/opt/other\n" if what == "off" else
                                  f"#xsproxy-was: XENSTORED=/opt/other\n{OURS}")


@pytest.mark.parametrize("line", (
    f'XENSTORED="{WRAPPER}"', f" XENSTORED='{WRAPPER}' # mine", f"export XENSTORED={WRAPPER}"))
def test_our_line_however_it_is_written(tmp_path, line):
    path = tmp_path / "xen"
    path.write_text(f"A=1\n{line}\nB=2\n")
    assert select("off", path) == "A=1\nB=2\n"


def test_a_choice_since_then_stays_the_choice(tmp_path):
    path = tmp_path / "xen"
    path.write_text("XENSTORED=/usr/sbin/xenstored\n")
    path.write_text("XENSTORED=/opt/other\n" + select("on", path).replace(OURS, ""))
    assert select("off", path) == "XENSTORED=/opt/other\n#XENSTORED=/usr/sbin/xenstored\n"


@pytest.mark.parametrize("before", ("XENSTORED_ARGS=-v", "X=$NOT_SET\nfalse\nXENSTORED=/opt/other"))
def test_select_takes_files_as_they_are(tmp_path, before):
    """Without an end of the last line, with commands that fail."""
    path = tmp_path / "xen"
    path.write_text(before)
    select("on", path)
    assert choice(path) == WRAPPER
    assert select("off", path) == before + "\n"


def test_select_finds_the_files(altered):
    """`on` the first, `off` all: another may have been the first then."""
    altered.write("/etc/sysconfig/xencommons", "XENSTORED=/opt/other\n")
    altered.write("/etc/default/xen", "A=1\n")
    altered.remove("/etc/default/xencommons")
    altered.write("/select", SELECT.read_text(), 0o755)
    script = """
        set -e
        mv /etc/default/xen /xen; /select on; grep -H ^XENSTORED= /etc/sysconfig/xencommons
        mv /xen /etc/default/xen; /select on; grep -H ^XENSTORED= /etc/default/xen
        cat /etc/sysconfig/xsproxy
        /select off; cat /etc/default/xen /etc/sysconfig/xencommons; ls /etc/sysconfig
    """
    done = altered.run("sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"/etc/sysconfig/xencommons:XENSTORED={WRAPPER}", f"/etc/default/xen:XENSTORED={WRAPPER}",
        "XSPROXY_XENSTORED='/opt/other' # by select-xenstored",
        "A=1", "XENSTORED=/opt/other", "xencommons"]


# --- the wrapper and the daemon

RUNNING = "/usr/lib/xen-9.9"  # the Xen that runs there
NOTED = "/usr/lib/xen-9.8/bin/xenstored"  # and what was chosen with the one before


@pytest.fixture
def upgraded(altered):
    """A host after an upgrade of its distribution, with the wrapper."""
    for name in "xenstored", "oxenstored":
        for place in *pathlib.Path("/usr/lib").glob("xen-*/bin"), "/usr/sbin":
            altered.remove(f"{place}/{name}")
    altered.stub("/usr/lib/xen-common/bin/xen-dir", f"echo {RUNNING}")
    altered.stub("/usr/bin/logger")
    altered.write("/wrapper", (ROOT / "systemd/xenstored-wrapper").read_text(), 0o755)
    altered.write("/usr/lib/xsproxy/libxsproxy-bridge.so", BRIDGE.read_bytes())
    return altered


@pytest.mark.parametrize("there, runs", [
    (("oxenstored", "xenstored"), "xenstored"), (("oxenstored",), "oxenstored")])
@pytest.mark.parametrize("noted_in", ("/etc/default/xsproxy", "/etc/sysconfig/xsproxy"))
def test_a_daemon_that_is_gone(upgraded, there, runs, noted_in):
    """The running Xen's takes its place, one of the same name if it has one, and it is said."""
    for name in there:
        upgraded.stub(f"{RUNNING}/bin/{name}", 'echo "$0 $* $XSPROXY_DIR"')
    upgraded.write(noted_in, f"XSPROXY_XENSTORED='{NOTED}' # by select-xenstored\n")
    done = upgraded.run("/wrapper", "--pid-file", "x")
    assert done.returncode == 0, done.stderr
    said = f"no xenstored at {NOTED}: running {RUNNING}/bin/{runs} INSTEAD; correct" \
           f" XSPROXY_XENSTORED in {noted_in} before dom0 is rebooted"
    assert done.stderr == f"xsproxy: {said}\n"
    assert done.stdout.splitlines() == [
        f"logger -t xsproxy -p daemon.err -- {said}",
        f"{RUNNING}/bin/{runs} --pid-file x /run/xsproxy"]


def test_where_xsproxyd_has_left(upgraded):
    """Until the next boot, which begins with another /run, daemons start without us."""
    upgraded.stub(f"{RUNNING}/bin/xenstored", 'echo "$0 $* $LD_PRELOAD$XSPROXY_DIR"')
    upgraded.write("/run/xsproxy/left", "")
    done = upgraded.run("/wrapper", "--pid-file", "x")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"{RUNNING}/bin/xenstored --pid-file x "
    assert done.stderr == (f"xsproxy: xsproxyctl leave: running {RUNNING}/bin/xenstored WITHOUT "
                           "xsproxy; xsproxyd comes first again when dom0 is rebooted\n")


def test_no_daemon_at_all(upgraded):
    upgraded.write("/etc/default/xsproxy", f"XSPROXY_XENSTORED={NOTED}\n")
    done = upgraded.run("/wrapper")
    assert done.returncode == 2
    assert done.stderr.startswith(f"xsproxy: no xenstored at {NOTED}: install xen-utils")
    assert done.stderr.count("\n") == 1


def test_the_noted_daemon_of_sysconfig(upgraded):
    upgraded.stub("/opt/other")
    upgraded.write("/etc/sysconfig/xsproxy", "XSPROXY_XENSTORED='/opt/other'\n")
    done = upgraded.run("/wrapper", "-v")
    assert (done.returncode, done.stdout, done.stderr) == (0, "other -v\n", "")


# --- RPM systems: one Xen, below /usr/sbin, and a starter that knows what it was built with

LAUNCH = "/etc/xen/scripts/launch-xenstore"


@pytest.mark.parametrize("there, starter, runs", [
    # XCP-ng and XenServer, with XAPI's oxenstored or Xen's
    (("oxenstored",), "oxenstored", "oxenstored"),
    # Fedora, openSUSE and Qubes have both
    (("oxenstored", "xenstored"), "xenstored", "xenstored"),
    (("oxenstored", "xenstored"), "oxenstored", "oxenstored"),
    (("oxenstored",), "xenstored", "oxenstored"),
    (("oxenstored", "xenstored"), None, "oxenstored")])
def test_what_xens_starter_would_run(upgraded, there, starter, runs):
    upgraded.stub("/usr/lib/xen-common/bin/xen-dir", "exit 127")  # Debian's alone
    for name in there:
        upgraded.stub(f"/usr/sbin/{name}", 'echo "$0 $*"')
    if starter:
        upgraded.write(LAUNCH, f"#!/bin/bash\n#\nXENSTORED=/usr/sbin/{starter}\n"
                               '\t[ -z "$XENSTORED" ] && XENSTORED=/usr/sbin/none\n')
    done = upgraded.run("/wrapper", "--pid-file", "x")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"/usr/sbin/{runs} --pid-file x\n"


def test_a_choice_goes_before_xens_starter(upgraded):
    upgraded.stub("/usr/sbin/xenstored", "echo $0")
    upgraded.stub("/usr/sbin/oxenstored", "echo $0")
    upgraded.write(LAUNCH, "XENSTORED=/usr/sbin/xenstored\n")
    upgraded.write("/etc/sysconfig/xsproxy", "XSPROXY_XENSTORED=/usr/sbin/oxenstored\n")
    assert upgraded.run("/wrapper").stdout == "/usr/sbin/oxenstored\n"
    upgraded.write("/etc/sysconfig/xsproxy", "XSPROXY_XENSTORED=/opt/xenstored\n")
    done = upgraded.run("/wrapper")
    assert "running /usr/sbin/xenstored INSTEAD" in done.stderr


@pytest.mark.parametrize("name", ("oxenstored", "xenstored"))
@pytest.mark.parametrize("chosen", (True, False))
def test_debians_script_is_not_the_daemon(upgraded, name, chosen):
    """Or neither the starter nor who exchanges it would know of which kind it is."""
    upgraded.stub("/usr/lib/xen-common/bin/xen-utils-wrapper", "echo a script")
    for each in "oxenstored", "xenstored":
        upgraded.stub(f"{RUNNING}/bin/{each}", 'echo "$0 $*"')
    if chosen:
        upgraded.write("/etc/default/xsproxy", f"XSPROXY_XENSTORED=/usr/sbin/{name}\n")
    else:
        upgraded.write(LAUNCH, f"XENSTORED=/usr/sbin/{name}\n")
    done = upgraded.run("sh", "-c", "for name in xenstored oxenstored; do"
                        " ln -s ../lib/xen-common/bin/xen-utils-wrapper /usr/sbin/$name; done;"
                        " exec /wrapper -v")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{RUNNING}/bin/{name} -v\n"


def test_sysconfig_as_debian_has_default(altered):
    """/etc/sysconfig/xencommons alone, as launch-xenstore reads it."""
    text = ("## Type: string\n#XENSTORED=/usr/sbin/oxenstored\nXENSTORED_ARGS=\n"
            "XENSTORED=/usr/sbin/xenstored\n")
    altered.write("/etc/sysconfig/xencommons", text)
    altered.remove("/etc/default/xen")
    altered.remove("/etc/default/xencommons")
    altered.write("/select", SELECT.read_text(), 0o755)
    done = altered.run("sh", "-c", """
        set -e
        /select on; . /etc/sysconfig/xencommons; . /etc/sysconfig/xsproxy
        echo $XENSTORED $XSPROXY_XENSTORED; /select keep
        /select off; cat /etc/sysconfig/xencommons; ls /etc/sysconfig""")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{WRAPPER} /usr/sbin/xenstored\n{text}xencommons\n"


@pytest.mark.parametrize("mode, bridged", [(0o755, True), (0o4755, False)])
def test_selinux_drops_the_preload(upgraded, mode, bridged):
    """A transition is to the loader as a program that is set-uid to another user: it looks at no
    LD_PRELOAD. Then the daemon runs as if there were no xsproxy, and it is said."""
    upgraded.write("/sys/fs/selinux/enforce", "1")
    upgraded.write("/usr/sbin/xenstored", pathlib.Path("/usr/bin/env").read_bytes(), mode)
    done = upgraded.run("sh", "-c", f"chown {0 if bridged else 65534} /usr/sbin/xenstored; chmod "
                                    f"{mode:o} /usr/sbin/xenstored; exec /wrapper")
    assert done.returncode == 0
    has = set(line.split("=")[0] for line in done.stdout.splitlines())
    assert ("XSPROXY_DIR" in has and "XENSTORED_PATH" in has) == bridged
    said = ("SELinux has LD_PRELOAD dropped for /usr/sbin/xenstored: running /usr/sbin/xenstored "
            "WITHOUT xsproxy; label it bin_t (semanage fcontext, restorecon) and reboot dom0")
    assert done.stderr == ("" if bridged else f"xsproxy: {said}\n")
