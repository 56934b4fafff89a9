# SPDX-License-Identifier: MIT
"""The package's scripts, as dpkg runs them, on a host where what they call only says that it was.

Removing: who stands behind xsproxyd goes on until dom0 is rebooted. Upgrading: xsproxyd is
restarted as the new unit says.
"""

import pytest

from harness import BUILD

ROOT = next(path for path in BUILD.parents if (path / "debian/prerm").exists())

pytest_plugins = ("altered",)

BIND = 'import socket; socket.socket(socket.AF_UNIX).bind("/run/xsproxy/bridge")'


START_KEEPER = "systemctl start xsproxy-keeper.service"
STOP_KEEPER = "deb-systemd-invoke stop xsproxy-keeper.service"
MARK = "/var/lib/xsproxy/select"


@pytest.fixture
def host(altered):
    altered.stub("/usr/libexec/xsproxy/select-xenstored")
    altered.remove(MARK)
    for name in "deb-systemd-invoke", "systemctl":
        altered.stub(f"/usr/bin/{name}")
    altered.stub("/usr/sbin/xsproxyd", ":")
    altered.write("/run/systemd/system/there", "")
    altered.write("/run/xsproxy/there", "")
    altered.stub("/usr/sbin/xsproxyctl", 'echo "${0##*/} $*"; exit 1')
    for file in "xsproxy/bridge", "xenstore.pid", "xen/xenstored.pid":
        altered.remove(f"/run/{file}")
    return altered


def script(host, name, *args, before=":"):
    """What the script has called, and what it says."""
    host.write("/script", (ROOT / "debian" / name).read_text(), 0o755)
    done = host.run("sh", "-c", f'{before}; exec /script "$@"', "sh", *args)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines(), done.stderr


STOP = "deb-systemd-invoke stop xsproxy.socket xsproxy.service"


def test_xsproxyd_runs_on_while_xenstored_has_the_bridge(host):
    """It could not leave, and says why."""
    called, said = script(host, "prerm", "remove", before=f"python3 -c '{BIND}'")
    assert called == ["xsproxyctl leave", "select-xenstored off"]
    assert said.count("\n") == 1 and "until dom0 is rebooted" in said


def test_xsproxyd_leaves(host):
    host.stub("/usr/sbin/xsproxyctl", 'echo "${0##*/} $*"; rm /run/xsproxy/bridge')
    called, said = script(host, "prerm", "remove", before=f"python3 -c '{BIND}'")
    assert (called, said) == (["xsproxyctl leave", "select-xenstored off", STOP, STOP_KEEPER], "")


def test_it_is_stopped_where_nobody_needs_it(host):
    called, said = script(host, "prerm", "remove")
    assert (called, said) == (["select-xenstored off", STOP, STOP_KEEPER], "")


@pytest.mark.parametrize("version, stopped", [
    ("0.3", False), ("0.2", False), ("0.2+other", False), ("0.1", True), ("0.1-9", True)])
def test_the_keeper_is_stopped_only_for_a_version_that_has_none(host, version, stopped):
    """Whoever it holds would wait for that one in vain."""
    assert script(host, "prerm", "upgrade", version) == ([STOP_KEEPER] if stopped else [], "")


@pytest.mark.parametrize("why", ["abort-upgrade", "abort-remove"])
def test_the_keeper_goes_on_where_the_package_stays(host, why):
    assert script(host, "postinst", why, "0.1") == (
        [ACTIVE, START_KEEPER], "")
    inactive(host)
    assert script(host, "postinst", why, "0.1") == ([ACTIVE], "")


# --- what postinst does

RELOAD = "systemctl --system daemon-reload"
ACTIVE = "systemctl --quiet is-active xsproxy.service"
RESTART = "deb-systemd-invoke try-restart xsproxy.service"
REBOOT = "xsproxy: takes effect when dom0 is rebooted."
WRONG = "xsproxyd: /etc/xsproxy/xsproxy.conf:2: [log] x = 1: there is no such option"


def inactive(host):
    """xsproxyd does not run."""
    host.stub("/usr/bin/systemctl", 'echo "${0##*/} $*"; [ "$2" != is-active ]')


def wrong(host):
    host.stub("/usr/sbin/xsproxyd", f"echo '{WRONG}' >&2; echo more >&2; exit 2")


@pytest.mark.parametrize("before", ("0.1", "0.2"))
def test_an_upgrade_restarts_as_the_new_unit_says(host, before):
    """And from a version without a keeper it says what that has closed, for the last time."""
    called, said = script(host, "postinst", "configure", before)
    keeper = [ACTIVE, START_KEEPER] if before != "0.1" else []
    assert called == ["select-xenstored keep", RELOAD, ACTIVE, *keeper, RESTART]
    assert said.count("\n") == (before == "0.1") and ("xenconsoled" in said) == (before == "0.1")


def test_a_later_restart_is_as_the_new_unit_says_too(host):
    """Ours was left out, for the configuration is wrong."""
    wrong(host)
    called, said = script(host, "postinst", "configure", "0.1")
    assert called == ["select-xenstored keep", RELOAD, ACTIVE]
    assert said == ("xsproxy: xsproxyd was not restarted, the old one runs on; mend the "
                    f"configuration, then 'systemctl restart xsproxy': {WRONG}\n")


@pytest.mark.parametrize("before", ("", "0.1"))
def test_where_none_runs(host, before):
    """Installed the first time, or again after it was removed; or not booted since."""
    inactive(host)
    expected = [f"select-xenstored {'keep' if before else 'on'}", RELOAD, ACTIVE, REBOOT]
    assert script(host, "postinst", "configure", before) == (expected, "")
    wrong(host)
    called, said = script(host, "postinst", "configure", before)
    assert called == expected
    assert said == f"xsproxy: mend the configuration before that: {WRONG}\n"


ENTER = "xsproxy: run 'xsproxyctl enter', or reboot dom0, for it to take effect."


@pytest.mark.parametrize("pid, file, expected", (
    ("1", "/run/xenstore.pid", ENTER), ("1", "/run/xen/xenstored.pid", ENTER),
    ("99999999", "/run/xenstore.pid", REBOOT), ("", "/run/xenstore.pid", REBOOT)))
def test_where_a_xenstored_runs(host, pid, file, expected):
    """Then xsproxyd can be put before it."""
    inactive(host)
    host.write(file, f"{pid}\n" if pid else "")
    called, said = script(host, "postinst", "configure", "")
    assert (called, said) == (["select-xenstored on", RELOAD, ACTIVE, expected], "")


def test_no_systemd(host):
    host.write("/run/xenstore.pid", "1\n")
    assert script(host, "postinst", "configure", "", before="rm -r /run/systemd/system") == (
        ["select-xenstored on", REBOOT], "")


def test_where_xenstored_is_not_ours_nothing_takes_effect(host):
    """The administrator has chosen otherwise; select-xenstored says so."""
    inactive(host)
    host.stub("/usr/libexec/xsproxy/select-xenstored", 'echo "${0##*/} $*"; exit 1')
    called, said = script(host, "postinst", "configure", "0.1")
    assert (called, said) == (["select-xenstored keep", RELOAD, ACTIVE], "")


def test_where_it_could_not_be_chosen(host):
    """The next upgrade tries again."""
    inactive(host)
    host.stub("/usr/libexec/xsproxy/select-xenstored", 'echo "${0##*/} $*"; exit 1')
    host.write(MARK, "")
    called, _ = script(host, "postinst", "configure", "0.1")
    assert called == ["select-xenstored on", RELOAD, ACTIVE]
    host.stub("/usr/libexec/xsproxy/select-xenstored")
    called, _ = script(host, "postinst", "configure", "0.1", before=f": >{MARK}")
    assert called == ["select-xenstored on", RELOAD, ACTIVE, REBOOT]


def test_a_keeper_that_is_not_there_yet(host):
    """What a removal that came to nothing has left: the restart waits until it has all."""
    host.stub("/usr/sbin/xsproxyctl", """
[ "$1" = check ] && [ ! -e /asked ] && echo "keeper: there is none"; : >/asked; exit 1""")
    called, said = script(host, "postinst", "configure", "0.2")
    assert (called, said) == (
        ["select-xenstored keep", RELOAD, ACTIVE, ACTIVE, START_KEEPER, RESTART], "")


# --- who chooses xenstored, from installation to removal

def scripts(host, *runs):
    """What several scripts have called of select-xenstored, and whether the mark is left."""
    for name in "preinst", "postinst", "prerm", "postrm":
        host.write(f"/{name}", (ROOT / "debian" / name).read_text(), 0o755)
    steps = "; ".join(f"/{run}" for run in runs)
    done = host.run("sh", "-ec", f"{steps}; ! [ -e {MARK} ] || echo marked")
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines()
            if line.startswith(("select-xenstored", "marked"))]


@pytest.mark.parametrize("runs, called", [
    (("preinst install", "postinst configure ''"), ["on"]),
    (("preinst upgrade 0.1", "postinst configure 0.1"), ["keep"]),
    # It was removed, by whichever version.
    (("preinst install 0.1 0.2", "postinst configure 0.1"), ["on"]),
    (("preinst install", "postinst configure ''", "postinst configure 0.2"), ["on", "keep"]),
    (("prerm remove", "postrm remove"), ["off"]),
    # It is not removed after all.
    (("prerm remove", "postinst abort-remove"), ["off", "on"]),
    (("prerm upgrade 0.3", "preinst upgrade 0.2", "postinst configure 0.2"), ["keep"]),
    (("preinst install", "postrm abort-install"), []),
])
def test_xenstored_is_chosen_once(host, runs, called):
    assert scripts(host, *runs) == [f"select-xenstored {what}" for what in called]


def test_a_removal_that_is_none_leaves_the_administrators_choice(host):
    host.stub("/usr/libexec/xsproxy/select-xenstored",
              'echo "${0##*/} $*"; [ "$1" != keep ]')
    assert scripts(host, "prerm remove", "postinst abort-remove") == ["select-xenstored off"]
