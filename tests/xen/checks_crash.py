# SPDX-License-Identifier: MIT
"""What is proved on the real Xen of a xenstored that crashes. Beside checks.py."""

from checking import (
    XENSTORED, Bystander, Load, attach_network, check, detach_network, expect, expect_network,
    expect_supervised, load_modules)

KILLS = 10


def wait_whole(dom0):
    dom0.wait("xsproxyctl mirror | grep 'mirror  *whole'", "store up", "the mirror to be whole")


def kill(dom0, number):
    """xenstored, and every third time xsproxyd with it, now the one first, now the other."""
    old, proxy = dom0.unit("MainPID", XENSTORED), dom0.unit("MainPID")
    victims = [old]
    if number % 3 == 2:
        victims = [old, proxy] if number % 2 else [proxy, old]
    dom0.run("; ".join(f"kill -9 {pid}" for pid in victims))
    dom0.wait(f"pid=$(systemctl show -P MainPID {XENSTORED}) && [ $pid != {old} ] &&"
              " [ $pid != 0 ] && xsproxyctl status --json | grep '\"exchange\": *null' &&"
              " xsproxyctl status | grep '^xenstored  *o*xenstored'", "store up",
              "another xenstored to serve")
    wait_whole(dom0)


@check("crash", "kill -9 of xenstored ten times, of xsproxyd with it three times, under a guest"
       " with load, its network and xenstore-watch: no guest notices; then all that xl does works",
       short=False)
def crash(dom0):
    guest = dom0.new_guest()
    guest.create()
    guest.wait_up()
    load_modules(guest)
    attach_network(guest)
    complaints, listed = guest.complaints(), guest.watches()
    watcher, work = Bystander(guest), Load(guest)
    wait_whole(dom0)
    for number in range(KILLS):
        kill(dom0, number)
        watcher.first_again(f"kill {number}")
        watcher.look(f"kill {number}")
        work.wait_progress()
    expect_supervised(dom0, dom0.upstream)
    printed = work.stop()
    expect(printed["hold"] == ["open"] + Load.HELD * ["EAGAIN"], f"transactions: {printed['hold']}")
    watcher.stop()
    expect(guest.watches() == listed, f"watches: {guest.watches()}, not {listed}")
    expect(guest.complaints() == complaints, f"the guest's kernel says: {guest.complaints()}")
    said = dom0.run("xsproxyctl mirror check")
    expect("different: 0" in said, f"the mirror: {said}")
    said = dom0.run("journalctl -u xsproxy -o cat | grep 'has ended unasked'")
    expect(said.count("(signal KILL)") >= KILLS - 3, f"the log says {said}")
    expect_network(guest, 0)
    attach_network(guest, 1)
    detach_network(guest, 1)
    guest.save()
    guest.restore()
    guest.shutdown()
    dom0.wait_gone(guest.domid)
    other = dom0.new_guest()
    other.create()
    other.wait_up()
    other.shutdown()
    dom0.wait_gone(other.domid)
