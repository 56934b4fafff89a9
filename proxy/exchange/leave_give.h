/* SPDX-License-Identifier: MIT */
/*
 * leave_give - what the program that becomes a native xenstored is given: the state, what
 * connections have, their sockets, and the device of event channels.
 *
 * Called by leave.c, with every session at rest and every socket halted. Must change nothing.
 */
#ifndef XSPROXY_PROXY_EXCHANGE_LEAVE_GIVE_H
#define XSPROXY_PROXY_EXCHANGE_LEAVE_GIVE_H

struct daemon;
struct starters;

/**
 * leave_give() - tell the program that waits.
 * @state: memfd of what the daemon before has written
 * @native: path of the one to become
 *
 * Return: 0 or a negative errno: it is told nothing more.
 */
int leave_give(struct daemon *daemon, struct starters *starters, int state, const char *native);

#endif
