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

/**
 * control_open() - connect to options->control.
 * @out: the connection; control_free() it
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int control_open(struct control **out, const struct options *options, const struct report *report);

/**
 * control_open_within() - the same, but no step waits longer than @seconds: it fails with
 * -ETIMEDOUT.
 */
int control_open_within(struct control **out, const struct options *options, unsigned int seconds,
			const struct report *report);

/**
 * control_may() - whether there is any point in trying again and again: xsproxyd may be there or
 * not, but who asks may.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int control_may(const struct options *options, const struct report *report);

/** control_free() - NULL is fine. */
void control_free(struct control *control);

/**
 * control_run() - have a command carried out.
 * @arguments: an object, taken over; NULL means that memory ran out
 * @out: what the command returned; the caller's
 *
 * Return: 0, or a negative errno, which has been reported: -EREMOTEIO when xsproxyd refused it.
 */
int control_run(struct control *control, const char *command, json_t *arguments, json_t **out,
		const struct report *report);

/**
 * control_start() - the first half of control_run(), for who has something to do while the answer
 * is on its way.
 */
int control_start(struct control *control, const char *command, json_t *arguments,
		  const struct report *report);

/** control_finish() - the second half; it does not wait once control_fd() can be read. */
int control_finish(struct control *control, json_t **out, const struct report *report);

/**
 * control_receive() - the next object that xsproxyd sends, as it is: for who knows of more than
 * answers.
 * @out: the caller's
 *
 * Return: 0, or a negative errno, which has not been reported.
 */
int control_receive(struct control *control, json_t **out);

/** control_fd() - the connection itself; nothing is read of it beyond an answer. */
int control_fd(const struct control *control);

/**
 * control_ask() - one command, one answer, one connection: control_open(), control_run(),
 * control_free().
 */
int control_ask(const struct options *options, const char *command, json_t *arguments, json_t **out,
		const struct report *report);

/**
 * control_ask_quietly() - the same without a word to anybody, and without much
 * patience: there may be no xsproxyd.
 *
 * Return: what the command returned, the caller's; or NULL.
 */
json_t *control_ask_quietly(const struct options *options, const char *command, json_t *arguments);

/**
 * control_wait() - wait until xsproxyd ends the connection.
 *
 * Return: -ECONNRESET, or another negative errno.
 */
int control_wait(struct control *control);

#endif
