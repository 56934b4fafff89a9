// SPDX-License-Identifier: MIT
/*
 * Says when a daemon is up: with XENSIM_SAY_READY in its environment a line goes to its standard
 * output when it first waits for several descriptors. Both daemons do so by poll(2) in their loop
 * and nowhere before, when their sockets listen; the bridge inside of them waits for one at most.
 */
/* Else the header defines poll(). */
#undef _FORTIFY_SOURCE

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/sim/lib/active.h"

static void ready_say(void)
{
	static atomic_bool said;

	if (!atomic_exchange(&said, true) && getenv("XENSIM_SAY_READY"))
		dprintf(STDOUT_FILENO, "libxensim: ready\n");
}

SIM_EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	SIM_NEXT(poll);
	if (count > 1 && active_dir())
		ready_say();
	return next_poll(fds, count, timeout);
}
