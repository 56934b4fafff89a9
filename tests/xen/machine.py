# SPDX-License-Identifier: MIT
"""The emulated machine: QEMU without KVM, and commands in its dom0 over a virtio serial port."""

import contextlib
import os
import pathlib
import select
import shlex
import shutil
import socket
import subprocess
import time

XEN_ARGS = ("console=com1 loglvl=warning guest_loglvl=warning spec-ctrl=no xpti=no bootscrub=0"
            " dom0_mem=512M,max:512M")
DOM0_ARGS = "console=hvc0 rdinit=/init quiet mitigations=off tsc=unstable"

# Seconds. Emulation is slow and the machine may be busy: alone there it is a twentieth of these.
LIMITS = {"dom0 up": 600, "store up": 400, "guest up": 400, "guest down": 300, "save": 300,
          "migrate": 400, "rounds": 600, "command": 300}

# Where each process waits: a hung one tells why.
STACKS = ("for p in /proc/[0-9]*; do exe=$(readlink $p/exe) && echo \"${p#/proc/} $exe\" &&"
          " cat $p/stack; done")


class Failure(Exception):
    """A check that failed."""


class OutOfTime(Failure):
    """A stage that ran out of its time."""

    def __init__(self, stage, limit, what=""):
        what = f": {what}" if what else ""
        super().__init__(f"stage '{stage}' ran out of its {limit} s{what}")
        self.stage = stage


class Gone(Failure):
    """QEMU ended, or dom0's end of the commands."""


class Machine:
    """A machine with Xen and a dom0 that takes commands; its logs are files below @log.

    With @counted its clock counts the instructions of its one processor, a nanosecond each, as long
    as that is not idle: what runs beside QEMU is then not seen in it.
    """

    def __init__(self, images, log, cpus=1, counted=False, xen_args=""):
        self.log = log
        shutil.rmtree(log, ignore_errors=True)
        (log / "console").mkdir(parents=True)
        ours, theirs = socket.socketpair()
        self._channel = ours
        self._pending = b""
        self._marks = 0
        disk = ["-drive", f"file={images.disk},if=virtio,format=raw,snapshot=on"]
        clock = ("tcg,thread=single", "-icount", "shift=0") if counted else ("tcg,thread=multi",)
        with theirs, open(log / "qemu", "wb") as qemu_log:
            self.qemu = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL",  # it ends when we do, however we do
                 "qemu-system-x86_64", "-accel", *clock, "-cpu", "qemu64,+svm,+npt",
                 "-m", "2G", "-smp", str(cpus), "-nodefaults", "-vga", "none", "-display", "none",
                 "-monitor", "none", "-serial", f"file:{log}/serial",
                 "-kernel", images.xen, "-append", f"{XEN_ARGS} {xen_args}",
                 "-initrd", f"{images.kernel} {DOM0_ARGS},{images.initramfs}",
                 "-device", "virtio-serial-pci",
                 "-chardev", f"socket,id=commands,fd={theirs.fileno()}",
                 "-device", "virtserialport,chardev=commands,name=commands",
                 "-virtfs", f"local,path={log},mount_tag=log,security_model=none",
                 *(disk if images.disk else ["-no-reboot"])],
                stdin=subprocess.DEVNULL, stdout=qemu_log, stderr=qemu_log,
                pass_fds=[theirs.fileno()])

    def wait_dom0(self):
        self._read_until(b"READY\n", "dom0 up", LIMITS["dom0 up"])

    def used(self):
        """Seconds of processor time that it took so far: says more than the clock if we share."""
        fields = pathlib.Path(f"/proc/{self.qemu.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.qemu.kill()
        self.qemu.wait()
        self._channel.close()

    def run(self, command, stage="command", check=True, limit=None):
        """What @command, for bash in dom0, prints; with its status if not to be checked."""
        limit = limit or LIMITS[stage]
        self._marks += 1
        mark = f"@{self._marks}@"
        line = (f"timeout -s KILL {limit} bash -c {shlex.quote(command)} </dev/null 2>&1;"
                f" echo {mark}$?\n")
        with contextlib.suppress(BrokenPipeError):
            self._channel.sendall(line.encode())
        text = self._read_until(mark.encode(), stage, limit + 30)
        status = int(self._read_until(b"\n", stage, 30))
        text = text.decode(errors="replace")
        if not check:
            return text, status
        if status == 137:
            raise OutOfTime(stage, limit, f"{command}\n{text}")
        if status:
            raise Failure(f"'{command}' ended with {status}:\n{text}")
        return text

    def wait(self, command, stage, what=None):
        """Repeats @command until it succeeds, all in dom0; what the last one printed."""
        limit = LIMITS[stage]
        loop = f"while ! out=$({command}); do usleep 300000; done; printf %s \"$out\""
        try:
            return self.run(loop, stage)
        except OutOfTime:
            last, _ = self.run(command, check=False)
            raise OutOfTime(stage, limit, f"{what or command}; last seen:\n{last}") from None

    def print_logs(self, lines=40):
        """The ends of all logs, and what dom0 can still tell."""
        for command in "xl list", "dmesg | tail", "journalctl -b -u 'x*' -n 60 --no-pager", STACKS:
            with contextlib.suppress(Failure):
                print(f"--- {command}\n{self.run(command, check=False, limit=20)[0]}", flush=True)
        for log in sorted(path for path in self.log.rglob("*") if path.is_file()):
            text = log.read_text(errors="replace").splitlines()[-lines:]
            if text:
                print(f"--- {log}", *text, sep="\n", flush=True)

    def _read_until(self, end, stage, limit):
        deadline = time.monotonic() + limit
        while end not in self._pending:
            if not select.select([self._channel], [], [], max(0, deadline - time.monotonic()))[0]:
                raise OutOfTime(stage, limit)
            data = self._channel.recv(65536)
            if not data:
                raise Gone(f"QEMU ended in stage '{stage}'")
            self._pending += data
        found, self._pending = self._pending.split(end, 1)
        return found
