# SPDX-License-Identifier: MIT
"""dom0 behind xsproxy on a booted machine, and the guests in it."""

import json
import re
import time

import machine
from images import XEN_BIN
from machine import LIMITS, Failure, OutOfTime

XENSTORED = "xsproxy-xenstored.service"


class Dom0:
    """Starts xsproxyd and the daemon @upstream behind it, as the package's units would, with all
    settings as they are by default."""

    def __init__(self, booted, upstream):
        self.machine = booted
        self.upstream = upstream
        self.run = booted.run
        self.wait = booted.wait
        self._guests = 0
        self._shared = None

    def start_store(self):
        self.run("echo '[xsproxy]' >/etc/xsproxy/xsproxy.conf;"
                 "setsid /usr/libexec/xsproxy/keeper </dev/null >/var/log/xen/keeper 2>&1 &"
                 "until [ -e /run/xsproxy/keeper ]; do usleep 100000; done;"
                 "setsid xsproxyd --config /etc/xsproxy/xsproxy.conf </dev/null"
                 " >/var/log/xen/xsproxyd 2>&1 & echo $! >/run/xsproxyd.pid")
        self._start_daemon(f"XSPROXY_XENSTORED={XEN_BIN}/{self.upstream}"
                           " /usr/libexec/xsproxy/xenstored")

    def _start_daemon(self, command):
        self.run(f"{command} --pid-file /run/xenstored.pid >/var/log/xen/xenstored 2>&1",
                 "store up")
        self.wait("xenstore-exists /", "store up")
        self.run("xen-init-dom0 && xenconsoled --log=guest", "store up")

    def new_guest(self, **config):
        self._guests += 1
        return Guest(self, f"g{self._guests}", **config)

    def shared(self):
        """A running PV guest: what the check before has left, or its saved image, or a new one."""
        if not self._shared or self._shared.ended:
            if self._shared and self._shared.image:
                self._shared.restore()
            else:
                self._shared = self.new_guest()
                self._shared.create()
                self._shared.wait_up()
        return self._shared

    def discard_saved(self):
        """The shared guest's image, if there is one."""
        if self._shared and self._shared.image:
            self._shared.discard()

    def domains(self):
        """What `xl list` shows: name -> domid, without dom0."""
        lines = self.run("xl list").splitlines()[1:]
        return {line.split()[0]: int(line.split()[1]) for line in lines if line.split()[1] != "0"}

    def read(self, path):
        return self.run(f"xenstore-read {path}").rstrip("\n")

    def control(self, *words):
        """A request to xsproxy by the stock tool."""
        return self.run(f"xenstore-control {' '.join(str(word) for word in words)}").splitlines()

    def wait_rebooted(self, guest):
        """Until it has another domid."""
        old = guest.domid
        self.wait(f"xl list >/tmp/list; awk -v n={guest.name} -v o={old} '$1 == n && $2 != o"
                  " {found = 1} END {exit !found}' /tmp/list", "guest up",
                  f"another domain than d{old} to be {guest.name}")
        guest.find()
        self.wait(f"xenstore-read {guest.path('console/tty')} | grep .", "guest up",
                  "xenconsoled to open its console")

    def wait_gone(self, domid):
        """Until nothing is left of it: not as a zombie, not in the store, no grant or port."""
        self.wait(f"xl list >/tmp/list; ! grep -E '^(\\(null\\)| *[^ ]+ +{domid} )' /tmp/list",
                  "guest down", f"d{domid} to leave xl list")
        self.wait(f"xenstore-ls /local/domain >/tmp/ls; ! grep '^{domid} = ' /tmp/ls",
                  "guest down", f"d{domid} to leave the store")
        self.wait(f"lsevtchn 0 >/tmp/ports; ! grep 'Remote Domain {domid},' /tmp/ports",
                  "guest down", f"dom0's event channels of d{domid} to be closed")
        if not self.domains():  # gntdev does not tell whose grant it maps
            self.wait("grep -s -l /dev/xen/gntdev /proc/[0-9]*/maps >/tmp/maps; ! grep . /tmp/maps",
                      "guest down", "the mappings of grants to go")


class DirectDom0(Dom0):
    """A dom0 without xsproxy."""

    def start_store(self):
        self._start_daemon(f"{XEN_BIN}/{self.upstream}")


class SystemdDom0(Dom0):
    """A dom0 in which xsproxy is an installed package and systemd starts it."""

    def start_store(self):
        self.expect_clean()

    def unit(self, name, unit="xsproxy.service"):
        """A property of the running unit."""
        return self.run(f"systemctl show -P {name} {unit}").strip()

    def keeper(self):
        """Its pid."""
        return self.unit("MainPID", "xsproxy-keeper.service")

    def status(self):
        return json.loads(self.run("xsproxyctl status --json"))

    def wait_another(self, old):
        """Until another xsproxyd than @old is there, a pid."""
        self.wait(f"pid=$(systemctl show -P MainPID xsproxy.service) && [ $pid != {old} ] &&"
                  " [ $pid != 0 ] && xsproxyctl status | grep '^xenstored  *o*xenstored'",
                  "store up", "another xsproxyd to be there")

    def mounted(self):
        """What xsproxyd sees mounted in /proc: path -> type and options of the last one there."""
        lines = self.run(f"grep ' /proc' /proc/{self.unit('MainPID')}/mountinfo").splitlines()
        fields = [line.split(" - ") for line in lines]
        return {mount.split()[4]: (kind.split()[0], mount.split()[5]) for mount, kind in fields}

    def state(self, domid):
        """In which state xsproxy has the domain."""
        return json.loads(self.run(f"xsproxyctl domain {domid} --json"))["state"]

    def expect_clean(self):
        """All units have started, and none has failed."""
        state, _ = self.run("systemctl is-system-running --wait", "store up", check=False)
        if state.strip() != "running":
            why = self.run("systemctl list-jobs; systemctl --failed --no-pager;"
                           " journalctl -b -p 4 --no-pager")
            raise Failure(f"the system is '{state.strip()}':\n{why}")

    def reboot(self):
        self.run("systemctl reboot")
        self.machine.wait_dom0()
        self.expect_clean()


class Guest:
    """A Linux guest without devices, by `xl`, that takes commands on its console."""

    def __init__(self, dom0, name, kind="pv", memory=88, extra=""):
        self.dom0 = dom0
        self.name = name
        self.domid = None
        self.ended = False
        self.image = None  # where it was saved
        self.config = (f'name="{name}"\ntype="{kind}"\nmemory={memory}\nvcpus=1\n'
                       'kernel="/guest/vmlinux"\nramdisk="/guest/initramfs"\n'
                       'extra="console=hvc0 rdinit=/init quiet mitigations=off"\n' + extra)
        self._marks = 0

    @property
    def console(self):
        """What it wrote on its console, before and after a live migration."""
        directory = self.dom0.machine.log / "console"
        logs = [directory / f"guest-{self.name}{suffix}.log" for suffix in ("", "--incoming")]
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    def create(self):
        self.dom0.run(f"cat >/tmp/{self.name}.cfg <<'END'\n{self.config}END\n"
                      f"xl create -q /tmp/{self.name}.cfg", "guest up")
        self.find()

    def find(self):
        """Its domid, which changes when it is restored."""
        self.domid = self.dom0.domains()[self.name]

    def wait_up(self):
        self.wait_console("GUEST-UP", "guest up")

    def run(self, command, stage="command", check=True):
        """What @command prints in the guest."""
        self._marks += 1
        mark = f"@m{self._marks}:"
        before = len(self.console)
        self.dom0.run(f"printf '%s\\n' {machine.shlex.quote(f'm{self._marks} {command}')}"
                      f" >$(xenstore-read /local/domain/{self.domid}/console/tty)")
        end = self.wait_console(mark + r"\d+\n", stage)
        status = int(end[len(mark):])
        text = self.console[before:].split(mark)[0]
        if check and status:
            raise Failure(f"in {self.name}: '{command}' ended with {status}:\n{text}")
        return text

    def watches(self):
        """The paths of its watches, as xsproxy lists them."""
        lines = self.dom0.control("get-domain-watches", self.domid)[1:]
        return sorted(line.split()[0] for line in lines)

    def complaints(self):
        """What its kernel has said about Xenstore, or about what hangs."""
        return self.run("dmesg | grep -E -i 'xenbus|xenstore|hung|blocked for|warn|bug:' || :")

    def save(self):
        """Saves it, which ends it."""
        self.ended = True
        image = f"/tmp/{self.name}.image"
        self.dom0.run(f"xl save {self.name} {image}", "save")
        self.image = image
        self.dom0.wait_gone(self.domid)

    def discard(self):
        """Its image, which takes dom0's memory."""
        self.dom0.run(f"rm {self.image}")
        self.image = None

    def restore(self):
        self.dom0.run(f"xl restore {self.image}", "guest up")
        self.find()
        self.ended = False
        self.run(":", "guest up")

    def shutdown(self):
        self.ended = True
        self.dom0.run(f"xl shutdown -w {self.name}", "guest down")

    def destroy(self):
        self.ended = True
        self.dom0.run(f"xl destroy {self.name}", "guest down")

    def path(self, name=""):
        return f"/local/domain/{self.domid}/{name}".rstrip("/")

    def wait_console(self, pattern, stage):
        """What on its console matches @pattern, as soon as anything does."""
        deadline = time.monotonic() + LIMITS[stage]
        while not (found := re.search(pattern, self.console)):
            if time.monotonic() > deadline:
                raise OutOfTime(stage, LIMITS[stage], f"{self.name}'s console:\n{self.console}")
            time.sleep(0.1)
        return found.group()
