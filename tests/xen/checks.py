# SPDX-License-Identifier: MIT
"""What is proved on the real Xen. Each check is run once with each daemon as the upstream."""

import dataclasses
import re
import typing

from disk import INSTALLED, METRICS, OTHER, RELEASE, RELEASE_RUNS, UPGRADE
from machine import Failure, OutOfTime

CHECKS = []
ROUNDS = 20
KILLS = 3
ENDS = 10


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


@check("units", "as installed by make deb: units start in order, the bridge is in xenstored alone,"
       " domain 0 runs, metrics on loopback")
def units(dom0):
    times = {}
    for unit, event in ("xsproxy.socket", "ActiveEnter"), ("xsproxy.service", "ActiveEnter"), (
            "xen.service", "InactiveExit"):
        text = dom0.run(f"systemctl show -P {event}TimestampMonotonic {unit}").strip()
        expect(text.isdigit() and int(text), f"{unit} has never started")
        times[unit] = int(text)
    expect(list(times) == sorted(times, key=times.get), f"not in this order: {times}")
    status = dom0.status()
    expect(dom0.keeper() != "0" and status["keeper"] and status["clients_kept"] >= 1,
           f"the keeper, {dom0.keeper()}, holds nobody: {status}")
    with_bridge = dom0.run("grep -s -l libxsproxy-bridge /proc/[0-9]*/maps || :").split()
    daemon = dom0.run(f"pidof {dom0.upstream}").strip()
    expect(with_bridge == [f"/proc/{daemon}/maps"], f"{daemon} is {dom0.upstream}: {with_bridge}")
    expect_dom0_served(dom0)
    guest = dom0.shared()
    expect_xenbus(guest)
    expect_ours(guest)
    expect_metrics(guest)


@check("reload", "systemctl reload takes a right file over, and fails for a wrong one, that changes"
       " nothing")
def reload(dom0):
    path, pid = "/etc/xsproxy/xsproxy.conf", dom0.unit("MainPID")
    dom0.run(f"cp {path} /tmp/before && printf '[log]\\nlevel = notice\\n' >>{path}")
    dom0.run("systemctl reload xsproxy.service", "store up")
    expect(dom0.run("xsproxyctl log-level").strip() == "notice", "the right file was not read")
    dom0.run(f"sed -i 's/notice/loud/' {path}")
    said, status = dom0.run("systemctl reload xsproxy.service", "store up", check=False)
    expect(status == 1, f"reload of a wrong file ended with {status}: {said}")
    expect("loud" in dom0.unit("StatusText"), f"its status: {dom0.unit('StatusText')!r}")
    expect(dom0.run("xsproxyctl log-level").strip() == "notice", "a wrong file was taken over")
    dom0.run(f"mv /tmp/before {path} && systemctl reload xsproxy.service", "store up")
    expect("loud" not in dom0.unit("StatusText"), f"its status: {dom0.unit('StatusText')!r}")
    expect(dom0.unit("MainPID") == pid, "xsproxyd was restarted")


@check("create", "a PV guest's kernel comes up, xl lists it")
def create(dom0):
    guest = dom0.shared()
    expect_xenbus(guest)
    expect_ours(guest)
    expect(dom0.domains() == {guest.name: guest.domid}, f"xl list: {dom0.domains()}")


@check("watches", "the watches that the guest's kernel registered are listed")
def watches(dom0):
    guest = dom0.shared()
    before = guest.watches()
    for path in "control/shutdown", "memory/target", "device":
        expect(path in before, f"no watch on {path}: {before}")
    guest.run("xs watch data/probe >/tmp/events & echo $! >/tmp/pid")
    dom0.wait(f"xenstore-control get-domain-watches {guest.domid} | grep ^data/probe", "command")
    expect(guest.watches() == sorted(before + ["data/probe"]), f"with one more: {guest.watches()}")
    guest.run("kill $(cat /tmp/pid)")
    dom0.wait(f"! xenstore-control get-domain-watches {guest.domid} | grep ^data/probe", "command")
    expect(guest.watches() == before, f"with one less: {guest.watches()}")


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


@check("dom0-ring", "dom0's own ring is relayed: a network backend and its frontend connect")
def dom0_ring(dom0):
    connect_network(dom0.shared())


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


@check("load", "20 rounds of quiesce and unquiesce under load, with open transactions")
def load(dom0):
    guest = dom0.shared()
    work = Load(guest)
    dom0.run(f"xs rounds {guest.domid} {ROUNDS}", "rounds")
    printed = work.stop()
    expect(printed["hold"] == ["open"] + Load.HELD * ["OK"], f"transactions: {printed['hold']}")
    missing = {f"data/echo/{round_}" for round_ in range(ROUNDS)} - set(printed["echo"])
    expect(not missing, f"events that never came: {sorted(missing)}")


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


@check("save", "xl save -c (the guest goes on), then xl save and xl restore")
def save(dom0):
    guest = dom0.shared()
    listed = guest.watches()
    dom0.run(f"xl save -c {guest.name} /tmp/checkpoint && rm /tmp/checkpoint", "save")
    expect_same(guest, listed)
    old = guest.domid
    guest.save()
    guest.restore()
    expect(guest.domid != old, "the restored guest has the domid of the saved one")
    expect_same(guest, listed)


@check("shutdown", "xl shutdown -w ends a guest, and nothing of it remains")
def shutdown(dom0):
    guest = dom0.shared()
    guest.shutdown()
    dom0.wait_gone(guest.domid)


@check("migrate", "quiesce, export, RELEASE, HOLD, INTRODUCE, import under load: then xl shutdown")
def migrate(dom0):
    guest = dom0.shared()
    work = Load(guest)
    complaints = guest.complaints()
    listed = dom0.control("get-domain-watches", guest.domid)[1:]
    gfn, port = (dom0.read(guest.path(f"store/{name}")) for name in ("ring-ref", "port"))
    dom0.run(f"xsproxyctl export {guest.domid} --keep -o /tmp/session")
    dom0.run(f"xs release {guest.domid}")
    dom0.run(f"xsproxyctl hold {guest.domid}")
    dom0.run(f"xs introduce {guest.domid} {gfn} {port}")
    dom0.run(f"xsproxyctl import {guest.domid} -i /tmp/session --overwrite --resume")
    dom0.run("rm /tmp/session")
    expect(dom0.control("get-domain-watches", guest.domid)[1:] == listed,
           f"other watches than {listed}")
    work.wait_progress()
    dom0.run(f"xenstore-write {guest.path('data/echo/new')} x")
    printed = work.stop()
    expect(printed["hold"] == ["open"] + Load.HELD * ["EAGAIN"], f"transactions: {printed['hold']}")
    expect("data/echo/new" in printed["echo"], f"the old watch saw only: {printed['echo']}")
    expect(guest.complaints() == complaints, f"the guest's kernel says: {guest.complaints()}")
    guest.shutdown()
    dom0.wait_gone(guest.domid)


@check("destroy", "xl destroy ends a guest, and nothing of it remains")
def destroy(dom0):
    guest = dom0.shared()
    expect_ours(guest)
    guest.destroy()
    dom0.wait_gone(guest.domid)


@check("four", "twice four guests at once: created; two shut down, two destroyed", short=False)
def four(dom0):
    for _ in range(2):
        guests = [dom0.new_guest() for _ in range(4)]
        for guest in guests:
            guest.create()
        for guest in guests:
            guest.wait_up()
            expect_xenbus(guest)
        for guest, end in zip(guests, 2 * ["shutdown", "destroy"]):
            dom0.run(f"xl {end} {guest.name}", "guest down")
        for guest in guests:
            dom0.wait_gone(guest.domid)


@check("pvh", "a PVH guest: created, saved, restored, migrated live, shut down", short=False)
def pvh(dom0):
    dom0.discard_saved()
    guest = dom0.new_guest(kind="pvh", memory=104)
    guest.create()
    guest.wait_up()
    expect_xenbus(guest)
    expect_ours(guest)
    listed = guest.watches()
    guest.save()
    guest.restore()
    guest.discard()
    expect_same(guest, listed)
    old = guest.domid
    dom0.run(f"xl migrate -s '' {guest.name} 'xl migrate-receive'", "migrate")
    dom0.wait_gone(old)
    guest.find()
    expect_same(guest, listed)
    guest.shutdown()
    dom0.wait_gone(guest.domid)


@check("restart", f"systemctl restart xsproxy, then SIGKILL of xsproxyd {KILLS} times, under load")
def restart(dom0):
    guest = dom0.shared()
    work = Load(guest)
    before = guest.watches()
    for number, command in enumerate(["systemctl restart xsproxy"] + KILLS * ["kill -9 {}"]):
        old = dom0.unit("MainPID")
        dom0.run(command.format(old))
        dom0.wait_another(old)
        dom0.run(f"xenstore-write {guest.path(f'data/echo/{number}')} x")
        work.wait_progress()
    expect(guest.watches() == before, f"watches: {guest.watches()}, not {before}")
    printed = work.stop()
    expect(printed["hold"] == ["open"] + Load.HELD * ["OK"], f"transactions: {printed['hold']}")
    missing = {f"data/echo/{number}" for number in range(1 + KILLS)} - set(printed["echo"])
    expect(not missing, f"events that never came: {sorted(missing)}")


# What ends xsproxyd, with {} for its pid.
ENDINGS = ["systemctl restart xsproxy", "kill -9 {}"] * (ENDS // 2) + [
    "systemctl stop xsproxy && systemctl start xsproxy", "systemctl try-restart xsproxy",
    "systemctl restart xsproxy.socket", "systemctl daemon-reexec",
    f"dpkg --force-confold -i {OTHER}"]
SAME = "systemctl daemon-reexec"  # but for this one


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


@check("clients", f"xsproxyd ends {len(ENDINGS)} times, by restart, SIGKILL, restart of its socket,"
       " dpkg -i: xl's daemon, xenconsoled, a backend and xenstore-watch miss nothing", short=False)
def clients(dom0):
    guest = dom0.new_guest()
    guest.create()
    guest.wait_up()
    load_modules(guest)
    attach_network(guest)
    watcher, keeper = Bystander(guest), dom0.keeper()
    expect(keeper != "0", "there is no keeper")
    for number, command in enumerate(ENDINGS):
        old = dom0.unit("MainPID")
        dom0.run(command.format(old), "store up")
        if command != SAME:
            dom0.wait_another(old)
        watcher.look(f"{number}: {command}")
        expect(dom0.keeper() == keeper, f"{command}: the keeper is another one")
    watcher.stop()
    expect_network(guest, 0)
    attach_network(guest, 1)
    detach_network(guest, 1)
    expect_console(guest, "before-the-reboot")

    ups = guest.console.count("GUEST-UP")
    dom0.run(f"xl reboot {guest.name}", "guest down")
    dom0.wait_rebooted(guest)
    guest.wait_console(f"(?s)(GUEST-UP.*){{{ups + 1}}}", "guest up")
    expect_console(guest, "after-the-reboot")
    load_modules(guest)
    expect_network(guest, 0)
    guest.shutdown()
    dom0.wait_gone(guest.domid)
    dom0.wait(f"! kill -0 {watcher.xl}", "guest down", "xl's daemon to end with its guest")


@check("reboot", "reboot of dom0: all comes up, and Debian's xendomains brings the guest back",
       short=False)
def reboot(dom0):
    guest = dom0.shared()
    listed = guest.watches()
    dom0.reboot()
    guest.find()
    expect_same(guest, listed)
    expect_ours(guest)
    guest.shutdown()
    dom0.wait_gone(guest.domid)


@check("upgrade", f"from the package of {RELEASE}, under load: the running unit is the new one, and"
       " dom0's ring, which was not, is served", released=True)
def upgrade(dom0):
    old = dom0.unit("MainPID")
    expect(dom0.state(0) == "failed" and "/proc/xen/xsd_kva" not in dom0.mounted(),
           f"{RELEASE} has served domain 0, so this proves nothing")
    guest = dom0.shared()
    dom0.run(f"dpkg --unpack {UPGRADE}", "store up")
    work = Load(guest)  # not before: it takes most of the emulated processor
    dom0.run("dpkg --force-confold --configure xsproxy", "store up")
    work.wait_progress()
    printed = work.stop()
    expect(printed["hold"] == ["open"] + Load.HELD * ["OK"], f"transactions: {printed['hold']}")
    expect(dom0.unit("MainPID") not in ("0", old), "xsproxyd was not restarted")
    dom0.wait("xsproxyctl domain 0 --json | grep running", "store up", "domain 0 to run")
    expect_dom0_served(dom0)
    connect_network(guest)
    # And back: that one would never take up what the keeper has.
    expect(dom0.keeper() != "0" and dom0.status()["keeper"], "there is no keeper")
    old = dom0.unit("MainPID")
    dom0.run(f"dpkg --force-confold --force-downgrade -i {INSTALLED}", "store up")
    expect(dom0.unit("MainPID") not in ("0", old), "xsproxyd was not restarted")
    expect(dom0.run("pidof keeper || :") == "", "the keeper still runs")
    expect_xenbus(guest)


NAMES = [each.name for each in CHECKS]
