/* SPDX-License-Identifier: MIT */
/*
 * say - lines on standard error and in the system's log, as the wrapper's are
 * (systemd/xenstored-wrapper).
 *
 * Must never wait for the log: a host may have none yet, or one that stands still, and its
 * xenstored has to start all the same. What is not taken at once is lost there.
 */
#ifndef XSPROXY_STARTER_SAY_H
#define XSPROXY_STARTER_SAY_H

/** starter_say() - say "xsproxy: ", a line without newline. */
void starter_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
