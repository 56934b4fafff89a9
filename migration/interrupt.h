/* SPDX-License-Identifier: MIT */
/*
 * interrupt - signals that end a command early, but never in the middle of a step.
 *
 * From interrupt_catch() on, SIGINT, SIGTERM and SIGHUP are let in only while interrupt_poll()
 * waits. So whoever waits there learns of them by -EINTR, at a place where it can take back what it
 * did; there is no moment between looking and waiting in which one gets lost. SIGPIPE is ignored:
 * writing fails with EPIPE instead.
 *
 * Called by export, import and ctl/ (to catch), migration/wire and migration/output (to wait). The
 * handler must never do more than set a flag.
 */
#ifndef XSPROXY_MIGRATION_INTERRUPT_H
#define XSPROXY_MIGRATION_INTERRUPT_H

#include <poll.h>
#include <signal.h>

struct interrupt {
	sigset_t waiting; /* what is blocked while waiting */
};

/**
 * interrupt_catch() - catch the signals for the rest of the process's life. Call it before any
 * other thread exists.
 * @interrupt: filled; pass it to who waits
 *
 * Return: 0, or what sigaction() or sigprocmask() failed with.
 */
int interrupt_catch(struct interrupt *interrupt);

/**
 * interrupt_poll() - poll() that ends on a signal, also on one that came before.
 * @interrupt: as interrupt_catch() filled it; NULL: no signal ends the wait
 * @timeout_ms: as poll() has it; starts anew when something else ends the system call
 *
 * Return: what poll() returns; -EINTR for a signal; or what poll() failed with.
 */
int interrupt_poll(const struct interrupt *interrupt, struct pollfd *fds, nfds_t nr,
		   int timeout_ms);

/** interrupt_check() - whether a signal has come. Return: 0 or -EINTR. */
int interrupt_check(const struct interrupt *interrupt);

#endif
