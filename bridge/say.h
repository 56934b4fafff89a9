/* SPDX-License-Identifier: MIT */
/*
 * say - lines to the system's log and to standard error that never wait for their readers.
 *
 * syslog(3) and stdio wait: when journald stands still, so would xenstored, and with it every guest
 * of the host. Here a line goes at once or is lost, and the next one that goes says how many were.
 * Called through bridge_log().
 */
#ifndef XSPROXY_BRIDGE_SAY_H
#define XSPROXY_BRIDGE_SAY_H

#define SAY_LOG "/dev/log"

struct say {
	const char *log;       /* the socket of the system's log; stays the caller's */
	int err;	       /* standard error; stays the caller's */
	unsigned int lost_log; /* lines since the last one that went */
	unsigned int lost_err;
};

/**
 * say_prepare() - read what a line needs from files, now that waiting does no harm.
 *
 * Once, before the daemon serves anybody; without it the first line reads the time zone.
 */
void say_prepare(void);

/**
 * say_line() - one line to both, each as far as it goes at once.
 * @priority: of syslog(3), without a facility
 * @text: without a newline; some 600 octets at most, the rest is cut off
 *
 * Keeps errno, raises no signal, leaves the flags of @say->err as they are.
 */
void say_line(struct say *say, int priority, const char *text);

#endif
