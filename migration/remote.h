/* SPDX-License-Identifier: MIT */
/*
 * remote - the toolstack requests of docs/protocol.md as functions: what xsproxyd does to a
 * domain's session, and what it tells about it.
 *
 * Each function is one request and its reply (lists: as many as they take). Unless it says
 * otherwise it returns 0; what xsproxyd answered: -ENOENT, the domain is not introduced, -EINVAL,
 * -ENOSYS, what listens is no xsproxyd; or as wire_call().
 *
 * Called by export, import and ctl/. Must never decide what to do about an answer.
 */
#ifndef XSPROXY_MIGRATION_REMOTE_H
#define XSPROXY_MIGRATION_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/wire.h"

#define REMOTE_WHY_MAX 256

enum remote_state {
	REMOTE_RUNNING,
	REMOTE_QUIESCED,
	REMOTE_HELD,  /* also before it is introduced */
	REMOTE_ENDED, /* it broke the protocol and is ignored */
};

struct remote_watch {
	const char *path;
	const char *token;
	const char *depth; /* NULL: none */
};

struct remote_watches {
	struct remote_watch *list; /* in order of registration */
	size_t nr;
	char *octets; /* what the list points at */
	size_t len;
};

struct remote_transactions {
	uint32_t *ids;
	size_t nr;
};

/**
 * remote_fears_any() - whether the xenstored there ends when a toolstack tells it of permissions
 * for all domains (docs/daemons.md, "What ends a daemon").
 * @fears: set to that
 *
 * Return: 0, or a negative errno: nobody has answered.
 */
int remote_fears_any(struct wire *wire, bool *fears);

/**
 * remote_reconnect() - a new connection in place of @wire, for taking back what went wrong on the
 * old one: with it goes what is still under way there. An xsproxyd that is being restarted is
 * waited for; no signal ends the wait.
 * @wire: freed, and set to the new connection, or NULL
 * @path: of the socket
 * @timeout_ms: how long to try, and the new connection's patience
 *
 * Return: 0; or what connecting failed with last.
 */
int remote_reconnect(struct wire **wire, const char *path, int timeout_ms);

/**
 * remote_is_introduced() - whether a domain is introduced, which any xenstored knows.
 *
 * Return: 0, or as wire_call().
 */
int remote_is_introduced(struct wire *wire, uint16_t domid, bool *is);

/**
 * remote_get_state() - how a domain stands (GET_DOMAIN_STATE). -EPROTO for a word that nobody
 * knows.
 */
int remote_get_state(struct wire *wire, uint16_t domid, enum remote_state *state);

/**
 * remote_get_why() - what GET_DOMAIN_STATE says after "why": what a QUIESCE waits for, or what of a
 * domain that stands still cannot be taken elsewhere. "" if nothing; also -EINVAL from an xsproxyd
 * that cannot tell.
 */
int remote_get_why(struct wire *wire, uint16_t domid, char text[static REMOTE_WHY_MAX]);

/**
 * remote_quiesce() - QUIESCE: stop the domain at a clean boundary; 0 also if it stands there
 * already. -EBUSY if the guest did not come to rest in xsproxyd's time.
 */
int remote_quiesce(struct wire *wire, uint16_t domid);

/**
 * remote_lease() - QUIESCE with a lease: the same, but the domain goes on when this connection
 * ends, unless it stood still for another reason or is quiesced by remote_quiesce() meanwhile.
 */
int remote_lease(struct wire *wire, uint16_t domid);

/**
 * remote_unquiesce() - UNQUIESCE: let a quiesced or held domain go on; 0 also if it was running.
 */
int remote_unquiesce(struct wire *wire, uint16_t domid);

/**
 * remote_hold() - HOLD: have the domain quiesced from its INTRODUCE on. -EEXIST if it is introduced
 * already.
 */
int remote_hold(struct wire *wire, uint16_t domid);

/**
 * remote_reset() - RESET_DOMAIN: end the watches and transactions of a domain that is quiesced or
 * held, and drop the events that wait for it. -EBUSY for a running one.
 */
int remote_reset(struct wire *wire, uint16_t domid);

/**
 * remote_get_watches() - GET_DOMAIN_WATCHES, page after page, from the start again when the list
 * changes meanwhile.
 * @watches: gets the list; remote_watches_free() it
 *
 * Also -ESTALE if the list keeps changing; -EPROTO; -ENOMEM.
 */
int remote_get_watches(struct wire *wire, uint16_t domid, struct remote_watches *watches);

/** remote_watches_free() - free what is in it. */
void remote_watches_free(struct remote_watches *watches);

/**
 * remote_get_transactions() - GET_DOMAIN_TRANSACTIONS: the ids of open transactions as the domain
 * knows them.
 * @transactions: gets them; free() its ids
 *
 * Also -EPROTO, -ENOMEM.
 */
int remote_get_transactions(struct wire *wire, uint16_t domid,
			    struct remote_transactions *transactions);

/**
 * remote_add_watches() - ADD_DOMAIN_WATCHES: all or none.
 * @pairs: "path NUL token NUL" one or more times, @len octets
 *
 * Also what the daemon would have answered to the domain: -EEXIST, -EINVAL, a quota.
 */
int remote_add_watches(struct wire *wire, uint16_t domid, const char *pairs, size_t len);

/** remote_watches_max() - the most octets of @pairs that fit one request. */
size_t remote_watches_max(uint16_t domid);

/**
 * remote_start_transaction() - START_DOMAIN_TRANSACTION. Also -EEXIST; or what the daemon would
 * have answered to the domain.
 */
int remote_start_transaction(struct wire *wire, uint16_t domid, uint32_t id);

/** remote_reason() - words for what these functions return, with advice; static memory. */
const char *remote_reason(int err);

/**
 * remote_quiesce_reason() - the same for what a QUIESCE of @domid came to; about -EBUSY xsproxyd is
 * asked what it waited for.
 * @text: room for its answer, which may be what is returned
 */
const char *remote_quiesce_reason(struct wire *wire, uint16_t domid, int err,
				  char text[static REMOTE_WHY_MAX]);

#endif
