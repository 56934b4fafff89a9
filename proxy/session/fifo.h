/* SPDX-License-Identifier: MIT */
/*
 * fifo - replies and events that the front has no room for, or must not see yet.
 *
 * Octets of whole messages, in pages of the session's pool. `fifo_tail` is where the last whole
 * message ends; a message that upstream delivers in pieces grows beyond it (`fifo_fill`). The front
 * takes octets from `fifo_head`; `fifo_left` says how many it has yet to get of a message that it
 * got in part, so `fifo_left == 0` is a message boundary.
 *
 * Used by the session, both ways, and by proxy/toolstack/ to drop events. A page leaves the pool
 * with the first octet in it and returns with the last; their numbers are in one more page, the
 * directory.
 */
#ifndef XSPROXY_PROXY_SESSION_FIFO_H
#define XSPROXY_PROXY_SESSION_FIFO_H

#include "protocol/message.h"
#include "proxy/session/account.h"
#include "proxy/session/ledger.h"

/*
 * Pages that a directory page can name: 4 MiB, enough for the first events of 1,000 long watches.
 */
#define FIFO_PAGES (POOL_PAGE / 4)
#define FIFO_SIZE  (FIFO_PAGES * POOL_PAGE)

/* What it may hold for a front that merely does not read (the caller's business, see down.c) */
#define FIFO_RUNNING (256u * 1024)

/* How many of the waiting events are noted. */
#define FIFO_NOTES 16384u

struct fifo_event;

/* How many messages of a kind */
struct fifo_counts {
	uint32_t events;
	uint32_t replies;
};

struct fifo {
	struct ledger *ledger;
	struct account *account;
	uint32_t first;		    /* the pages in memory: number (position / POOL_PAGE) ... */
	uint32_t pages;		    /* ... and count */
	struct fifo_event *events;  /* notes of the waiting events; kept only while quiet */
	bool noting;		    /* not all are noted yet: fifo_note_some() goes on ... */
	uint32_t note_head;	    /* ... unless the head has moved ... */
	uint32_t note_off;	    /* ... from there */
	struct fifo_counts waiting; /* for the front, the one that it got in part included */
	bool part_is_event;	    /* that one is no reply */
};

/** fifo_init() - over a fresh or recovered ledger. */
void fifo_init(struct fifo *fifo, struct ledger *ledger, struct account *account);

/**
 * fifo_recover() - claim the pages of a recovered ledger, and count what is in them.
 * @giants: whether a message may be longer than MESSAGE_MAX, as to sockets
 *
 * Return: 0, or a negative errno: -EINVAL when they hold no messages.
 */
int fifo_recover(struct fifo *fifo, bool giants);

/** fifo_fini() - give every page back. */
void fifo_fini(struct fifo *fifo);

/** fifo_used() - octets of whole messages that wait. */
static inline uint32_t fifo_used(const struct fifo *fifo)
{
	return word_get(&fifo->ledger->fifo_tail) - word_get(&fifo->ledger->fifo_head);
}

/** fifo_room() - octets that can still be written. */
uint32_t fifo_room(const struct fifo *fifo);

/**
 * fifo_reserve() - make sure that @len octets can be written @off octets beyond fifo_tail.
 *
 * Return: 0; -ENOBUFS when the fifo is full; -ENOMEM when the pool is empty.
 */
int fifo_reserve(struct fifo *fifo, uint32_t off, uint32_t len);

/** fifo_reserve_before() - the same at fifo_tail, if there is room for @messages behind it, too. */
int fifo_reserve_before(struct fifo *fifo, uint32_t len, uint32_t messages);

/**
 * fifo_write() - copy octets to a reserved place @off octets beyond fifo_tail; they count once a
 * commit moves fifo_tail or fifo_fill over them.
 */
void fifo_write(struct fifo *fifo, uint32_t off, const void *src, uint32_t len);

/** fifo_read() - copy @len octets that start @off octets after the head. */
void fifo_read(const struct fifo *fifo, uint32_t off, void *dst, uint32_t len);

/**
 * fifo_next() - begin, or go on, with the message at the head; there must be one.
 *
 * Return: the octets of it that the front has yet to get.
 */
uint32_t fifo_next(struct fifo *fifo);

/**
 * fifo_take() - have @commit take @len octets of the message at the head, after fifo_next(): at
 * least one, not more than that returned.
 */
void fifo_take(struct fifo *fifo, struct commit *commit, uint32_t len);

/**
 * fifo_sent() - octets that the front has got of the message that it got in part; 0 if there is
 * none, or if it was an older xsproxyd that began it.
 */
uint32_t fifo_sent(const struct fifo *fifo);

/** fifo_count() - a message with this header is being written by fifo_write() alone. */
void fifo_count(struct fifo *fifo, const struct xsd_sockmsg *hdr);

/** fifo_trim() - give back the pages that a commit has moved the head over. */
void fifo_trim(struct fifo *fifo);

/** fifo_append() - write a whole message to its reserved place; @commit moves the tail over it. */
void fifo_append(struct fifo *fifo, struct commit *commit, const struct message *msg);

/**
 * fifo_load() - put into a fresh fifo what another one had for the front.
 * @octets: @len of them: @rest of a message that the front got in part, then whole ones
 * @giants: as fifo_recover()
 *
 * What the one in part is, and how long, nobody knows: it passes for a reply, and fifo_sent() is 0.
 *
 * Return: 0; or fifo_reserve()'s; or -EINVAL when they are no messages. Then @commit has nothing of
 * it, and the fifo is of no use but for fifo_fini().
 */
int fifo_load(struct fifo *fifo, struct commit *commit, const void *octets, uint32_t len,
	      uint32_t rest, bool giants);

/**
 * fifo_clear() - have @commit drop all whole messages, even one that the front got in part: it has
 * reset its ring. Call fifo_trim() after the commit.
 */
void fifo_clear(struct fifo *fifo, struct commit *commit);

/**
 * fifo_has_event() - whether the very same event waits already; if not, it is noted, for the
 * caller is about to append it.
 *
 * Notes exist from the first call until fifo_forget_events(). The answer is "no" without memory,
 * and of what came when there were FIFO_NOTES.
 */
bool fifo_has_event(struct fifo *fifo, const struct message *msg);

/** fifo_note_events() - have all events that wait noted anew: after a restart, or fifo_filter(). */
void fifo_note_events(struct fifo *fifo);

/**
 * fifo_note_some() - do some of what fifo_note_events() has begun; all anew if the head has moved.
 *
 * Return: whether all is done; fifo_has_event() is to be asked only then.
 */
bool fifo_note_some(struct fifo *fifo);

/** fifo_forget_events() - drop the notes: the front takes events again. */
void fifo_forget_events(struct fifo *fifo);

/**
 * fifo_filter() - keep only the messages that @keep says; with a commit of its own.
 *
 * No message may be under way from upstream (fifo_fill 0). The rest of one that the front got in
 * part stays, whatever it is.
 *
 * Return: 0, or -ENOMEM (nothing has changed).
 */
int fifo_filter(struct fifo *fifo, const struct ledger_place *place,
		bool (*keep)(void *arg, const struct message *msg), void *arg);

#endif
