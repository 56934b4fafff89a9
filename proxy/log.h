/* SPDX-License-Identifier: MIT */
/*
 * log - one line that says what happened, to what, and what to do.
 *
 * To the journal with fields (DOMID, DOMAIN, SESSION, REQUEST) when systemd runs us, else to
 * stderr. Never waits for journald: what that does not take is lost, and counted. Never called on
 * the path of a good request. Who logs at a guest's will does it through its struct log_source,
 * which allows a few lines a minute.
 */
#ifndef XSPROXY_PROXY_LOG_H
#define XSPROXY_PROXY_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

/** log_open() - find out where lines go. @level: as in log_set_level() */
void log_open(int level);

/** log_set_level() - set the lowest urgency (LOG_ERR ... LOG_DEBUG) that is written. */
void log_set_level(int level);

/** log_level() - what log_set_level() said last. */
int log_level(void);

#define LOG_NAME_MAX 40 /* octets, NUL included */

/**
 * log_set_naming() - how those whom lines are about are called, beside their numbers.
 * @name: writes that of a domain, or of its session if that is not 0, into @out: what is fit to
 *	print, without blanks and parentheses; or "". NULL: nobody has one
 */
void log_set_naming(void (*name)(const void *arg, uint32_t domid, uint32_t session,
				 char out[LOG_NAME_MAX]),
		    const void *arg);

/** log_line() - write one line. @level: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO or LOG_DEBUG */
void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** log_domain() - log_line() about a domain, which the line begins with. */
void log_domain(int level, uint32_t domid, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Whom lines are about, and how often it may speak: a few lines, then one a minute with a count. */
struct log_source {
	uint32_t domid;
	uint32_t session;
	uint64_t minute;
	uint32_t burst;
	uint32_t dropped;
	bool nobody; /* lines are about no domain, and begin with none */
};

/** log_limited() - log_line() for what a guest can cause. The line begins with who it is. */
void log_limited(struct log_source *source, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * log_request() - a line about a session's request; not limited, the caller counts.
 * @request: the request's name
 */
void log_request(const struct log_source *source, int level, const char *request, const char *fmt,
		 ...) __attribute__((format(printf, 4, 5)));

#endif
