/* SPDX-License-Identifier: MIT */
/*
 * replace - has xsproxyd exchange xenstored, and finds out what came of it, also where an xsproxyd
 * that ends in the middle leaves the rest to the next one.
 *
 * Used by xenstored replace, enter and leave. Must never end without a word about what is known.
 */
#ifndef XSPROXY_CTL_REPLACE_H
#define XSPROXY_CTL_REPLACE_H

#include <jansson.h>
#include <stdint.h>

#include "ctl/options.h"
#include "migration/interrupt.h"
#include "migration/report.h"

/* What replace_verdict_fn can know. */
enum replace_verdict {
	REPLACE_UNKNOWN,
	REPLACE_NOTHING, /* has come of it: all is as before */
	REPLACE_DONE,
};

/*
 * Called when it is in a stage.
 *
 * @control: the connection; when it can be read, the next stage or the end has come
 *
 * Return: 0; or a negative errno, which has been reported: the connection is closed, and nobody
 * waits any more.
 */
typedef int (*replace_stage_fn)(void *arg, int control, const char *stage);

/*
 * Asked, while xsproxyd knows of no exchange and not what came of this one, what those say who were
 * to be exchanged.
 */
typedef enum replace_verdict (*replace_verdict_fn)(void *arg);

/* Called to say on standard output who serves. @pause_ms: -1: not known */
typedef int (*replace_done_fn)(void *arg, int64_t pause_ms);

struct replace_request {
	const char *command;		   /* of the control socket */
	json_t *arguments;		   /* taken over */
	const struct interrupt *interrupt; /* ends the wait; NULL: nothing does */
	replace_stage_fn stage;		   /* this and the following: NULL: none */
	replace_verdict_fn verdict;
	replace_done_fn done;
	void *arg;
};

/**
 * replace_run() - have it done. The report gets a line a stage, too, on a terminal or where that is
 * asked for.
 *
 * Return: 0, and a line on standard output says who serves; or an exit status, or a negative errno,
 * which has been reported.
 */
int replace_run(const struct options *options, const struct replace_request *request,
		const struct report *report);

/** replace_say() - a line as that of a stage. */
void replace_say(const struct options *options, const struct report *report, const char *text);

#endif
