/* SPDX-License-Identifier: MIT */
/*
 * state - what a Xenstore daemon knows, item by item, as streams of all formats hold it in memory.
 *
 * A state is a sequence of items: what is global, each connection with its watches and open
 * transactions, the nodes, parents before children. Two formats hold all of it, or nearly: the C
 * daemon's state stream (c_format.h) and oxenstored's dump (ox_format.h); libxl's stream holds a
 * domain's nodes, watches and transactions. What only one of them knows has a flag here that says
 * whether it is known.
 *
 * Used by the readers and writers of this folder, and by whoever turns one format into another.
 * Must never allocate, do I/O, or know how a format lays an item out.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_STATE_H
#define XSPROXY_MIGRATION_FORMAT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/format/record.h"

#define STATE_NO_FD	   (-1)
#define STATE_DOMID_NOBODY 0x7ff4      /* DOMID_INVALID: no domain ever has it */
#define STATE_MESSAGE_MAX  (16 + 4096) /* octets of a message with its header */
#define STATE_REST_MAX	   UINT16_MAX /* of what passes for the end of one, behind what is queued */

/* In the octet `pad` of a permission of an item's node. */
#define STATE_PERM_STALE                                                        \
	0x01 /* of a domain that died: it counts for nobody, who has its id now \
	      */
#define STATE_PERM_ODD	     0x80 /* its number was no domain id; it names STATE_DOMID_NOBODY instead */

#define STATE_PERM_TEXT_MAX  16
#define STATE_PEER_TEXT_MAX  16

#define STATE_ACCESS_READ    0x1 /* of a node in a transaction */
#define STATE_ACCESS_WRITTEN 0x2

enum state_kind {
	STATE_GLOBAL,
	STATE_QUOTAS, /* of the daemon as a whole */
	STATE_CONNECTION,
	STATE_WATCH,
	STATE_TRANSACTION,
	STATE_NODE,
	STATE_DOMAIN,  /* what the daemon knows of a domain beside its connection */
	STATE_UNKNOWN, /* a record that only a later version of the format can name */
};

/* Whose something is: the domain of a ring, or a socket's descriptor. */
struct state_peer {
	bool socket;
	uint32_t number;
};

struct state_global {
	int32_t socket; /* the listener's descriptor, or STATE_NO_FD */
	int32_t evtchn; /* of the event channels' handle, or STATE_NO_FD */
	bool has_virq;
	uint32_t virq;	   /* local port of VIRQ_DOM_EXC, in that handle */
	int32_t read_only; /* a second listener, of daemons before 4.16; or STATE_NO_FD */
};

/* As the stream has them: for state_quotas_next(). */
struct state_quotas {
	size_t nr;
	size_t nr_domain;      /* the first ones, of STATE_QUOTAS: they hold for each domain */
	const uint8_t *values; /* @nr times 32 bits, little-endian, anywhere in memory */
	const char *names;     /* @nr strings, each with its NUL */
};

struct state_connection {
	struct state_peer peer;
	bool has_target;
	uint16_t target; /* of SET_TARGET */
	bool has_local;
	uint32_t local; /* port, in the handle of struct state_global */
	bool has_remote;
	uint32_t remote; /* port, in the domain */
	int64_t gfn;	 /* of the ring; with has_remote */
	bool has_unique_id;
	uint64_t unique_id; /* of a domain, which its id is not */
	const char *in; /* octets read and not worked on: whole requests, then the start of one */
	size_t in_len;
	const char *out; /* octets to be sent: the rest of a message, then whole ones */
	size_t out_len;
	size_t out_rest; /* how much of it is that rest */
};

struct state_watch {
	struct state_peer peer;
	const char *path; /* absolute, relative or @special, in the client's own spelling */
	size_t path_len;
	const char *token;
	size_t token_len;
	bool has_depth;
	uint64_t depth;	 /* levels below the path */
	bool depth_lost; /* it had one, and the daemon that wrote the stream left it out */
};

struct state_transaction {
	struct state_peer peer;
	uint32_t tx_id; /* not 0 */
};

/* Without permissions it is one that its transaction has deleted. */
struct state_node {
	struct record_node node; /* in the octet `pad` of its permissions: STATE_PERM_* */
	bool pending;		 /* in a transaction: */
	struct state_peer peer;
	uint32_t tx_id;
	uint16_t access; /* STATE_ACCESS_* */
};

struct state_domain {
	uint16_t domid;
	bool has_features;
	uint32_t features; /* as the domain sees them in its ring's page */
	struct state_quotas quotas;
};

struct state_unknown {
	uint32_t type;
	uint32_t length;
};

/* Nothing is NUL-terminated; the item does not own what it points at. */
struct state_item {
	enum state_kind kind;
	union {
		struct state_global global;
		struct state_quotas quotas;
		struct state_connection connection;
		struct state_watch watch;
		struct state_transaction transaction;
		struct state_node node;
		struct state_domain domain;
		struct state_unknown unknown;
	};
};

/** state_perm_text() - "n7", "r5(stale)" or "r?", of STATE_PERM_TEXT_MAX octets. Return: its
 * length. */
size_t state_perm_text(char *text, const struct record_perm *perm);

/** state_peer_text() - "d7" or "fd12". Return: @text, of STATE_PEER_TEXT_MAX octets. */
const char *state_peer_text(char *text, struct state_peer peer);

/** state_kind_name() - what to call it: "connection", "watch", ... */
const char *state_kind_name(enum state_kind kind);

/** state_peer_same() - whether both are one. */
bool state_peer_same(struct state_peer a, struct state_peer b);

/**
 * state_quotas_next() - go through quotas.
 * @index: 0 at first
 * @name: NULL at first; gets the next one's, NUL-terminated
 * @value: gets its value, 0: without limit
 *
 * Return: whether there is one.
 */
bool state_quotas_next(const struct state_quotas *quotas, size_t *index, const char **name,
		       uint32_t *value);

/**
 * state_path_special() - whether it is that of no node, but of a special watch such as
 * @releaseDomain, which has permissions like one.
 */
bool state_path_special(const char *path, size_t len);

/** state_path_at() - those that daemons have, from 0 on; NULL behind the last one. */
const char *state_path_at(unsigned int index);

/** state_path_known() - whether it is one of the special watches that daemons have. */
bool state_path_known(const char *path, size_t len);

/** state_path_parent() - how many of the @len octets of a node's path are its parent's; 0: none. */
size_t state_path_parent(const char *path, size_t len);

/**
 * state_check_watch() - what a daemon takes: a path that is not empty, no NUL in either.
 * @path_at, @token_at: added to the offset of a fault
 *
 * Return: 0 or -EBADMSG.
 */
int state_check_watch(const struct state_watch *watch, size_t path_at, size_t token_at,
		      struct record_fault *fault);

/**
 * state_check_queues() - whether @in and @out of a connection are messages, but for what they say
 * of themselves: a daemon believes the lengths in them.
 * @in_at, @out_at: added to the offset of a fault
 *
 * Return: 0 or -EBADMSG.
 */
int state_check_queues(const struct state_connection *connection, size_t in_at, size_t out_at,
		       struct record_fault *fault);

#endif
