/* SPDX-License-Identifier: MIT */
/*
 * limit - how many watches a session may have and what they may take, as far as is known; and a
 * line in the log before it gets there ([log] quota-warning), for a leak is not seen otherwise
 * until a WATCH is refused.
 *
 * Our own bounds are configured. Xenstored's quota is never asked for: it is overheard when
 * somebody asks, as `xsproxyctl watches --stale` does, or seen in oxenstored's first refusal.
 *
 * Called by track.c with a request that is about to go upstream and by down.c with its answer;
 * shown by control_show.c; domain_state.c counts who is near. Must never refuse a WATCH.
 */
#ifndef XSPROXY_PROXY_SESSION_LIMIT_H
#define XSPROXY_PROXY_SESSION_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct ledger_pending;
struct message;
struct session;

enum limit_kind {
	LIMIT_WATCHES, /* their number */
	LIMIT_MEMORY,  /* what they take */
	LIMIT_KINDS,
};

/* A session's part; zero at first. */
struct limits {
	bool said[LIMIT_KINDS]; /* the log has it that it is near, and it has not fallen back */
	uint32_t asked;		/* slots of requests for xenstored's quota */
};

/** limit_own() - how many watches it may have by [limits] watches; UINT32_MAX: any number. */
uint32_t limit_own(const struct session *s);

/** limit_memory() - what they may take, as configured now, in MiB. */
uint32_t limit_memory(const struct session *s);

/** limit_watches() - limit_own(), or what xenstored lets it have if that is known and less. */
uint32_t limit_watches(const struct session *s);

/** limit_near() - whether it is at [log] quota-warning per cent of a limit, or beyond. */
bool limit_near(const struct session *s);

/** limit_request() - a CONTROL, @msg, is about to go upstream in @slot. */
void limit_request(struct session *s, int slot, const struct message *msg);

/**
 * limit_reply() - what changes a session's watches, or tells xenstored's quota, was answered.
 * @pending: the request that was in @slot
 * @msg: upstream's answer
 */
void limit_reply(struct session *s, int slot, const struct ledger_pending *pending,
		 const struct message *msg);

#endif
