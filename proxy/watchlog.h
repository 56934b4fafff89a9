/* SPDX-License-Identifier: MIT */
/*
 * watchlog - an append-only log of watches in a session's ledger.
 *
 * A record is appended when a WATCH or an UNWATCH is forwarded, so that the reply finds path and
 * token even after a restart; a WATCH's record becomes live with upstream's OK. The log is a chain
 * of segments: the first may be the ledger's own page, the others are extents. What lies beyond
 * the tail does not exist. A record is live while its `live` word equals the ledger's epoch.
 *
 * Used by watch.c. Positions are never 0.
 */
#ifndef XSPROXY_PROXY_WATCHLOG_H
#define XSPROXY_PROXY_WATCHLOG_H

#include "proxy/ledger.h"
#include "proxy/pool.h"

struct watch_record {
	ledger_word live;
	uint32_t batch; /* id of the ADD_DOMAIN_WATCHES it came with, or 0 */
	uint16_t len;	/* of text; 0: the log goes on in the next segment */
	uint16_t depth; /* whether text has a third string */
	uint32_t reserved;
	char text[]; /* path, NUL, token, NUL: the request's payload as the guest spelt it */
};

/* Segments that follow each other. */
struct watchlog_chain {
	uint32_t first, last;
};

struct watchlog {
	struct ledger *ledger;
	struct pool *pool;
	uint32_t used; /* octets of records, dead ones included */
};

/** watchlog_init() - over a fresh or recovered ledger. */
void watchlog_init(struct watchlog *log, struct ledger *ledger, struct pool *pool);

/**
 * watchlog_recover() - claim the extents of a recovered ledger.
 *
 * Return: 0; -EINVAL for a chain or records that cannot be; or another errno of pool_claim().
 */
int watchlog_recover(struct watchlog *log);

/** watchlog_fini() - give the extents back. */
void watchlog_fini(struct watchlog *log);

/**
 * watchlog_reset() - have @commit make the log empty.
 *
 * Return: the segments that it had, for watchlog_release() once the commit has ended.
 */
struct watchlog_chain watchlog_reset(struct watchlog *log, struct commit *commit);

/** watchlog_release() - give back the extents of segments that the ledger refers to no more. */
void watchlog_release(struct watchlog *log, struct watchlog_chain chain);

/**
 * watchlog_append() - write a record beyond the tail, and have @commit move the tail over it.
 * @text: @len octets, MESSAGE_WATCH_MAX at most
 *
 * Return: its position, or 0 when no memory is left.
 */
uint32_t watchlog_append(struct watchlog *log, struct commit *commit, const void *text,
			 uint32_t len, uint32_t depth, uint32_t batch);

/** watchlog_at() - the record at a position. */
struct watch_record *watchlog_at(const struct watchlog *log, uint32_t pos);

/** watchlog_size() - the octets that the record at a position takes of `used`. */
uint32_t watchlog_size(const struct watchlog *log, uint32_t pos);

/** watchlog_undo() - have @commit drop the record at @pos if it is the last; else do nothing. */
void watchlog_undo(struct watchlog *log, struct commit *commit, uint32_t pos);

/**
 * watchlog_next() - walk the log.
 * @pos: 0 to begin, or the position that was returned last
 *
 * Return: the next record's position, or 0 at the end.
 */
uint32_t watchlog_next(const struct watchlog *log, uint32_t pos);

/**
 * watchlog_compact() - copy the live records into a new chain and make it the log, with a commit of
 * its own. Positions change: @moved is called with each live record's old and new one. Only while
 * no pending request refers to a record.
 *
 * Return: 0, or -ENOMEM (the log is as before).
 */
int watchlog_compact(struct watchlog *log, const struct ledger_place *place,
		     void (*moved)(void *arg, uint32_t from, uint32_t to), void *arg);

#endif
