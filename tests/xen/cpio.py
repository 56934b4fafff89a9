# SPDX-License-Identifier: MIT
"""Writes an initramfs (cpio, "newc") without being root and without a staging tree."""

import os
import pathlib
import re
import stat
import subprocess

# Debian has merged /usr; what the build machine calls /bin/x goes to /usr/bin/x.
MERGED = {"bin", "sbin", "lib", "lib64"}


def merged(path):
    """@path below the root of the archive, with /usr merged."""
    path = str(path).lstrip("/")
    return f"usr/{path}" if path.split("/")[0] in MERGED else path


def libraries(program):
    """The loader and the libraries that @program, of this machine, needs."""
    done = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True)
    return re.findall(r"(?m)(?:=> |^\s+)(/\S+) \(0x", done.stdout)


class Initramfs:
    """Collects files, then write() makes the archive of them."""

    def __init__(self):
        self._members = {}  # name -> (mode, content or path)
        for name in MERGED:
            self.symlink(name, f"usr/{name}")

    def directory(self, *names, mode=0o755):
        for name in names:
            name = str(name).lstrip("/")
            self._parents(name)
            self._members.setdefault(name, (stat.S_IFDIR | mode, b""))

    def symlink(self, name, target):
        self._add(str(name).lstrip("/"), stat.S_IFLNK | 0o777, target.encode())

    def text(self, name, content, mode=0o644):
        self.data(name, content.encode(), mode)

    def data(self, name, content, mode=0o644):
        self._add(str(name).lstrip("/"), stat.S_IFREG | mode, content)

    def file(self, source, name=None):
        """The file @source of this machine, as @name or where it lies."""
        mode = stat.S_IMODE(os.stat(source).st_mode)
        self._add(merged(name or source), stat.S_IFREG | mode, pathlib.Path(source))

    def program(self, source, name=None):
        """Likewise, with the libraries that it needs."""
        self.file(source, name)
        for library in libraries(source):
            self.file(library)

    def _add(self, name, mode, content):
        self._parents(name)
        self._members[name] = (mode, content)

    def _parents(self, name):
        for parent in reversed(pathlib.PurePath(name).parents[:-1]):
            self._members.setdefault(str(parent), (stat.S_IFDIR | 0o755, b""))

    def write(self, path):
        with open(path, "wb") as out:
            number = 0
            for number, (name, (mode, content)) in enumerate(self._members.items(), 1):
                if isinstance(content, pathlib.Path):
                    content = content.read_bytes()
                self._write_member(out, number, name, mode, content)
            self._write_member(out, number + 1, "TRAILER!!!", 0, b"")

    @staticmethod
    def _write_member(out, number, name, mode, content):
        name = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        out.write(b"070701" + b"".join(b"%08x" % field for field in fields))
        out.write(name + bytes(-(110 + len(name)) % 4))
        out.write(content + bytes(-len(content) % 4))
