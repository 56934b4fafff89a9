/* SPDX-License-Identifier: MIT */
/*
 * log - one line that says what happened, to what, and what to do.
 *
 * To stderr with the level's syslog prefix where the journal reads it, plain otherwise. Never
 * called on the path of a good request. Who logs at a guest's will uses log_limited().
 */
#ifndef XSPROXY_PROXY_LOG_H
#define XSPROXY_PROXY_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

/** log_open() - set the lowest urgency (LOG_ERR ... LOG_DEBUG) that is written. */
void log_open(int level);

/** log_line() - write one line. @level: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO or LOG_DEBUG */
void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* How often one source may speak: a few lines, then one a minute with the number left out. */
struct log_limit {
	uint64_t minute;
	uint32_t burst;
	uint32_t dropped;
};

/**
 * log_limited() - log_line() for what a guest can cause.
 * @limit: the guest's; zero-initialised
 */
void log_limited(struct log_limit *limit, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
