/* SPDX-License-Identifier: MIT */
/*
 * metrics_text - our numbers in Prometheus' text format.
 *
 * The number of lines is bounded: operations and errors are those that we know, the domains that
 * are named as many as configured. Called by metrics.c.
 */
#ifndef XSPROXY_PROXY_METRICS_METRICS_TEXT_H
#define XSPROXY_PROXY_METRICS_METRICS_TEXT_H

#include <stddef.h>

#include "proxy/metrics/metrics_domains.h"

struct metrics_text {
	char *text;
	size_t len;
	struct metrics_domains domains;
};

/**
 * metrics_text_write() - write the text as of now.
 * @text: zero at first; metrics_text_fini() it
 *
 * Return: 0, or -ENOMEM: @text->text is what it was.
 */
int metrics_text_write(struct metrics_text *text, const struct daemon *daemon);

void metrics_text_fini(struct metrics_text *text);

#endif
