// SPDX-License-Identifier: MIT
/*
 * store - see store.h.
 */
#include "ctl/store.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <xenstore.h>

/* Nobody else of this program has to do with the signal. */
static void give_up(int sig)
{
	static const char text[] = "xsproxyctl: xenstored does not answer; see xsproxyctl status\n";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

int store_open(struct xs_handle **out, const struct options *options, const struct report *report)
{
	signal(SIGALRM, give_up);
	alarm(STORE_PATIENCE);
	/* It is told in no other way. */
	if (setenv("XENSTORED_PATH", options->socket, 1))
		return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	*out = xs_open(0);
	return *out ? 0 : report_no_connection(report, -errno, options->socket);
}

void store_close(struct xs_handle *xs)
{
	if (xs)
		xs_close(xs);
	alarm(0);
}
