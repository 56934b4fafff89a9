/* SPDX-License-Identifier: MIT */
/*
 * rest - what keeps a session from coming to rest, in words: what a QUIESCE of it waits for, or why
 * there is no point in waiting; and of one that is at rest, what of its ring would not be whole
 * elsewhere.
 *
 * Used by control_show.c, control_ask.c and toolstack_list.c, for people only, but for
 * rest_is_due(): whether a session is at rest is decided by session_drained() alone. Looks at the
 * session, never changes it.
 */
#ifndef XSPROXY_PROXY_SESSION_REST_H
#define XSPROXY_PROXY_SESSION_REST_H

#include <stdbool.h>
#include <stdint.h>

struct session;

#define REST_TEXT_MAX 192

/* A request that the front has begun and not finished. */
struct rest_request {
	uint32_t octets;  /* that are there */
	uint32_t of;	  /* its size; 0: not even its header is there */
	uint64_t seconds; /* since it began, or since this xsproxyd took the session up */
};

/**
 * rest_is_due() - whether all others wait until it is at rest: then what is for a front that does
 * not read is taken from upstream all the same, and events for which there is no room are dropped.
 */
bool rest_is_due(const struct session *s);

/** rest_request() - Return: whether the front is in the middle of a request. */
bool rest_request(const struct session *s, struct rest_request *out);

/**
 * rest_text() - what the session lacks, a clause whose subject is the domain or xenstored.
 * @text: of REST_TEXT_MAX octets; "" if it lacks nothing
 */
void rest_text(const struct session *s, char *text);

#endif
