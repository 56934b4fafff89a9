// SPDX-License-Identifier: MIT
/*
 * interrupt - see interrupt.h.
 */
#include "migration/interrupt.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

#define NR_SIGNALS (sizeof(signals) / sizeof(signals[0]))

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	(void)sig;
	caught = 1;
}

int interrupt_catch(struct interrupt *interrupt)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t ours;

	sigemptyset(&action.sa_mask);
	sigemptyset(&ignore.sa_mask);
	sigemptyset(&ours);
	for (size_t i = 0; i < NR_SIGNALS; i++)
		sigaddset(&ours, signals[i]);
	if (sigprocmask(SIG_BLOCK, &ours, &interrupt->waiting))
		return -errno;
	for (size_t i = 0; i < NR_SIGNALS; i++) {
		sigdelset(&interrupt->waiting, signals[i]);
		if (sigaction(signals[i], &action, NULL))
			return -errno;
	}
	return sigaction(SIGPIPE, &ignore, NULL) ? -errno : 0;
}

/* ppoll() lets no signal in when there is something to report at once, so these are looked for. */
static bool is_pending(void)
{
	sigset_t pending;

	if (sigpending(&pending))
		return false;
	for (size_t i = 0; i < NR_SIGNALS; i++)
		if (sigismember(&pending, signals[i]))
			return true;
	return false;
}

int interrupt_poll(const struct interrupt *interrupt, struct pollfd *fds, nfds_t nr, int timeout_ms)
{
	struct timespec timeout = { .tv_sec = timeout_ms / 1000,
				    .tv_nsec = timeout_ms % 1000 * 1000000L };

	for (;;) {
		int ready;

		if (interrupt && (caught || is_pending()))
			return -EINTR;
		ready = ppoll(fds, nr, timeout_ms < 0 ? NULL : &timeout,
			      interrupt ? &interrupt->waiting : NULL);
		if (ready >= 0)
			return ready;
		if (errno != EINTR)
			return -errno;
	}
}

int interrupt_check(const struct interrupt *interrupt)
{
	int r = interrupt_poll(interrupt, NULL, 0, 0);

	return r < 0 ? r : 0;
}
