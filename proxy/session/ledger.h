/* SPDX-License-Identifier: MIT */
/*
 * ledger - what a session needs to go on, in one page, and the only way to change it.
 *
 * It lies in memory that outlives xsproxyd (ledgers.h): of a ring session, and of a toolstack
 * socket's, by the same code. Heap structures of the other modules are caches that can be rebuilt
 * from it.
 *
 * A step of a session happens at one instant, however many words it changes. Its module
 *
 *	1. copies octets to where nobody looks yet: beyond the producer index of a ring, beyond the
 *	   tail of the fifo or the watch log, into a free pending or transaction slot;
 *	2. names every word that must change, with its old and its new value, in a struct commit;
 *	3. ends it with commit_end(): the words go into the ledger's record, which is marked valid,
 *	   then they are stored where they belong, then the mark is cleared.
 *
 * ledger_recover() completes a valid record. Its words are stored in order: all up to the last one
 * that has its new value were, and the other side may have moved on from them; those behind it get
 * theirs. So the process may die between any two instructions (docs/architecture.md, "Why the
 * ledger is correct").
 *
 * Used by proxy/ modules of a session. Nothing here waits, allocates or logs.
 */
#ifndef XSPROXY_PROXY_SESSION_LEDGER_H
#define XSPROXY_PROXY_SESSION_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/io/xs_wire.h>

#include "link/rings.h"
#include "proxy/session/ledgers.h"
#include "proxy/session/who.h"

#define LEDGER_VERSION	    2
#define LEDGER_VERSION_OLD  1  /* in an old arena (memory.h) */
#define LEDGER_PENDING	    32 /* requests under way at once; one bit each in pending_mask */
#define LEDGER_TX	    16 /* transactions that need no extent */
#define LEDGER_TX_PAGES	    16 /* extents for further ones */
#define LEDGER_AGAIN_PAGES  3
#define LEDGER_COMMIT_WORDS 24

/* A word that a commit may change; written by xsproxyd only. */
typedef _Atomic uint32_t ledger_word;

static inline uint32_t word_get(const ledger_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

enum ledger_state {
	LEDGER_RUN = 0,
	LEDGER_QUIET, /* quiesced or held: the guest's page is not touched */
	LEDGER_RESET, /* the guest reconnects; upstream has not answered our RESET_WATCHES yet */
	LEDGER_GREET, /* the ring is reset, `connection` must become 0 yet */
	LEDGER_ENDED, /* the guest broke the protocol; it is ignored until xenstored unmaps it */
};

/* A request that upstream has not answered. Valid while its bit in pending_mask is set. */
struct ledger_pending {
	uint32_t id;	 /* the request id that upstream sees */
	uint32_t req_id; /* the requester's own ids, to be restored */
	uint32_t tx_id;
	uint32_t type;
	uint32_t kind; /* enum pending_kind */
	uint32_t ref;  /* WATCH, UNWATCH: record in the log; START, END: slot */
	uint32_t flags;
	uint32_t up_tx; /* the transaction id that upstream sees */
};

/* An open transaction. Exists while `live` equals the ledger's epoch. */
struct ledger_tx {
	uint32_t guest;
	uint32_t upstream;
	ledger_word live;
	uint32_t flags;
};

struct ledger_record {
	_Atomic uint32_t count; /* words that follow; 0: nothing is under way */
	struct {
		uint32_t target; /* see ledger.c */
		uint32_t before;
		uint32_t after;
	} word[LEDGER_COMMIT_WORDS];
};

/* The log's first octets lie in the ledger page itself, so that most guests need no extent. */
#define LEDGER_LOG_INLINE 1760
#define LEDGER_FAULT_MAX  96

/*
 * The queues between a socket and its session, and how far the kernel is with them (host/sock.h).
 */
struct ledger_sock {
	ledger_word in_prod, in_cons, out_prod, out_cons;
	ledger_word in_base; /* in_prod when the kernel's counter was set */
	ledger_word arming;  /* 1: it is being set; nothing was read since */
	uint32_t in_page, out_page;
};

/*
 * What xsproxy 0.1 did not have; it left it as it was, so it is believed only if it says which
 * mapping it belongs to. Written before the commit that makes it count.
 */
struct ledger_more {
	uint32_t map_gen;
	char fault[LEDGER_FAULT_MAX]; /* LEDGER_ENDED: what the guest did */
	/* Requests to be asked again, in these extents: octets before the first, behind the last */
	ledger_word again_head, again_tail;
	ledger_word again_page[LEDGER_AGAIN_PAGES];
	/* The extent of one that upstream has got whole, and not answered; its id */
	ledger_word kept_page;
	uint32_t kept_id;
	ledger_word crimes; /* how often xenstored has crashed from a request of its alone */
	/* The message that fifo_left is about: where in the fifo it ends, and its size */
	ledger_word part_end;
	ledger_word part_size;
	/* LEDGER_ENDED: octets in the front's queue, its last ones, whose rest will never come */
	ledger_word stub;
	/* Who holds on to it by SET_TARGET (toolstack/target.c): domid + 1, and its mapping */
	ledger_word user;
	uint32_t user_gen;
	/* Sockets: octets to come of a reply beyond MESSAGE_MAX, whose others are in the fifo */
	ledger_word giant_left;
	/* Sockets: 1 if what the counters of `sock` say is exact (host/sock.h); client, upstream */
	ledger_word kept;
	struct ledger_sock sock[2];
	/* Sockets: who connected. LEDGER_QUIET: for whom, and, written last, since when (who.h) */
	struct who who;
	uint32_t since[2];
	/*
	 * A WATCH of renew.c's that is larger than the back ring: octets that upstream has got, or
	 * 0; its pending slot; its size. The front's request may be there in part meanwhile.
	 */
	ledger_word renew_sent;
	ledger_word renew_slot;
	ledger_word renew_size;
	uint32_t kept_len; /* of the payload in kept_page */
	uint32_t reserved[63];
};

struct ledger {
	union {
		struct rings_attach attach; /* version 1: the bridge's own */
		struct {
			uint64_t rings;	 /* struct rings_header.id of the mapping below */
			uint64_t cookie; /* sockets: SO_COOKIE of the client's; rings: 0 */
		} of;
	};

	/* These two keep their place in every version (memory_foreign()). */
	uint32_t version;
	uint32_t map_gen; /* the attachment that all below belongs to */

	uint32_t bind_gen; /* 0: never bound yet */
	ledger_word state; /* enum ledger_state */
	ledger_word lease; /* 1: LEDGER_QUIET ends with this xsproxyd (lease.h) */
	ledger_word pending_mask;
	ledger_word epoch;	/* of watches and transactions; never 0 while attached */
	ledger_word watch_gen;	/* counts changes of the watch list */
	ledger_word batch;	/* id of the ADD_DOMAIN_WATCHES under way, or 0 */
	ledger_word batch_last; /* the last id used */

	/* The request under way from the front, when it cannot be forwarded in one step */
	ledger_word up_fill; /* octets taken (header included); 0: none */
	ledger_word up_sent; /* octets that upstream has got; its pending slot is up_slot */
	ledger_word up_slot;
	ledger_word up_page; /* extent for the payload, or 0 */
	struct xsd_sockmsg up_hdr;

	/* The fifo of replies and events towards the front; indexes run freely */
	ledger_word fifo_head;
	ledger_word fifo_tail;
	ledger_word fifo_fill; /* octets beyond the tail of a message under way from upstream */
	ledger_word fifo_left; /* octets that the front has yet to get of the message at the head */
	/* Upstream's header of the message that fifo_fill counts; type XS_INVALID: it is dropped */
	struct xsd_sockmsg fifo_hdr;
	uint32_t fifo_directory; /* extent that holds the numbers of the fifo's pages, or 0 */

	/* The watch log (watchlog.h) */
	ledger_word log_first; /* segment */
	ledger_word log_tail;  /* position */

	uint32_t tx_page[LEDGER_TX_PAGES];
	struct ledger_tx tx[LEDGER_TX];
	struct ledger_pending pending[LEDGER_PENDING];
	struct ledger_record record;

	_Alignas(16) uint8_t log[LEDGER_LOG_INLINE];

	/*
	 * Where the message ends that fifo_left is about, if it is an event. Any other value: it is
	 * a reply, or an xsproxyd that did not know this word began it.
	 */
	ledger_word fifo_event;
	struct ledger_more more;
};

_Static_assert(sizeof(struct ledger) <= ARENA_PAGE, "a ledger is one page");
_Static_assert(offsetof(struct ledger, version) == 24 && offsetof(struct ledger, record) == 1484 &&
		       offsetof(struct ledger, log) == 1776 &&
		       offsetof(struct ledger, fifo_event) == 3536,
	       "version 1 lies like this");

/* Where the words of one session's commits lie, so that a record can name them. */
struct ledger_place {
	struct ledger *ledger;
	const struct rings *rings;		      /* NULL: a socket's */
	const struct ledgers *ledgers;		      /* where the ledger and its extents lie */
	struct xenstore_domain_interface *front_page; /* the guest's page, or NULL */
	struct xenstore_domain_interface *back_page;  /* the back ring, or NULL */
};

struct commit {
	const struct ledger_place *place;
	uint32_t n;
	struct {
		ledger_word *word;
		uint32_t before;
		uint32_t after;
	} change[LEDGER_COMMIT_WORDS];
};

/**
 * ledger_format() - make a ledger fresh.
 * @ledgers: where it lies
 * @map_gen: the mapping of the domain's page that it belongs to
 */
void ledger_format(struct ledger *ledger, const struct ledgers *ledgers, uint32_t map_gen);

/**
 * ledger_current() - whether a ledger belongs to the mapping of the domain's page that the bridge
 * counts as @map_gen, whatever its version.
 */
bool ledger_current(const struct ledger *ledger, const struct ledgers *ledgers, uint32_t map_gen);

/** ledger_fault() - what the guest did that ended its connection; "" when it is not known. */
const char *ledger_fault(const struct ledger *ledger);

/** ledger_more() - what 0.1 did not have, made that of this mapping; to be written to. */
struct ledger_more *ledger_more(struct ledger *ledger);

/** ledger_blame() - note what the guest did, before the commit that ends its connection. */
void ledger_blame(struct ledger *ledger, const char *fault);

/** ledger_next_epoch() - the epoch that ends all watches and transactions; 0 is none. */
static inline uint32_t ledger_next_epoch(const struct ledger *ledger)
{
	uint32_t next = word_get(&ledger->epoch) + 1;

	return next ? next : 1;
}

/**
 * ledger_must_bury() - whether, before the next epoch, what is dead must get a `live` word of 0:
 * halfway around and at the end, or it would be live again when the epoch has its value again.
 */
static inline bool ledger_must_bury(const struct ledger *ledger)
{
	return !((word_get(&ledger->epoch) + 1) & (UINT32_MAX >> 1));
}

/** commit_begin() - start an empty commit. */
void commit_begin(struct commit *commit, const struct ledger_place *place);

/** commit_set() - have @word become @after; several changes of one word are merged. */
void commit_set(struct commit *commit, ledger_word *word, uint32_t after);

/**
 * commit_move() - like commit_set(), for an index that the other side might overwrite.
 * @before: the value that this step is based on
 */
void commit_move(struct commit *commit, ledger_word *word, uint32_t before, uint32_t after);

/** commit_peek() - a word's value as of the end of the commit. */
uint32_t commit_peek(const struct commit *commit, const ledger_word *word);

/** commit_end() - carry it out. The commit may be begun anew afterwards. */
void commit_end(struct commit *commit);

/**
 * ledger_recover() - complete the commit that a killed process left, if any.
 * @place: as the session will use it; front_page may be NULL only when the page is gone
 *
 * Return: 0; -EPROTONOSUPPORT for a ledger of another version; -ESTALE when a word that the guest
 * cannot write and that was not stored yet has not its old value (xenstored has reset the back
 * ring), or when the record names what is not the session's: it must start afresh.
 */
int ledger_recover(const struct ledger_place *place);

#endif
