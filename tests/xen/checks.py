# SPDX-License-Identifier: MIT
"""What is proved on the real Xen. Each check is run once with each daemon as the upstream."""

import json

from checking import (
    CHECKS, XENSTORED, Bystander, Load, Pulse, attach_network, check, connect_network,
    detach_network, expect, expect_console, expect_dom0_served, expect_metrics, expect_network,
    expect_ours, expect_same, expect_supervised, expect_xenbus, load_modules)
from disk import INSTALLED, OTHER, RELEASE, UPGRADE
from images import XEN_BIN

ROUNDS = 20
KILLS = 3
ENDS = 10


@check("units", "as installed by make deb: units start in order, the bridge is in xenstored alone,"
       " domain 0 runs, metrics on loopback")
def units(dom0):
    times = {}
    for unit, event in ("xsproxy.socket", "ActiveEnter"), ("xsproxy.service", "ActiveEnter"), (
            XENSTORED, "ActiveEnter"), ("xen.service", "InactiveExit"):
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
    expect_supervised(dom0, dom0.upstream)
    expect(dom0.read("/local/domain/0/name") == "Domain-0", "xen-init-dom0 was not run")
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


@check("dom0-ring", "dom0's own ring is relayed: a network backend and its frontend connect")
def dom0_ring(dom0):
    connect_network(dom0.shared())


@check("load", "20 rounds of quiesce and unquiesce under load, with open transactions")
def load(dom0):
    guest = dom0.shared()
    work = Load(guest)
    dom0.run(f"xs rounds {guest.domid} {ROUNDS}", "rounds")
    printed = work.stop()
    expect(printed["hold"] == ["open"] + Load.HELD * ["OK"], f"transactions: {printed['hold']}")
    missing = {f"data/echo/{round_}" for round_ in range(ROUNDS)} - set(printed["echo"])
    expect(not missing, f"events that never came: {sorted(missing)}")


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


# The control socket's "replace".
ASK = """perl -MIO::Socket::UNIX -e '
    $s = IO::Socket::UNIX->new(Peer => "/run/xsproxy/control") or die;
    $s->print($ARGV[0] . "\\n"); $s->flush; print $s->getline' """


def exchange(dom0, name):
    """Have the daemon @name take the place of the one that runs."""
    asked = json.dumps({"execute": "replace", "arguments": {"with": str(XEN_BIN / name)}})
    said = json.loads(dom0.run(f"{ASK} '{asked}'", "store up"))
    expect("pause_ms" in said.get("return", {}), f"{name} did not take its place: {said}")
    expect_supervised(dom0, name)


def live_update(dom0):
    """By the stock tool."""
    old = dom0.unit("MainPID", XENSTORED)
    dom0.run(f"xenstore-control live-update {XEN_BIN / dom0.upstream}", "store up")
    expect_supervised(dom0, dom0.upstream)
    expect(dom0.unit("MainPID", XENSTORED) != old, "it is the same process")


@check("replace", "xenstored by oxenstored by xenstored, or the other way, with a guest under load,"
       " its network, xenstore-watch: no guest notices, and our unit runs each of them",
       short=False)
def replace(dom0):
    guest = dom0.new_guest()
    guest.create()
    guest.wait_up()
    load_modules(guest)
    attach_network(guest)
    complaints, listed = guest.complaints(), guest.watches()
    watcher, work = Bystander(guest), Load(guest)
    dom0.run("xenstore-rm /local/domain/0/name")  # which xen-init-dom0 would write
    other = "oxenstored" if dom0.upstream == "xenstored" else "xenstored"
    for name in other, dom0.upstream:
        exchange(dom0, name)
        watcher.look(name)
        work.wait_progress()
    said, status = dom0.run("xenstore-exists /local/domain/0/name", check=False)
    expect(status == 1, f"xen-init-dom0 was run again: {said}")
    dom0.run("xenstore-write /local/domain/0/name Domain-0")
    printed = work.stop()
    expect(printed["hold"] == ["open"] + Load.HELD * ["EAGAIN"], f"transactions: {printed['hold']}")
    live_update(dom0)
    watcher.look("live-update")
    watcher.stop()
    expect(guest.watches() == listed, f"watches: {guest.watches()}, not {listed}")
    expect(guest.complaints() == complaints, f"the guest's kernel says: {guest.complaints()}")
    expect_network(guest, 0)
    attach_network(guest, 1)
    detach_network(guest, 1)
    guest.shutdown()
    dom0.wait_gone(guest.domid)


@check("takeover", "Debian's script has started xenstored: our unit waits for its end, and runs the"
       " one that takes its place", short=False)
def takeover(dom0):
    guest = dom0.shared()
    listed = guest.watches()
    dom0.run(f"systemctl mask {XENSTORED}")
    dom0.reboot()
    guest.find()
    daemon, proxy = dom0.run(f"pidof {dom0.upstream}").strip(), dom0.unit("MainPID")
    group = dom0.run(f"cat /proc/{daemon}/cgroup").strip()
    expect(group.endswith("/xen.service"), f"{dom0.upstream} runs in {group}")
    dom0.run(f"systemctl unmask {XENSTORED} && systemctl restart xsproxy", "store up")
    dom0.wait_another(proxy)
    dom0.wait(f"systemctl is-active {XENSTORED}", "store up")
    expect(dom0.run("pidof xenstored oxenstored").strip() == daemon, "another one was started")
    exchange(dom0, dom0.upstream)
    expect_same(guest, listed)
    guest.shutdown()
    dom0.wait_gone(guest.domid)


def expect_native(dom0, name):
    """It runs without the bridge, and nothing of xsproxy does."""
    daemon = dom0.run(f"pidof {name}").strip()
    with_bridge = dom0.run("grep -s -l libxsproxy-bridge /proc/[0-9]*/maps || :").split()
    expect(not with_bridge, f"{name} is {daemon}, and the bridge is in {with_bridge}")
    said, status = dom0.run("pidof xsproxyd xsproxy-keeper", check=False)
    expect(status, f"of xsproxy there is still {said}")


SELECT = "/usr/libexec/xsproxy/select-xenstored"
UNITS = "xsproxy.socket xsproxy.service"


def boot_native(dom0):
    """From Debian's own boot; returns the other daemon."""
    dom0.run(f"{SELECT} off && systemctl disable {UNITS}", "store up")
    dom0.reboot()
    expect_native(dom0, dom0.upstream)
    return next(name for name in ("xenstored", "oxenstored") if name != dom0.upstream)


@check("enter", "from Debian's own boot, with a guest and its network: xsproxyctl enter, a restart,"
       " leave, enter with the other daemon: nobody notices", short=False)
def enter(dom0):
    other = boot_native(dom0)
    guest = dom0.new_guest()
    guest.create()
    guest.wait_up()
    load_modules(guest)
    attach_network(guest)
    complaints, watcher = guest.complaints(), Bystander(guest)
    dom0.run(f"{SELECT} on && systemctl enable {UNITS}", "store up")  # as installing does
    dom0.run("xsproxyctl enter", "store up")
    watcher.look("enter")
    expect_supervised(dom0, dom0.upstream)
    expect_ours(guest)
    expect_dom0_served(dom0)
    listed = guest.watches()
    expect(len(listed) > 1, f"watches that were taken over: {listed}")
    attach_network(guest, 1)
    pid = dom0.unit("MainPID")
    dom0.run("systemctl restart xsproxy", "store up")
    dom0.wait_another(pid)
    watcher.look("restart")
    dom0.run("xsproxyctl leave", "store up")
    watcher.look("leave")
    expect_native(dom0, dom0.upstream)
    detach_network(guest, 1)
    dom0.run(f"xsproxyctl enter --with {XEN_BIN / other} --force", "store up")
    watcher.look("enter")
    expect_supervised(dom0, other)
    expect(guest.watches() == listed, f"watches: {guest.watches()}, not {listed}")
    watcher.stop()
    expect(guest.complaints() == complaints, f"the guest's kernel says: {guest.complaints()}")
    expect_network(guest, 0)
    guest.shutdown()
    dom0.wait_gone(guest.domid)
    dom0.reboot()
    expect_supervised(dom0, dom0.upstream)


def each_goes_on(pulses):
    for pulse in pulses:
        pulse.wait_progress()


def shut_down(dom0, guests):
    for guest in guests:
        guest.shutdown()
        dom0.wait_gone(guest.domid)


@check("eight", "eight guests that are at work, one with its network: from Debian's own boot enter,"
       " both daemons in turn, leave; seven are shut down, a reboot saves the eighth", short=False)
def eight(dom0):
    other = boot_native(dom0)
    guests = [dom0.new_guest() for _ in range(8)]
    for guest in guests:
        guest.create()
    for guest in guests:
        guest.wait_up()
    load_modules(guests[0])
    attach_network(guests[0])
    complaints = [guest.complaints() for guest in guests]
    dom0.run(f"{SELECT} on && systemctl enable {UNITS}", "store up")
    pulses = [Pulse(guest) for guest in guests]
    dom0.run("xsproxyctl enter --timeout 120", "store up")
    each_goes_on(pulses)
    expect_supervised(dom0, dom0.upstream)
    for name in other, dom0.upstream:
        dom0.run(f"xsproxyctl xenstored replace --with {XEN_BIN / name}", "store up")
        each_goes_on(pulses)
        expect_supervised(dom0, name)
    dom0.run("xsproxyctl leave", "store up")
    each_goes_on(pulses)
    expect_native(dom0, dom0.upstream)
    for pulse in pulses:
        pulse.stop()
    for guest, before in zip(guests, complaints):
        expect(guest.complaints() == before, f"{guest.name}'s kernel says: {guest.complaints()}")
    expect_network(guests[0], 0)
    shut_down(dom0, guests[1:])
    detach_network(guests[0])
    dom0.reboot()
    guests[0].find()
    expect_supervised(dom0, dom0.upstream)
    expect_ours(guests[0])
    shut_down(dom0, guests[:1])


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
