# SPDX-License-Identifier: MIT
"""Makes what QEMU boots: Xen, a kernel for dom0 and guests, the guests' initramfs and, for the
bench, one that is a dom0 by itself (disk.py makes the other kind).

The kernel's and the hypervisor's package are downloaded and unpacked once, below build/xen/; they
are not installed, so this machine's boot loader never hears of them. The initramfses are made
anew each time from the programs of this machine and of this checkout.
"""

import dataclasses
import functools
import gzip
import lzma
import os
import pathlib
import re
import shutil
import struct
import subprocess

from cpio import Initramfs, libraries

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("XSPROXY_BUILD", REPOSITORY / "build")).resolve()
WORK = REPOSITORY / "build" / "xen"

XEN_TOOLS = ("xl xenstored oxenstored xenconsoled xen-init-dom0 libxl-save-helper xenstore-control"
             " lsevtchn").split()
STORE_TOOLS = "read write list ls exists rm watch".split()
DOM0_MODULES = ("xen-evtchn xen-privcmd xen-gntdev xen-gntalloc xenfs virtio_pci virtio_console"
                " 9pnet_virtio 9p xen-netback").split()
GUEST_MODULES = ["xen-netfront"]
ACCESS_LOG = "/run/xenstored-access.log"  # oxenstored's: a line a request is too slow over 9p

PRODUCT = {  # where the package puts them
    BUILD / "xsproxyd": "/usr/sbin/xsproxyd",
    BUILD / "xsproxyctl": "/usr/sbin/xsproxyctl",
    BUILD / "xsproxy-keeper": "/usr/libexec/xsproxy/keeper",
    BUILD / "libxsproxy-bridge.so": "/usr/lib/xsproxy/libxsproxy-bridge.so",
    REPOSITORY / "systemd/xenstored-wrapper": "/usr/libexec/xsproxy/xenstored",
}


def output(*command, **kwargs):
    """What @command prints; what it complains about is shown only if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          **kwargs)
    if done.returncode:
        raise SystemExit(f"check-xen: '{' '.join(words)}' failed:\n{done.stdout}{done.stderr}")
    return done.stdout


# The Xen of this machine's tools, which is the one that is booted.
XEN_VERSION = output(REPOSITORY / "tests/xen-version").strip()
XEN_BIN = pathlib.Path(f"/usr/lib/xen-{XEN_VERSION}/bin")


def kernel_package():
    """The package that linux-image-amd64 depends on now."""
    found = re.search(r"Depends: (linux-image-[0-9]\S+)",
                      output("apt-cache", "depends", "linux-image-amd64"))
    if not found:
        raise SystemExit("check-xen: no linux-image-amd64 in the package lists: apt-get update")
    return found.group(1)


def download(package, directory):
    """The .deb of @package, from the cache or from Debian."""
    version = output("apt-cache", "show", "--no-all-versions", package)
    version = re.search(r"(?m)^Version: (\S+)", version).group(1).replace(":", "%3a")
    deb = directory / f"{package}_{version}_amd64.deb"
    if not deb.exists():
        directory.mkdir(parents=True, exist_ok=True)
        output("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package,
               cwd=directory)
    return deb


def unpack(deb, into):
    """Unpacks @deb below @into unless that was done; returns the directory."""
    root = into / deb.stem
    if not root.exists():
        for old in into.glob(deb.name.split("_")[0] + "_*"):
            shutil.rmtree(old)
        part = into / "part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        output("dpkg-deb", "-x", deb, part)
        part.rename(root)
    return root


def unpacked_kernel(image):
    """The ELF image in the bzImage @image: decompressing it under emulation takes 10 s a boot."""
    data = image.read_bytes()
    start, length = struct.unpack_from("<II", data, 0x248)  # Linux's boot.rst: payload_offset
    start += (data[0x1f1] + 1) * 512  # setup_sects
    packed = data[start:start + length - 4]  # its size unpacked comes last
    if packed.startswith(b"\xfd7zXZ\0"):
        return lzma.decompress(packed)
    return subprocess.run(["zstd", "-d", "--stdout"], input=packed, capture_output=True,
                          check=True).stdout


def module_folder(tree):
    """Where the modules of an unpacked kernel are; Debian is still about to merge /usr."""
    return next(path for name in ("usr/lib", "lib") for path in (tree / name).glob("modules/*"))


def module_text(path):
    """What is in a module; later kernels have them packed."""
    text = path.read_bytes()
    return lzma.decompress(text) if path.suffix == ".xz" else text


def modules(tree, names):
    """The files of the modules @names and of those that they need, in the order of loading."""
    files = {path.name.split(".ko")[0].replace("-", "_"): path
             for path in module_folder(tree).glob("kernel/**/*.ko*")}
    built_in = (module_folder(tree) / "modules.builtin").read_text().replace("-", "_")
    order = []

    def add(name):
        if name not in files:
            return  # built in
        found = re.search(rb"\0depends=([^\0]*)\0", b"\0" + module_text(files[name]))
        for needed in filter(None, (found.group(1) if found else b"").decode().split(",")):
            add(needed.replace("-", "_"))
        if files[name] not in order:
            order.append(files[name])

    for name in names:
        name = name.replace("-", "_")
        if name not in files and f"/{name}.ko\n" not in built_in:
            raise SystemExit(f"check-xen: the kernel has no module {name}")
        add(name)
    return order


def busybox(image):
    image.file("/bin/busybox", "/usr/bin/busybox")
    for applet in output("/bin/busybox", "--list").split():
        if applet != "busybox":
            image.symlink(f"usr/bin/{applet}", "busybox")


def add_modules(image, tree, names):
    for number, path in enumerate(modules(tree, names)):
        name = path.name.removesuffix(".xz")
        image.data(f"/usr/lib/modules/{number:02}-{name}", module_text(path))


def dom0_initramfs(kernel_tree, files, path):
    image = Initramfs()
    image.directory("proc", "sys", "dev", "run", "tmp", "root", "var/lib/xen", "var/log/xen",
                    "var/lib/xenstored", "etc/xen/scripts")
    image.directory("etc/xsproxy")
    image.symlink("var/run", "/run")
    image.symlink("var/lock", "/run/lock")
    image.text("etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    image.text("etc/group", "root:x:0:\n")
    image.text("etc/xen/oxenstored.conf", pathlib.Path("/etc/xen/oxenstored.conf").read_text() +
               f"access-log-file = {ACCESS_LOG}\n")
    image.text("etc/xen/xl.conf", 'lockfile="/run/lock/xl"\nautoballoon="off"\n')
    busybox(image)
    image.program("/bin/bash", "/usr/bin/bash")
    for tool in XEN_TOOLS:
        image.program(XEN_BIN / tool)
    for tool in STORE_TOOLS:
        image.program(f"/usr/bin/xenstore-{tool}")
    for library in libraries("/bin/bash"):  # what pthread_cancel() loads lies beside libc
        if library.endswith("/libc.so.6"):
            image.file(library.replace("libc.so.6", "libgcc_s.so.1"))
    for built, installed in PRODUCT.items():
        if built.exists():
            image.program(built, installed)
    for source, name in files.items():
        image.file(source, name)
    add_modules(image, kernel_tree, DOM0_MODULES)
    image.file(HERE / "dom0-init", "/init")
    image.write(path)


def guest_initramfs(kernel_tree, path):
    image = Initramfs()
    image.directory("proc", "sys", "dev", "tmp")
    image.file("/bin/busybox", "/usr/bin/busybox")
    for name in "poweroff", "reboot":  # what the kernel runs when told by control/shutdown
        image.text(f"usr/sbin/{name}", f"#!/bin/busybox sh\n/bin/busybox {name} -f\n", 0o755)
    image.file(WORK / "xs", "/usr/bin/xs")
    add_modules(image, kernel_tree, GUEST_MODULES)
    image.file(HERE / "guest-init", "/init")
    image.write(path)


@dataclasses.dataclass
class Images:
    """What a machine boots, as paths."""

    xen: pathlib.Path
    kernel: pathlib.Path
    kernel_tree: pathlib.Path  # the unpacked package
    files: dict  # path -> where dom0 has it
    initramfs: pathlib.Path | None = None
    disk: pathlib.Path | None = None


@functools.cache
def prepare():
    """Makes everything in WORK but what differs between dom0s."""
    WORK.mkdir(parents=True, exist_ok=True)
    debs = WORK / "debs"
    kernel_tree = unpack(download(kernel_package(), debs), WORK / "tree")
    xen_tree = unpack(download(f"xen-hypervisor-{XEN_VERSION}-amd64", debs), WORK / "tree")

    vmlinux = kernel_tree / "vmlinux"
    if not vmlinux.exists():
        vmlinux.with_suffix(".part").write_bytes(
            unpacked_kernel(next(kernel_tree.glob("boot/vmlinuz-*"))))
        vmlinux.with_suffix(".part").rename(vmlinux)
    xen = WORK / "xen"
    packed = next(xen_tree.glob(f"boot/xen-{XEN_VERSION}-amd64.gz"))
    xen.write_bytes(gzip.decompress(packed.read_bytes()))

    output(os.environ.get("CC", "gcc"), "-std=gnu17", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
           f"-I{REPOSITORY}", "-static", "-o", WORK / "xs", *HERE.glob("*.c"))
    guest_initramfs(kernel_tree, WORK / "guest.cpio")
    files = {WORK / "guest.cpio": "guest/initramfs", vmlinux: "guest/vmlinux",
             WORK / "xs": "usr/bin/xs", HERE / "vif-script": "etc/xen/scripts/vif-script"}
    return Images(xen, vmlinux, kernel_tree, files)


@functools.cache
def prepare_dom0():
    """Images with a dom0 that needs no disk."""
    booted = prepare()
    path = WORK / "dom0.cpio"
    dom0_initramfs(booted.kernel_tree, booted.files, path)
    return dataclasses.replace(booted, initramfs=path)
