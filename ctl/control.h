/* SPDX-License-Identifier: MIT */
/*
 * control - a connection to xsproxyd's control socket: one JSON object a line both ways
 * (docs/protocol.md, "Control socket").
 *
 * Used by the commands. Waits for its answers, unless the caller does so itself; one command at a
 * time.
 */
#ifndef XSPROXY_CTL_CONTROL_H
#define XSPROXY_CTL_CONTROL_H

#include <jansson.h>

#include "ctl/options.h"
#include "migration/report.h"

struct control;

/*
 * Connect to options->control.
 *
 * @out: the connection; control_free() it
 *
 * Returns 0, or a negative errno, which has been reported.
 */
int control_open(struct control **out, const struct options *options, const struct report *report);

/* The same, but no step waits longer than @seconds: it fails with -ETIMEDOUT. */
int control_open_within(struct control **out, const struct options *options, unsigned int seconds,
			const struct report *report);

/*
 * Whether there is any point in trying again and again: xsproxyd may be there or not, but who asks
 * may.
 *
 * Returns 0, or a negative errno, which has been reported.
 */
int control_may(const struct options *options, const struct report *report);

/* NULL is fine. */
void control_free(struct control *control);

/*
 * Have a command carried out.
 *
 * @arguments: an object, taken over; NULL means that memory ran out
 * @out: what the command returned; the caller's
 *
 * Returns 0, or a negative errno, which has been reported: -EREMOTEIO when xsproxyd refused it.
 */
int control_run(struct control *control, const char *command, json_t *arguments, json_t **out,
		const struct report *report);

/*
 * control_run() in two steps, for who has something to do while the answer is on its way:
 * control_finish() does not wait once control_fd() can be read.
 */
int control_start(struct control *control, const char *command, json_t *arguments,
		  const struct report *report);
int control_finish(struct control *control, json_t **out, const struct report *report);

/* The connection itself; nothing is read of it beyond an answer. */
int control_fd(const struct control *control);

/* One command, one answer, one connection: control_open(), control_run(), control_free(). */
int control_ask(const struct options *options, const char *command, json_t *arguments, json_t **out,
		const struct report *report);

/* Wait until xsproxyd ends the connection. Returns -ECONNRESET, or another negative errno. */
int control_wait(struct control *control);

#endif
