/* SPDX-License-Identifier: MIT */
/*
 * watchlog - an append-only log of watches in a session's ledger.
 *
 * A record is appended when a WATCH is forwarded, so that the reply finds path and token even
 * after a restart; it becomes live with upstream's OK. The log is a chain of segments: the first
 * may be the ledger's own page, the others are extents. What lies beyond the tail does not exist. A
 * record is live while its `live` word equals the ledger's epoch.
 *
 * What is dead goes when the living of neighbouring segments are put together (watchlog_tidy()), a
 * few segments a turn. That takes one page for a moment, whatever the log's size, and never moves
 * a record that a pending request refers to.
 *
 * Used by watch.c. Positions are never 0.
 */
#ifndef XSPROXY_PROXY_SESSION_WATCHLOG_H
#define XSPROXY_PROXY_SESSION_WATCHLOG_H

#include "proxy/session/account.h"
#include "proxy/session/ledger.h"

struct watch_record {
	ledger_word live;
	uint32_t batch; /* id of the ADD_DOMAIN_WATCHES it came with, or 0 */
	union {
		ledger_word shape; /* the two below, to change them in one step */
		struct {
			uint16_t len;	/* of text; 0: the log goes on in the next segment */
			uint16_t depth; /* whether text has a third string */
		};
	};
	uint32_t reserved;
	char text[]; /* path, NUL, token, NUL: the request's payload as the guest spelt it */
};

/* Segments that follow each other. */
struct watchlog_chain {
	uint32_t first, last;
};

struct watchlog {
	struct ledger *ledger;
	struct account *account;
	uint32_t used;	 /* octets of records, dead ones included */
	uint32_t pages;	 /* extents that it has, */
	uint32_t most;	 /* and may have for records to come */
	uint32_t behind; /* watchlog_tidy() goes on behind this segment; see at_start */
	bool at_start;	 /* it begins anew */
};

/** watchlog_init() - over a fresh or recovered ledger. */
void watchlog_init(struct watchlog *log, struct ledger *ledger, struct account *account);

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
 * Return: its position, or 0 when no memory is left, or no more pages may be taken (`most`).
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

/* Told of each live record that moves, before anything can look for it. */
typedef void watchlog_moved(void *arg, uint32_t from, uint32_t to);

/**
 * watchlog_home() - move all live records into the ledger's own area, if they fit and it is free of
 * others, and give all extents back. Needs no memory. Only while no pending request refers to a
 * record. With a commit of its own.
 * @live: octets of live records
 *
 * Return: whether it was done.
 */
bool watchlog_home(struct watchlog *log, const struct ledger_place *place, uint32_t live,
		   watchlog_moved *moved, void *arg);

/**
 * watchlog_tidy() - look at a few segments more, and put the live records of neighbours together;
 * with commits of its own. Positions change.
 *
 * Return: 0 when all segments have been looked at, and the next call begins anew; -EAGAIN when some
 * are left; -ENOMEM (the next call begins anew, too).
 */
int watchlog_tidy(struct watchlog *log, const struct ledger_place *place, watchlog_moved *moved,
		  void *arg);

/** watchlog_bury() - dead records stay so in every epoch; see ledger_must_bury(). */
void watchlog_bury(struct watchlog *log);

#endif
