/* SPDX-License-Identifier: MIT */
/*
 * watch - which watches a connection has, as upstream confirmed them.
 *
 * A watch is identified by its canonical path and its token (docs/daemons.md, "When two watches are
 * the same"); what is kept for export is the spelling that the guest used. When a WATCH is
 * forwarded it becomes an "intent": a record in the log and a place in the table, so that nothing
 * can fail once upstream's OK is here. An UNWATCH's intent is the record of the watch that it ends,
 * so it needs no memory; one of a watch that there is not needs none at all, for upstream will say
 * ENOENT. Replies come in the order of requests, so resolving intents as replies arrive gives
 * upstream's own list.
 *
 * Used by the session, and by proxy/toolstack/ for its requests. The table is a cache of the log.
 */
#ifndef XSPROXY_PROXY_SESSION_WATCH_H
#define XSPROXY_PROXY_SESSION_WATCH_H

#include "proxy/session/account.h"
#include "proxy/session/ledger.h"
#include "proxy/session/watchlog.h"

struct watch;

struct watches {
	struct watchlog log;
	struct watch *table; /* uthash: canonical path, NUL, token */
	struct watch *list;  /* confirmed ones, in order of registration */
	struct watch *last;
	uint32_t count;	     /* confirmed */
	uint32_t intents;    /* not resolved yet */
	uint32_t live;	     /* octets of the log that confirmed watches take */
	uint32_t base_domid; /* relative paths start at /local/domain/<base_domid> */
	uint32_t most;	     /* how many there may be, those under way included */

	uint32_t next_order;
	uint32_t tidy_at; /* octets of dead records from which on tidying the log is worth it */
	bool tidying;
	uint32_t died;	     /* octets of records, since that has begun */
	bool short_of_pages; /* a WATCH was refused for want of one */

	/* Where the last watches_from() ended, so that paging through a long list stays linear. */
	struct watch *cursor;
	uint32_t cursor_index;
};

/** watches_init() - over a fresh ledger. */
void watches_init(struct watches *set, struct ledger *ledger, struct account *account,
		  uint32_t base_domid);

/**
 * watches_recover() - over a recovered ledger, after watchlog_recover() and audit_refs(): rebuilds
 * the table, the intents of pending requests included.
 *
 * Return: 0, or a negative errno.
 */
int watches_recover(struct watches *set);

/** watches_drop() - free the table; the ledger and its extents stay for whoever recovers them. */
void watches_drop(struct watches *set);

/** watches_fini() - free the table and give the extents back. */
void watches_fini(struct watches *set);

/**
 * watches_end() - drop all watches and requests for such, as xenstored has forgotten them, with a
 * commit of its own.
 */
void watches_end(struct watches *set, const struct ledger_place *place);

/**
 * watch_intend() - note a WATCH that is about to be forwarded.
 * @payload: the request's payload, @len octets
 * @batch: id of the ADD_DOMAIN_WATCHES it belongs to, or 0
 * @pos: the record's position, for the pending request
 *
 * The commit must be ended: it cannot be abandoned after this call.
 *
 * Return: 0; -E2BIG for a payload above MESSAGE_WATCH_MAX; -EINVAL for one that is not in the form
 * that form.h describes; -EDQUOT when there are as many as may be (`most`); -ENOBUFS when their log
 * takes as much as it may (log.most); -ENOMEM. What is not noted must not be forwarded.
 */
int watch_intend(struct watches *set, struct commit *commit, const uint8_t *payload, uint32_t len,
		 uint32_t batch, uint32_t *pos);

/**
 * watch_intend_removal() - like watch_intend(), for an UNWATCH. Its @pos is a record of the watch
 * that it is about, or 0 when there is none: upstream will say so. In an old arena it is one of
 * its own, if there is room.
 *
 * Return: 0; -EINVAL for a payload that is not in the form that form.h describes; -ENOENT for one
 * that no watch can have. What gets an error must not be forwarded.
 */
int watch_intend_removal(struct watches *set, struct commit *commit, const uint8_t *payload,
			 uint32_t len, uint32_t *pos);

/** watch_added() - upstream said OK to the WATCH at @pos. */
void watch_added(struct watches *set, struct commit *commit, uint32_t pos);

/** watch_removed() - upstream said OK to the UNWATCH whose intent is at @pos. */
void watch_removed(struct watches *set, struct commit *commit, uint32_t pos);

/** watch_refused() - upstream refused the WATCH or UNWATCH at @pos, or its reply was lost. */
void watch_refused(struct watches *set, struct commit *commit, uint32_t pos);

/**
 * watches_forget() - drop every confirmed watch from the table, after the ledger's epoch moved on
 * (RESET_WATCHES, re-INTRODUCE with the C daemon, reconnect).
 */
void watches_forget(struct watches *set);

/**
 * watches_clogged() - whether so much of the log is dead that no further WATCH may be forwarded
 * before those under way are answered, for what they refer to cannot be tidied.
 */
bool watches_clogged(const struct watches *set);

/**
 * watches_make_room() - whether watches_tidy() may yet make room for a WATCH that was refused for
 * want of it: that one is to be tried again in the next turn.
 */
bool watches_make_room(const struct watches *set);

/**
 * watches_tidy() - get rid of dead records, a bounded number of octets at once.
 *
 * Return: whether there is more to do at once.
 */
bool watches_tidy(struct watches *set, const struct ledger_place *place);

/* --- watch_anew.c: another xenstored is told of those that are confirmed */

/** watches_first() - the first one, in order of registration, or NULL. */
struct watch *watches_first(const struct watches *set);

/** watch_octets() - the length of its text, the depth included. */
uint32_t watch_octets(const struct watches *set, const struct watch *watch);

/** watch_record() - its record; what refers to it is under way from watch_asked() on. */
uint32_t watch_record(const struct watch *watch);

/** watch_asked() - its WATCH is under way once more. Return: the next one, or NULL. */
struct watch *watch_asked(struct watches *set, struct watch *watch);

/**
 * watch_renewed() - that of the record at @pos was answered.
 * @there: whether upstream has the watch; if not, @commit drops it
 * @first: whether a first event of it is to come, or has come since watches_unseen()
 */
void watch_renewed(struct watches *set, struct commit *commit, uint32_t pos, bool there,
		   bool first);

/**
 * watch_first_of() - the watch that was registered anew and whose first event this is; or NULL.
 * @text: "path NUL token NUL"
 */
struct watch *watch_first_of(const struct watches *set, const char *text);

/** watch_had_first() - the next event of it is not its first. */
void watch_had_first(struct watch *watch);

/** watches_unseen() - of each one, a first event may come once more. */
void watches_unseen(const struct watches *set);

/** watches_seen() - no first event is to come any more. */
void watches_seen(const struct watches *set);

/* --- watch_list.c */

/** watches_from() - the confirmed watch number @index (from 0), or NULL. */
const struct watch *watches_from(struct watches *set, uint32_t index);

/** watch_next() - the next one in order of registration, or NULL. */
const struct watch *watch_next(const struct watch *watch);

/** watch_text() - "path NUL token NUL" as spelt, and its length. */
const char *watch_text(const struct watches *set, const struct watch *watch, uint32_t *len);

/** watch_depth() - the depth that the guest asked for, as spelt; NULL if it asked for none. */
const char *watch_depth(const struct watches *set, const struct watch *watch);

/** watch_batch() - the batch id that it came with, or 0. */
uint32_t watch_batch(const struct watches *set, const struct watch *watch);

/**
 * watches_explain() - whether a confirmed watch that is not of @batch could have caused an event.
 * @path: the event's path
 * @token: the event's token
 */
bool watches_explain(struct watches *set, const char *path, const char *token, uint32_t batch);

#endif
