# SPDX-License-Identifier: MIT
"""Makes a disk with a Debian dom0: systemd, Debian's Xen tools, and the package of `make deb` or
that of a release before.

Its packages come from Debian once and are kept below build/xen/, as is the one of the release; ours
is built anew each time, and each disk is.
"""

import dataclasses
import functools
import hashlib
import os
import platform
import re
import shutil
import threading

import images
from cpio import Initramfs
from images import REPOSITORY, WORK, output

PACKAGES = (f"systemd-sysv udev kmod dbus xen-utils-{images.XEN_VERSION} xenstore-utils"
            " busybox-static").split()
SUITE = platform.freedesktop_os_release()["VERSION_CODENAME"]  # whose Xen this machine has
EXCLUDED = "/usr/share/doc/* /usr/share/man/* /usr/share/locale/* /usr/share/info/*".split()
SIZE = "1G"
EXAMPLES = "/usr/share/doc/xsproxy/examples"
METRICS = "127.0.0.1:9777"
CONFIG = f"""[xsproxy]
[quiesce]
timeout = 30s
[metrics]
listen = {METRICS}
"""

# The release whose hosts are upgraded, and where they find the package of this checkout.
RELEASE = "0.1"
SOURCES = REPOSITORY / f"tests/releases/xsproxy-{RELEASE}.tar.xz"
UPGRADE = "/root/xsproxy.deb"
INSTALLED = "/root/installed.deb"  # what is installed there
OTHER = "/root/other.deb"  # the package of this checkout with another version
RELEASE_RUNS = (REPOSITORY / "tests/releases/xen").read_text().strip() == images.XEN_VERSION

# Nothing of Xen or of ours needs these, and under emulation they are half of the boot.
MASKED = ("systemd-udev-trigger systemd-logind systemd-journal-flush systemd-update-utmp"
          " e2scrub_reap getty@tty1 serial-getty@hvc0").split()

# Loaded before the root is there; the rest is the system's own business.
ROOT_MODULES = "virtio_pci virtio_blk crc32c_generic ext4".split()
SYSTEM_MODULES = images.DOM0_MODULES
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
for module in /usr/lib/modules/*.ko; do /bin/busybox insmod $module; done
/bin/busybox mount -t ext4 /dev/vda /root || exec /bin/busybox poweroff -f
/bin/busybox mount --move /proc /root/proc
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""

# The test's own additions: where its logs go, and its way in.
FSTAB = "log /var/log/xen 9p trans=virtio,version=9p2000.L,msize=131072,cache=none 0 0\n"
PATIENCE = "[Manager]\nDefaultTimeoutStartSec=600\nDefaultTimeoutStopSec=600\n"  # with who is slow
COMMANDS = f"""[Unit]
Description=Commands of the test
DefaultDependencies=no
After=systemd-modules-load.service

[Service]
ExecStart=/usr/local/sbin/take-commands
Environment=PATH={images.XEN_BIN}:/usr/local/sbin:/usr/sbin:/usr/bin:/usr/local/busybox
KillMode=process

[Install]
WantedBy=sysinit.target
"""
TAKE_COMMANDS = """#!/bin/bash
until port=$(ls /sys/class/virtio-ports) && [ -e /dev/$port ]; do sleep 0.1; done
while :; do
	bash -c 'echo READY; exec bash' <>/dev/$port >&0 2>&1
done
"""


@functools.cache
def base_tree():
    """A Debian tree with PACKAGES and what our package depends on, made once."""
    depends = output("dpkg-deb", "--field", package(), "Depends")
    packages = PACKAGES + re.findall(r"(?:^|, )([a-z0-9.+-]+)", depends)
    words = " ".join([SUITE, *packages, *EXCLUDED])
    name = "root-" + hashlib.sha256(words.encode()).hexdigest()[:8]
    tree = WORK / name
    if not tree.exists():
        for old in WORK.glob("root-*"):
            shutil.rmtree(old)
        part = WORK / "root-part"
        options = ["--quiet", "--variant=minbase", "--include=" + ",".join(packages)]
        options += [f"--dpkgopt=path-exclude={path}" for path in EXCLUDED]
        # In a mount namespace: what is mounted there when this is killed would be deleted next.
        output("unshare", "--mount", "mmdebstrap", *options, SUITE, part)
        part.rename(tree)
    return tree


def make_package(sources, build):
    output("make", "-s", "-C", sources, f"BUILD={build}", "deb")
    return next((build / "deb").glob("xsproxy_*.deb"))


@functools.cache
def package():
    """The package of this checkout."""
    return make_package(REPOSITORY, WORK / "package")


@functools.cache
def other_package():
    """The same with another version: a later build."""
    tree, deb = WORK / "other", WORK / "other.deb"
    shutil.rmtree(tree, ignore_errors=True)
    output("dpkg-deb", "--raw-extract", package(), tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^(Version: .*)$", r"\1+other", control.read_text()))
    output("dpkg-deb", "--root-owner-group", "--build", tree, deb)
    shutil.rmtree(tree)
    return deb


@functools.cache
def released_package():
    """The package of RELEASE, made once."""
    name = f"release-{RELEASE}-" + hashlib.sha256(SOURCES.read_bytes()).hexdigest()[:8]
    deb = WORK / name / "xsproxy.deb"
    if not deb.exists():
        for old in WORK.glob("release-*"):
            shutil.rmtree(old)
        part = WORK / "release-part"
        part.mkdir()
        output("tar", "-xJf", SOURCES, "-C", part, "--strip-components=1")
        make_package(part, part / "build").rename(part / "xsproxy.deb")
        part.rename(WORK / name)
    return deb


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def install(tree, deb, upstream, files):
    """What an administrator does, who chooses the daemon, installs us and wants metrics, and the
    test."""
    with open(tree / "etc/xen/oxenstored.conf", "a") as config:
        config.write(f"access-log-file = {images.ACCESS_LOG}\n")
    with open(tree / "etc/default/xen", "a") as defaults:
        if upstream != "oxenstored":  # Debian's choice
            defaults.write(f"XENSTORED={images.XEN_BIN}/{upstream}\n")
        defaults.write("XENCONSOLED_ARGS=--log=guest\n")
    shutil.copy(deb, tree / INSTALLED.lstrip("/"))
    output("chroot", tree, "dpkg", "-i", "--path-include=/usr/share/doc/xsproxy*",
           INSTALLED,
           env=dict(os.environ, PATH="/usr/sbin:/usr/bin", DEBIAN_FRONTEND="noninteractive"))
    write(tree / "etc/xsproxy/xsproxy.conf", CONFIG)
    override = "xsproxy.service.d/metrics.conf"
    write(tree / "etc/systemd/system" / override,
          (tree / EXAMPLES.lstrip("/") / override).read_text())

    write(tree / "etc/fstab", FSTAB)
    write(tree / "etc/modules-load.d/test.conf", "virtio_console\n9pnet_virtio\n9p\nxen-netback\n")
    write(tree / "etc/systemd/system.conf.d/test.conf", PATIENCE)
    write(tree / "etc/systemd/system/systemd-journald.service.d/test.conf",
          "[Service]\nWatchdogSec=0\n")
    write(tree / "etc/systemd/system/commands.service", COMMANDS)
    write(tree / "usr/local/sbin/take-commands", TAKE_COMMANDS, 0o755)
    output("chroot", tree, "systemctl", "--quiet", "enable", "commands.service")
    output("chroot", tree, "systemctl", "--quiet", "mask", *(f"{unit}.service" for unit in MASKED))
    (tree / "usr/local/busybox").mkdir()
    output("chroot", tree, "/bin/busybox", "--install", "-s", "/usr/local/busybox")
    for source, name in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tree / name)


def install_modules(tree, kernel_tree):
    folder = images.module_folder(kernel_tree)
    for module in images.modules(kernel_tree, SYSTEM_MODULES):
        target = tree / "usr/lib/modules" / module.relative_to(folder.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, target)
    for name in "modules.order", "modules.builtin", "modules.builtin.modinfo":
        shutil.copy(folder / name, tree / "usr/lib/modules" / folder.name)
    output("chroot", tree, "depmod", folder.name)


@functools.cache
def initramfs():
    """Finds the disk and goes on there."""
    image = Initramfs()
    image.directory("proc", "dev", "root")
    image.file("/bin/busybox", "/usr/bin/busybox")
    images.add_modules(image, images.prepare().kernel_tree, ROOT_MODULES)
    image.text("init", INIT, 0o755)
    path = WORK / "disk.cpio"
    image.write(path)
    return path


class Maker:
    """Makes the disk on which @upstream is chosen, when it is first asked for.

    If @released, RELEASE is installed there and waits for the upgrade.
    """

    _lock = threading.Lock()  # one disk after the other, whoever asks

    def __init__(self, upstream, released=False):
        self._upstream = upstream
        self._released = released
        self._images = None

    def prepare(self):
        """Images with a disk in place of dom0's initramfs."""
        with self._lock:
            self._images = self._images or self._make()
            return self._images

    def _make(self):
        booted = images.prepare()
        name = f"{self._upstream}-{RELEASE}" if self._released else self._upstream
        tree, disk = WORK / "disk", WORK / f"{name}.ext4"
        shutil.rmtree(tree, ignore_errors=True)
        output("cp", "-a", "--reflink=auto", base_tree(), tree)
        deb, files = package(), booted.files | {other_package(): OTHER.lstrip("/")}
        if self._released:
            deb, files = released_package(), booted.files | {deb: UPGRADE.lstrip("/")}
        install(tree, deb, self._upstream, files)
        install_modules(tree, booted.kernel_tree)
        disk.unlink(missing_ok=True)
        output("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, disk, SIZE)
        shutil.rmtree(tree)
        return dataclasses.replace(booted, initramfs=initramfs(), disk=disk)
