# SPDX-License-Identifier: MIT
"""`make install`, and the Debian package: builds, passes lintian, comes and goes."""

import pathlib
import re
import shutil
import subprocess

import pytest

import xensim

ROOT = pathlib.Path(__file__).resolve().parents[2]
MANUALS = sorted((ROOT / "docs/man").iterdir())

INSTALLED = {
    "etc/xsproxy/xsproxy.conf",
    "usr/lib/systemd/system/xsproxy-keeper.service",
    "usr/lib/systemd/system/xsproxy-xenfs.service",
    "usr/lib/systemd/system/xsproxy-xenstored.service",
    "usr/lib/systemd/system/xsproxy.service",
    "usr/lib/systemd/system/xsproxy.socket",
    "usr/lib/xsproxy/libxsproxy-bridge.so",
    "usr/libexec/xsproxy/keeper",
    "usr/libexec/xsproxy/live-update",
    "usr/libexec/xsproxy/run-xenstored",
    "usr/libexec/xsproxy/select-xenstored",
    "usr/libexec/xsproxy/starter",
    "usr/libexec/xsproxy/xenstored",
    "usr/sbin/xsproxyctl",
    "usr/sbin/xsproxyd",
    "usr/share/bash-completion/completions/xsproxyctl",
    "usr/share/doc/xsproxy/README.md",
    "usr/share/doc/xsproxy/architecture.md",
    "usr/share/doc/xsproxy/daemons.md",
    "usr/share/doc/xsproxy/examples/xenstored.service.d/xsproxy.conf",
    "usr/share/doc/xsproxy/examples/xsproxy.conf.example",
    "usr/share/doc/xsproxy/examples/xsproxy.grafana.json",
    "usr/share/doc/xsproxy/examples/xsproxy.rules.yml",
    "usr/share/doc/xsproxy/examples/xsproxy.service.d/metrics.conf",
    "usr/share/doc/xsproxy/examples/xsproxy.socket.d/group.conf",
    "usr/share/doc/xsproxy/performance.md",
    "usr/share/doc/xsproxy/protocol.md",
    "usr/share/doc/xsproxy/security.md",
    "usr/share/doc/xsproxy/xsproxyctl.schema.json",
    "usr/share/man/man5/xsproxy.conf.5",
    "usr/share/man/man7/libxsproxy-bridge.7",
    "usr/share/man/man7/xsproxy.7",
    "usr/share/man/man8/xsproxy-keeper.8",
    "usr/share/man/man8/xsproxy-starter.8",
    "usr/share/man/man8/xsproxyctl.8",
    "usr/share/man/man8/xsproxyd.8",
    "usr/share/xsproxy/wireshark/profile/colorfilters",
    "usr/share/xsproxy/wireshark/profile/preferences",
    "usr/share/xsproxy/wireshark/xenstore.lua",
    "usr/share/zsh/vendor-completions/_xsproxyctl",
}


def make(*args):
    done = subprocess.run(["make", "-s", *args], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def files(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


# --- what they name, and the version

def named_files(path):
    """The files of ours that a manual names, from the root on."""
    names = re.findall(r"\bPa (\S*/\S*)", path.read_text())
    assert all(name.startswith("/") for name in names), names
    return {name[1:] for name in names if name.startswith(("/usr/", "/etc/xsproxy/"))}


def test_manuals_name_no_file_that_is_not_there():
    named = set().union(*map(named_files, MANUALS))
    assert len(named) >= 6 and named <= INSTALLED


def test_versions_agree():
    version = subprocess.run([xensim.BUILD / "xsproxyd", "--version"], capture_output=True,
                             text=True, check=True).stdout.split()[1]
    changelog = (ROOT / "debian/changelog").read_text()
    assert changelog.startswith(f"xsproxy ({version}) ")


# --- make install

def test_install(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    assert files(tmp_path) == INSTALLED
    for name in ("usr/libexec/xsproxy/xenstored", "usr/libexec/xsproxy/select-xenstored",
                 "usr/libexec/xsproxy/run-xenstored",
                 "usr/libexec/xsproxy/keeper", "usr/libexec/xsproxy/starter",
                 "usr/libexec/xsproxy/live-update", "usr/sbin/xsproxyd"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o755
    # Once more: what the administrator has written stays.
    conf = tmp_path / "etc/xsproxy/xsproxy.conf"
    conf.write_text("[log]\nlevel = debug\n")
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    assert conf.read_text() == "[log]\nlevel = debug\n"


def test_install_elsewhere(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/xs")
    assert files(tmp_path) == {name.replace("usr/", "opt/xs/", 1) for name in INSTALLED}
    for name in files(tmp_path):
        if not name.startswith(("opt/xs/sbin", "opt/xs/lib/xsproxy",
                                "opt/xs/libexec/xsproxy/keeper",
                                "opt/xs/libexec/xsproxy/live-update",
                                "opt/xs/libexec/xsproxy/starter")):
            text = (tmp_path / name).read_text()
            assert not re.search(r"/usr/(sbin/xsp|lib/xsp|libexec|share/doc/xsp|share/xsp)",
                                 text), name


# --- the package

@pytest.fixture(scope="module")
def deb():
    if xensim.BUILD.name == "san":
        pytest.skip("a package has no sanitizers")
    make("deb")
    return next((ROOT / "build/deb").glob("xsproxy_*.deb"))


@pytest.mark.long
def test_lintian(deb):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning",
                           deb.parent / deb.name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_the_package_has_what_the_manuals_name(deb):
    there = subprocess.run(["dpkg", "-c", deb], capture_output=True, text=True, check=True).stdout
    names = {line.split()[5].removeprefix("./") for line in there.splitlines()}
    assert set().union(*map(named_files, MANUALS)) <= names


@pytest.mark.long
def test_needrestart_leaves_alone_what_must_not_end(deb, tmp_path):
    """Its file as needrestart reads it, and which of our units it is about."""
    subprocess.run(["dpkg", "-x", deb, tmp_path], check=True)
    conf = tmp_path / "etc/needrestart/conf.d/xsproxy.conf"
    script = ("do $ARGV[0]; die $@ if $@; for my $unit (@ARGV) { for (keys %{$nrconf{override_rc}})"
              ' { print "$unit " if $unit =~ /$_/ && !$nrconf{override_rc}->{$_} } }')
    units = [path.name for path in (ROOT / "systemd").glob("xsproxy*")]
    said = subprocess.run(["perl", "-e", "our %nrconf; " + script, conf, *units],
                          capture_output=True, text=True, check=True)
    assert len(units) > 4
    assert sorted(said.stdout.split()) == ["xsproxy-keeper.service", "xsproxy-xenstored.service"]


@pytest.mark.long
def test_wireshark_finds_the_dissector(deb):
    said = subprocess.run(["tshark", "-G", "folders"], capture_output=True, text=True, check=True)
    plugins = re.search(r"^Global Lua Plugins:\s+/(.*)$", said.stdout, re.M)[1]
    there = subprocess.run(["dpkg", "-c", deb], capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^l.* \./{plugins}/xenstore.lua -> .*/xsproxy/wireshark/xenstore.lua$",
                     there, re.M), there


# An overlay over this very machine, so that nothing of it changes.
CHROOT = """
set -e
top=$1 deb=$2
mount -t tmpfs t "$top"
mkdir "$top/up" "$top/work" "$top/root"
mount -t overlay -o "lowerdir=/,upperdir=$top/up,workdir=$top/work" o "$top/root"
mount --rbind /dev "$top/root/dev"
mount -t proc p "$top/root/proc"
cp "$deb" "$top/root/tmp/xsproxy.deb"
cp "$top/root/etc/default/xen" "$top/root/tmp/before"
exec chroot "$top/root" sh -c '
    set -e
    links() { find /etc/systemd/system -name "xsproxy.*" | sort; }
    dpkg -i /tmp/xsproxy.deb >/dev/null
    echo "installed: $(. /etc/default/xen; echo "$XENSTORED"), $(links | wc -l) links"
    xsproxyd --version >/dev/null; xsproxyd --check-config >/dev/null
    xsproxyctl --help >/dev/null;
    man -w xsproxyd xsproxyctl xsproxy.conf libxsproxy-bridge xsproxy-keeper >/dev/null
    dpkg -i /tmp/xsproxy.deb >/dev/null
    echo "again: $(grep -c XENSTORED=/usr/libexec /etc/default/xen)"
    sed -i "s,^XENSTORED=/usr/libexec,#&," /etc/default/xen
    dpkg -i /tmp/xsproxy.deb | grep ^xsproxy:
    sed -i "s,^#XENSTORED=/usr/libexec,XENSTORED=/usr/libexec," /etc/default/xen
    mkdir -p /run/systemd/system
    printf "#!/bin/sh\\necho \\"\\$@\\"\\n" | tee /usr/bin/systemctl >/usr/bin/deb-systemd-invoke
    printf "[metrics]\\nlevel = loud\\n" >/etc/xsproxy/xsproxy.conf
    dpkg -i /tmp/xsproxy.deb 2>&1 >/tmp/said | sed "s/conf:[0-9]*:/conf:N:/"
    echo "wrong: $(grep -c try-restart /tmp/said)"
    echo >/etc/xsproxy/xsproxy.conf
    dpkg -i /tmp/xsproxy.deb >/tmp/said
    grep try-restart /tmp/said
    echo "keeper: $(grep keeper /tmp/said)"
    dpkg -r xsproxy | grep keeper
    cmp /etc/default/xen /tmp/before && echo "removed: as before"
    printf "#!/bin/sh\\n[ \\"\\$2\\" != is-active ]\\n" >/usr/bin/systemctl
    printf "[metrics]\\nlevel = loud\\n" >/etc/xsproxy/xsproxy.conf
    dpkg -i /tmp/xsproxy.deb 2>&1 | grep ^xsproxy: | sed "s/conf:[0-9]*:/conf:N:/"
    echo "back: $(. /etc/default/xen; echo "$XENSTORED")"
    dpkg -r xsproxy >/dev/null
    cmp /etc/default/xen /tmp/before && echo "removed: as before"
    dpkg -P xsproxy >/dev/null
    [ -e /etc/xsproxy ] || [ -e /var/lib/xsproxy ] || [ -n "$(links)" ] ||
        echo "purged: nothing left"
'
"""


@pytest.mark.long
def test_it_installs_enables_and_removes_cleanly(deb, tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    argv = ["unshare", "-m", "sh", "-c", CHROOT, "sh", top, deb]
    if not shutil.which("unshare") or subprocess.run(
            ["unshare", "-m", "sh", "-c", "mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/r && "
             "mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w o /mnt/r"],
            capture_output=True, check=False).returncode:
        pytest.skip("this needs the right to mount an overlay")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "installed: /usr/libexec/xsproxy/xenstored, 2 links", "again: 1",
        "xsproxy: XENSTORED in /etc/default/xen is not set; left as it is",
        "xsproxy: xsproxyd was not restarted, the old one runs on; mend the configuration, then "
        "'systemctl restart xsproxy': xsproxyd: /etc/xsproxy/xsproxy.conf:N: [metrics] level = "
        "loud: there is no such option", "wrong: 0", "try-restart xsproxy.service",
        "keeper: start xsproxy-keeper.service", "stop xsproxy-keeper.service",
        "removed: as before", "xsproxy: takes effect when dom0 is rebooted.",
        "xsproxy: mend the configuration before that: xsproxyd: /etc/xsproxy/xsproxy.conf:N: "
        "[metrics] level = loud: there is no such option",
        "back: /usr/libexec/xsproxy/xenstored", "removed: as before", "purged: nothing left"]
