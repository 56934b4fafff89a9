/* SPDX-License-Identifier: MIT */
/*
 * reason - why something could not be done, in a line for START_FAILED and the log.
 */
#ifndef XSPROXY_STARTER_REASON_H
#define XSPROXY_STARTER_REASON_H

#define REASON_MAX 512 /* octets, NUL included; the rest is cut off */

struct reason {
	char text[REASON_MAX];
};

/**
 * reason_set() - put a failure into words.
 * @err: a negative errno, said already
 *
 * Return: @err, so that a failure is one statement.
 */
int reason_set(struct reason *reason, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
