# SPDX-License-Identifier: MIT
"""What checks are made of: what is expected of a host or a guest, and who works there meanwhile."""

import dataclasses
import re
import typing

from disk import METRICS, RELEASE_RUNS
from dom0 import XENSTORED
from machine import Failure, OutOfTime

CHECKS = []


@dataclasses.dataclass
class Check:
    name: str
    title: str
    run: typing.Callable
    short: bool  # belongs to the part that .ci/run runs
    released: bool  # on a dom0 with the package of the release before


def check(name, title, short=True, released=False):
    def add(function):
        if RELEASE_RUNS or not released:  # or there is no host to upgrade
            CHECKS.append(Check(name, title, function, short, released))
        return function
    return add


def expect(condition, what):
    if not condition:
        raise Failure(what)


def expect_xenbus(guest):
    """The guest's kernel has written what it can do, so its xenbus works both ways."""
    for feature in "poweroff", "reboot", "suspend":
        value = guest.dom0.read(guest.path(f"control/feature-{feature}"))
        expect(value == "1", f"control/feature-{feature} is {value!r}: not written by the guest")


def expect_ours(guest):
    """xsproxyd alone holds the guest's page: a later check for none of it means something."""
    dom0 = guest.dom0
    maps = dom0.run("grep -s -l /dev/xen/gntdev /proc/[0-9]*/maps || :").split()
    proxy, daemon = (dom0.run(f"pidof {name}").strip() for name in ("xsproxyd", dom0.upstream))
    expect(f"/proc/{proxy}/maps" in maps, f"xsproxyd ({proxy}) has mapped no grant: {maps}")
    expect(f"/proc/{daemon}/maps" not in maps, f"{dom0.upstream} has mapped a grant itself")
    ports = dom0.run("lsevtchn 0")
    expect(f"Remote Domain {guest.domid}," in ports, f"no port of d{guest.domid}:\n{ports}")


def expect_metrics(guest):
    """The service is allowed to answer on a loopback address, and does."""
    text = guest.dom0.run(f"wget -q -O - http://{METRICS}/metrics")
    requests = rf'^xsproxy_domain_requests_total{{domid="{guest.domid}"}} [1-9]'
    for line in "^xsproxy_xenstored_connected 1$", requests:
        expect(re.search(line, text, re.MULTILINE), f"no line {line} in the metrics:\n{text}")


def expect_dom0_served(dom0):
    """The running service has dom0's page, of xenfs that alone, and is as shut in as it was."""
    properties = {"NeedDaemonReload": "no", "BindPaths": "/proc/xen/xsd_kva:/proc/xen/xsd_kva",
                  "TemporaryFileSystem": "/proc/xen:ro", "ProtectKernelTunables": "yes",
                  "ProtectControlGroups": "yes"}
    for name, value in properties.items():
        expect(value in dom0.unit(name), f"{name} of the running unit is {dom0.unit(name)!r}")
    mounted = dom0.mounted()
    page = mounted.get("/proc/xen/xsd_kva")
    expect(page and page[0] == "xenfs", f"dom0's page is not in {mounted}")
    expect("ro" in mounted["/proc/sys"][1].split(","), f"it may write to /proc/sys: {mounted}")
    files = dom0.run(f"ls /proc/{dom0.unit('MainPID')}/root/proc/xen").split()
    expect(files == ["xsd_kva"], f"it has of xenfs: {files}")
    expect(dom0.state(0) == "running", f"domain 0 is '{dom0.state(0)}'")


def expect_supervised(dom0, name):
    """The daemon @name is our unit's, and no other runs; Debian's script has left it alone."""
    dom0.wait(f"[ $(systemctl show -P MainPID {XENSTORED}) = $(cat /run/xenstore.pid) ]",
              "store up", "the unit's process to be that of the pid file")
    daemons = dom0.run("pidof xenstored oxenstored").split()
    expect(daemons == [dom0.unit("MainPID", XENSTORED)], f"xenstoreds: {daemons}")
    about = f"/proc/{daemons[0]}"
    exe = dom0.run(f"readlink {about}/exe").strip()
    expect(exe.endswith(f"/{name}"), f"the unit runs {exe}, not {name}")
    expect(dom0.run(f"cat {about}/oom_score_adj").strip() == "-1000", "it may be killed for memory")
    files = re.search(r"Max open files +(\S+)", dom0.run(f"cat {about}/limits"))[1]
    expect(int(files) >= 1048576, f"it may have {files} files open")


def load_modules(guest):
    guest.run("for module in /usr/lib/modules/*.ko; do insmod $module || exit; done")


def ends_of_network(guest, number):
    """Of its interface @number: backend, frontend."""
    return f"/local/domain/0/backend/vif/{guest.domid}/{number}", guest.path(f"device/vif/{number}")


def expect_network(guest, number):
    """A device of dom0's kernel, by its own ring, and the guest's: both ends are connected."""
    for end in ends_of_network(guest, number):
        guest.dom0.wait(f"[ $(xenstore-read {end}/state) = 4 ]", "guest up", f"{end} to connect")
    guest.run(f"[ -d /sys/class/net/eth{number} ]")


def attach_network(guest, number=0):
    guest.dom0.run(f"xl network-attach {guest.name} script=vif-script", "guest up")
    expect_network(guest, number)


def detach_network(guest, number=0):
    backend, _ = ends_of_network(guest, number)
    guest.dom0.run(f"xl network-detach {guest.name} {number}", "guest down")
    guest.dom0.wait(f"! xenstore-exists {backend}", "guest down", f"{backend} to go")


def connect_network(guest):
    load_modules(guest)
    attach_network(guest)
    _, frontend = ends_of_network(guest, 0)
    watched = guest.dom0.run("xenstore-control get-domain-watches 0")
    for path in "backend", f"{frontend}/state":
        expect(f"\n{path} " in watched, f"dom0's kernel has no watch on {path}:\n{watched}")
    detach_network(guest)


class Load:
    """What a guest's user space does all the time, over its kernel's xenbus."""

    HELD = 3
    COMMANDS = {"a": "hammer data/a", "b": "hammer data/b", "echo": "watch data/echo",
                "hold": f"hold data/hold {HELD}"}

    def __init__(self, guest):
        self.guest = guest
        self.dom0 = guest.dom0
        guest.run("mkdir /tmp/load")
        for name, command in self.COMMANDS.items():
            guest.run(f"xs {command} >/tmp/load/{name} 2>&1 & echo $! >>/tmp/load/pids")
        self.dom0.wait(f"[ $(xenstore-control get-domain-transactions {guest.domid} | wc -l)"
                       f" -ge {self.HELD} ]", "command", "transactions to be open")
        self.wait_progress()

    def wait_progress(self):
        """Until both writers go on, which they do only as long as nothing is lost or wrong."""
        both = f"xenstore-read {self.guest.path('data/a')} {self.guest.path('data/b')}"
        was = self.dom0.wait(both, "command").split()
        try:
            self.dom0.wait(f"set -- $({both}) && [ $1 != {was[0]} ] && [ $2 != {was[1]} ]",
                           "command", f"the writers to go on from {was}")
        except OutOfTime as failure:
            raise Failure(f"{failure}\n{self.guest.run('tail -n 3 /tmp/load/*')}") from None

    def stop(self):
        """Ends it; what each process printed, by name. Fails if one met anything unexpected."""
        self.guest.run("touch /tmp/stop; for pid in $(cat /tmp/load/pids); do"
                       " while [ -d /proc/$pid ]; do sleep 0.1; done; done")
        printed = {name: self.guest.run(f"cat /tmp/load/{name}").split("\n")[:-1]
                   for name in self.COMMANDS}
        self.guest.run("rm -r /tmp/stop /tmp/load")
        for name in "ab":
            expect(re.fullmatch(r"\d+ plain, \d+ committed, \d+ again", printed[name][-1]),
                   f"writer {name} has met: {printed[name]}")
        return printed


class Pulse:
    """What a guest's user space does every few seconds: eight of them leave dom0 some of the
    emulated processor, and a native oxenstored writes its state only when nobody is in the middle
    of anything."""

    def __init__(self, guest):
        self.guest = guest
        self.dom0 = guest.dom0
        guest.run("mkdir /tmp/pulse; (n=0; while [ ! -e /tmp/stop ] && n=$((n + 1)) &&"
                  " xs put data/pulse $n; do sleep 4; done; echo $n)"
                  " >/tmp/pulse/said 2>&1 & echo $! >/tmp/pulse/pid")
        self.dom0.wait(f"xenstore-read {guest.path('data/pulse')}", "store up")

    def wait_progress(self):
        read = f"xenstore-read {self.guest.path('data/pulse')}"
        was = self.dom0.wait(read, "store up").strip()
        self.dom0.wait(f"[ $({read}) -gt {was} ]", "store up",
                       f"{self.guest.name} to go on from {was}")

    def stop(self):
        """Ends it; fails if it met anything unexpected."""
        self.guest.run("touch /tmp/stop; while [ -d /proc/$(cat /tmp/pulse/pid) ]; do sleep 0.1;"
                       " done", "guest down")
        said = self.guest.run("cat /tmp/pulse/said; rm -r /tmp/stop /tmp/pulse").strip()
        expect(re.fullmatch(r"\d+", said), f"{self.guest.name} has met: {said}")


def expect_same(guest, listed):
    """After it was restored: it has its watches again, and its xenbus works both ways.

    Linux writes control/feature-* at boot only, so they are empty now, without xsproxy as well.
    """
    guest.run(f"xs put data/id {guest.domid}", "guest up")
    seen = guest.dom0.read(guest.path("data/id"))
    expect(seen == str(guest.domid), f"what the guest wrote, seen from dom0: {seen}")
    guest.dom0.wait(f"[ $(xenstore-control get-domain-watches {guest.domid} | wc -l)"
                    f" -gt {len(listed)} ]", "guest up", "the guest's watches to be there again")
    expect(guest.watches() == listed, f"watches: {guest.watches()}, not {listed}")


class Bystander:
    """dom0's clients that stay: the stock xenstore-watch, and the daemon of the guest's xl."""

    def __init__(self, guest):
        self.guest = guest
        self.dom0 = guest.dom0
        self.path = guest.path("data/seen")
        self.events = 1  # a watch begins with one
        said = self.dom0.run(f"cat /var/log/xen/xl-{guest.name}.log")
        self.xl = re.search(r"to die \[pid (\d+)\]", said)[1]
        self.dom0.run(f"setsid xenstore-watch {self.path} >/tmp/seen </dev/null 2>&1 &"
                      " echo $! >/tmp/watcher")
        self.dom0.wait("grep . /tmp/seen", "command")

    def look(self, what):
        """Change what it watches, which it sees once; after @what."""
        self.dom0.run(f"xenstore-write {self.path} '{what}'", "store up")
        self.events += 1
        self.dom0.wait(f"[ $(wc -l </tmp/seen) -ge {self.events} ]", "store up",
                       f"event {self.events} of xenstore-watch, after {what}")
        self.dom0.run(f"kill -0 {self.xl}")

    def first_again(self, what):
        """xenstored has crashed: the watch has its first event once more; after @what."""
        self.events += 1
        self.dom0.wait(f"[ $(wc -l </tmp/seen) -ge {self.events} ]", "store up",
                       f"event {self.events} of xenstore-watch, after {what}")

    def stop(self):
        """What it has seen, all in all: exactly one event for each change."""
        seen = self.dom0.run("kill $(cat /tmp/watcher); cat /tmp/seen").split("\n")[:-1]
        expect(seen == [self.path] * self.events, f"{self.events} events were due: {seen}")


def expect_console(guest, word):
    """What the guest writes comes to `xl console`, whose client asks the store where."""
    guest.dom0.run(f"sleep 1000 | setsid timeout 1000 xl console {guest.name} >/tmp/console 2>&1 &"
                   " echo $! >/tmp/console-pid")
    guest.dom0.wait(f"printf 'c echo {word}\\n' >$(xenstore-read {guest.path('console/tty')});"
                    f" usleep 500000; grep {word} /tmp/console", "command",
                    f"{word} to come out of xl console")
    guest.dom0.run("kill $(cat /tmp/console-pid) $(pidof xenconsole) || :")
