/* SPDX-License-Identifier: MIT */
/*
 * session_world - a guest and a xenstored that live at random around one session, and know what
 * each of them must see: the very octets, in order, whatever happens to the process in between.
 *
 * The guest writes and reads in pieces and sends events as Linux does (as few as it may), xenstored
 * as the daemons do. Each side acts only while it has a reason of its own or was woken, and the
 * session runs only when it was woken or asked for it, so a lost wake-up ends in a standstill,
 * which is a failure.
 */
#ifndef XSPROXY_TESTS_UNIT_SESSION_WORLD_H
#define XSPROXY_TESTS_UNIT_SESSION_WORLD_H

#include <stdio.h>

#include "tests/unit/session_rig.h"

#define WORLD_TX      6	 /* transactions that the guest has open at once */
#define WORLD_WATCHES 24 /* path and token pairs */

/* Octets on their way. */
struct stream {
	uint8_t *octets;
	size_t len, at, room;
	uint64_t total; /* ever added */
};

/* A transaction that the guest will know of once it has read so far. */
struct opened {
	uint64_t from;
	uint32_t id;
};

/* A request that the guest has sent and xenstored has not answered. */
struct asked {
	struct xsd_sockmsg hdr; /* the guest's */
	uint32_t id;		/* what xenstored got; 0: not there yet */
	uint32_t key;		/* WATCH, UNWATCH */
	uint8_t *payload;
};

struct world {
	struct rig rig;
	uint32_t seed;
	bool guest_awake, stored_awake, proxy_awake, dead;
	bool closing; /* the guest has no more wishes, everything is to come to its end */
	bool quiet;

	/* the guest: what it writes, what it must read */
	struct stream guest_out, guest_in;
	uint32_t next_req, tx[WORLD_TX], tx_count;
	uint32_t starts; /* under way */
	struct opened opened[WORLD_TX];
	uint32_t opened_count;

	/* xenstored: requests in order, its half-read one, what it writes */
	struct asked queue[4096];
	uint32_t queue_head, queue_got, queue_tail;
	struct message half;
	uint32_t half_len;
	struct stream stored_out;
	uint32_t next_tx, next_event;
	uint32_t watch[WORLD_WATCHES], watch_count; /* keys, in order of registration */
	uint32_t open;				    /* transactions */
};

/* --- chance; our own, so that every machine plays the same game */

static inline uint32_t chance(struct world *w, uint32_t n)
{
	w->seed = w->seed * 1664525 + 1013904223;
	return (w->seed >> 8) % n;
}

/* Small mostly, and now and then as long as can be. */
static inline uint32_t chance_len(struct world *w)
{
	switch (chance(w, 12)) {
	case 0:
		return chance(w, XENSTORE_PAYLOAD_MAX + 1);
	case 1:
		return 1024 - MESSAGE_HEADER - 2 + chance(w, 5); /* around a ring's size */
	case 2:
		return 0;
	default:
		return 1 + chance(w, 80);
	}
}

static inline uint32_t chance_piece(struct world *w)
{
	static const uint32_t max[] = { 4, 20, 200, 2000 };

	return 1 + chance(w, max[chance(w, 4)]);
}

/* --- streams */

static inline void stream_add(struct stream *stream, const void *octets, size_t len)
{
	if (!len)
		return;
	if (stream->at == stream->len)
		stream->at = stream->len = 0;
	if (stream->len + len > stream->room) {
		stream->room = 2 * (stream->len + len);
		stream->octets = realloc(stream->octets, stream->room);
		assert_non_null(stream->octets);
	}
	memcpy(stream->octets + stream->len, octets, len);
	stream->len += len;
	stream->total += len;
}

static inline size_t stream_left(const struct stream *stream)
{
	return stream->len - stream->at;
}

/* --- the guest */

/* A fifth of them is larger than a ring. */
static inline uint32_t watch_payload(char *to, uint32_t key)
{
	uint32_t n = (uint32_t)sprintf(to, "%sw%u", key % 3 ? "" : "/local/domain/7/", key) + 1;
	uint32_t token = key % 5 < 4 ? key % 5 * 40 : 1300;

	memset(to + n, 't', token);
	n += token;
	to[n++] = 0;
	return n;
}

/* What it has read tells it of transactions. */
static inline void guest_learns(struct world *w)
{
	while (w->opened_count &&
	       w->opened[0].from <= w->guest_in.total - stream_left(&w->guest_in)) {
		w->tx[w->tx_count++] = w->opened[0].id;
		w->starts--;
		memmove(w->opened, w->opened + 1, --w->opened_count * sizeof(w->opened[0]));
	}
}

static inline void guest_wishes(struct world *w)
{
	static const uint32_t types[] = {
		XS_READ,  XS_READ,  XS_WRITE,	       XS_DIRECTORY,
		XS_WATCH, XS_WATCH, XS_UNWATCH,	       XS_TRANSACTION_START,
		XS_RM,	  XS_WRITE, XS_TRANSACTION_END
	};
	struct asked *asked = &w->queue[w->queue_tail % 4096];
	uint8_t payload[XENSTORE_PAYLOAD_MAX];
	uint32_t type = types[chance(w, 11)], len = chance_len(w), tx = 0, tail = 0, i;

	if (w->queue_tail - w->queue_head == 4096)
		return;
	for (i = 0; i < len; i++)
		payload[i] = (uint8_t)(w->next_req * 5 + i * 3 + (i >> 8));
	if (w->tx_count && chance(w, 2))
		tx = w->tx[chance(w, w->tx_count)];
	if (type == XS_WATCH || type == XS_UNWATCH) {
		asked->key = chance(w, WORLD_WATCHES);
		len = watch_payload((char *)payload, asked->key);
		/* What xenstored must not see: it is one request with it and without. */
		if (!chance(w, 4))
			tail = chance(w, XENSTORE_PAYLOAD_MAX + 1 - len);
		memset(payload + len, 'j', tail);
	} else if (type == XS_READ || type == XS_DIRECTORY || type == XS_RM) {
		/* One string and nothing else, or xenstored never gets it. */
		len += !len;
		for (i = 0; i < len; i++)
			payload[i] |= 1;
		payload[len - 1] = 0;
	} else if (type == XS_TRANSACTION_START) {
		tx = 0;
		if (w->tx_count + w->starts == WORLD_TX)
			return;
		w->starts++;
	} else if (type == XS_TRANSACTION_END) {
		if (!w->tx_count)
			return;
		i = chance(w, w->tx_count);
		tx = w->tx[i];
		w->tx[i] = w->tx[--w->tx_count];
		len = 2;
		memcpy(payload, chance(w, 2) ? "T" : "F", 2);
	}
	asked->hdr = (struct xsd_sockmsg){ type, chance(w, 3) ? w->next_req : 9, tx, len };
	asked->id = 0;
	asked->payload = malloc(len + 1);
	memcpy(asked->payload, payload, len);
	asked->hdr.len += tail;
	stream_add(&w->guest_out, &asked->hdr, sizeof(asked->hdr));
	stream_add(&w->guest_out, payload, len + tail);
	asked->hdr.len = len;
	w->queue_tail++;
	w->next_req++;
}

/* Return: whether it did anything. */
static inline bool guest_writes(struct world *w)
{
	const struct ring *ring = &w->rig.guest_out;
	uint32_t before = atomic_load(ring->prod), n = chance_piece(w);

	if (n > stream_left(&w->guest_out))
		n = (uint32_t)stream_left(&w->guest_out);
	if (!n)
		return false;
	n = queue_put(ring, w->guest_out.octets + w->guest_out.at, n);
	w->guest_out.at += n;
	/* As xb_write() does: only if all that was there before has been taken. */
	if (n && before == atomic_load(ring->cons))
		w->proxy_awake = true;
	return n;
}

static inline bool guest_reads(struct world *w)
{
	const struct ring *ring = &w->rig.guest_in;
	uint32_t before = queue_used(ring), n = chance_piece(w);
	uint8_t octets[XENSTORE_RING_SIZE];

	n = queue_get(ring, octets, n < sizeof(octets) ? n : sizeof(octets));
	if (n > stream_left(&w->guest_in))
		fail_msg("the guest got octets that nobody sent");
	if (n)
		assert_memory_equal(octets, w->guest_in.octets + w->guest_in.at, n);
	w->guest_in.at += n;
	guest_learns(w);
	/* As xb_read() does: only if the ring was full. */
	if (n && before == XENSTORE_RING_SIZE)
		w->proxy_awake = true;
	return n;
}

static inline void guest_acts(struct world *w)
{
	if (!w->closing && stream_left(&w->guest_out) < 2000 && chance(w, 3))
		guest_wishes(w);
	if (chance(w, 2) ? guest_writes(w) : guest_reads(w))
		return;
	if (!guest_writes(w) && !guest_reads(w))
		w->guest_awake = false;
}

/* --- xenstored */

static inline void stored_says(struct world *w, const struct asked *asked, uint32_t type,
			       const void *payload, uint32_t len)
{
	struct xsd_sockmsg hdr = { type, asked->id, asked->hdr.tx_id, len };

	stream_add(&w->stored_out, &hdr, sizeof(hdr));
	stream_add(&w->stored_out, payload, len);
	hdr.req_id = asked->hdr.req_id;
	stream_add(&w->guest_in, &hdr, sizeof(hdr));
	stream_add(&w->guest_in, payload, len);
}

static inline void stored_says_text(struct world *w, const struct asked *asked, const char *text)
{
	stored_says(w, asked, text[0] == 'E' ? XS_ERROR : asked->hdr.type, text,
		    (uint32_t)strlen(text) + 1);
}

static inline void stored_fires(struct world *w)
{
	struct xsd_sockmsg hdr = { .type = XS_WATCH_EVENT };
	uint8_t payload[XENSTORE_PAYLOAD_MAX];

	/* Each one different, so that none may be left out. */
	hdr.len = (uint32_t)sprintf((char *)payload, "event/%u", w->next_event++) + 1;
	if (!chance(w, 10)) {
		memset(payload + hdr.len, 'e', 2000);
		hdr.len += 1 + chance(w, 2000);
	}
	stream_add(&w->stored_out, &hdr, sizeof(hdr));
	stream_add(&w->stored_out, payload, hdr.len);
	stream_add(&w->guest_in, &hdr, sizeof(hdr));
	stream_add(&w->guest_in, payload, hdr.len);
}

static inline bool stored_watches(struct world *w, const struct asked *asked)
{
	uint32_t i = 0;

	while (i < w->watch_count && w->watch[i] != asked->key)
		i++;
	if ((asked->hdr.type == XS_WATCH) == (i < w->watch_count))
		return false;
	if (asked->hdr.type == XS_WATCH)
		w->watch[w->watch_count++] = asked->key;
	else
		memmove(&w->watch[i], &w->watch[i + 1],
			(--w->watch_count - i) * sizeof(w->watch[0]));
	return true;
}

/* Answer the oldest request. */
static inline void stored_answers(struct world *w)
{
	struct asked *asked = &w->queue[w->queue_head++ % 4096];
	uint8_t payload[XENSTORE_PAYLOAD_MAX];
	uint32_t len;
	char text[16];

	switch (asked->hdr.type) {
	case XS_WATCH:
		stored_says_text(w, asked, stored_watches(w, asked) ? "OK" : "EEXIST");
		break;
	case XS_UNWATCH:
		stored_says_text(w, asked, stored_watches(w, asked) ? "OK" : "ENOENT");
		break;
	case XS_TRANSACTION_START:
		sprintf(text, "%u", ++w->next_tx);
		stored_says_text(w, asked, text);
		w->open++;
		w->opened[w->opened_count++] = (struct opened){ w->guest_in.total, w->next_tx };
		break;
	case XS_TRANSACTION_END:
		stored_says_text(w, asked, chance(w, 3) ? "OK" : "EAGAIN");
		w->open--;
		break;
	default:
		len = chance_len(w);
		for (uint32_t i = 0; i < len; i++)
			payload[i] = (uint8_t)(asked->id + i * 11 + (i >> 8));
		stored_says(w, asked, asked->hdr.type, payload, len);
	}
	free(asked->payload);
}

/* A whole request is there: it must be the next one that the guest has sent. */
static inline void stored_receives(struct world *w)
{
	struct asked *asked = &w->queue[w->queue_got % 4096];
	const struct message *msg = &w->half;

	if (w->queue_got == w->queue_tail)
		fail_msg("xenstored got a request that nobody sent");
	assert_int_equal(msg->hdr.type, asked->hdr.type);
	assert_int_equal(msg->hdr.len, asked->hdr.len);
	assert_memory_equal(msg->payload, asked->payload, msg->hdr.len);
	assert_true(msg->hdr.req_id > 0 && msg->hdr.req_id < 1u << 30);
	for (uint32_t i = w->queue_head; i < w->queue_got; i++)
		assert_int_not_equal(w->queue[i % 4096].id, msg->hdr.req_id);
	asked->id = msg->hdr.req_id;
	assert_int_equal(msg->hdr.tx_id, asked->hdr.tx_id);
	w->queue_got++;
	w->half_len = 0;
}

static inline bool stored_reads(struct world *w)
{
	uint32_t want = w->half_len < MESSAGE_HEADER ? MESSAGE_HEADER : message_size(&w->half.hdr);
	uint32_t n = chance_piece(w);

	n = n < want - w->half_len ? n : want - w->half_len;
	n = queue_get(&w->rig.stored_in, (uint8_t *)&w->half + w->half_len, n);
	w->half_len += n;
	if (n)
		w->proxy_awake = true;
	if (w->half_len >= MESSAGE_HEADER)
		assert_true(w->half.hdr.len <= XENSTORE_PAYLOAD_MAX);
	if (w->half_len >= MESSAGE_HEADER && w->half_len == message_size(&w->half.hdr))
		stored_receives(w);
	return n;
}

static inline bool stored_writes(struct world *w)
{
	uint32_t n = chance_piece(w);

	if (n > stream_left(&w->stored_out))
		n = (uint32_t)stream_left(&w->stored_out);
	if (!n)
		return false;
	n = queue_put(&w->rig.stored_out, w->stored_out.octets + w->stored_out.at, n);
	w->stored_out.at += n;
	if (n)
		w->proxy_awake = true;
	return n;
}

static inline void stored_acts(struct world *w)
{
	bool did = false;

	if (!w->closing && stream_left(&w->stored_out) < 3000 && !chance(w, 4))
		stored_fires(w);
	if (w->queue_head < w->queue_got && (chance(w, 2) || w->closing)) {
		stored_answers(w);
		did = true;
	}
	did |= chance(w, 2) ? stored_writes(w) : stored_reads(w);
	if (!did && !stored_writes(w) && !stored_reads(w) && w->queue_head == w->queue_got)
		w->stored_awake = false;
}

/* --- the world */

static inline void world_open(struct world *w, uint32_t seed)
{
	memset(w, 0, sizeof(*w));
	w->seed = seed;
	rig_open(&w->rig, 7, 0u - chance(w, 20000));
	w->guest_awake = w->stored_awake = w->proxy_awake = true;
}

/* What changes hands wakes; so does the session's own wish for another turn. */
static inline void world_notices(struct world *w)
{
	w->guest_awake |= w->rig.front_kicks > 0;
	w->stored_awake |= w->rig.back_kicks > 0;
	w->rig.front_kicks = w->rig.back_kicks = 0;
	w->proxy_awake |= w->rig.s && w->rig.s->task.queued;
}

/* Both sides, as they are while nobody serves them as well. */
static inline void world_acts(struct world *w)
{
	bool guest = w->guest_awake || (!w->closing && !chance(w, 8));
	bool stored = w->stored_awake || (!w->closing && !chance(w, 8));

	if (guest && (!stored || chance(w, 2)))
		guest_acts(w);
	else if (stored)
		stored_acts(w);
}

/* A session that was taken up runs once, and every bell is rung, both ways. */
static inline void world_wakes(struct world *w)
{
	w->guest_awake = w->stored_awake = w->proxy_awake = true;
}

static inline bool world_asleep(const struct world *w)
{
	return !w->guest_awake && !w->stored_awake && !w->proxy_awake;
}

/* Nothing is on its way any more: all that was sent has arrived, and what is known is right. */
static inline void world_assert_end(struct world *w)
{
	const struct watch *watch = watches_from(&w->rig.s->watches, 0);

	if (stream_left(&w->guest_out) || stream_left(&w->guest_in) ||
	    stream_left(&w->stored_out) || w->queue_head != w->queue_tail)
		fail_msg("standstill: the guest has %zu to write and %zu to read, xenstored %zu to "
			 "write, %u of %u requests are answered",
			 stream_left(&w->guest_out), stream_left(&w->guest_in),
			 stream_left(&w->stored_out), w->queue_head, w->queue_tail);
	assert_true(session_drained(w->rig.s) && !fifo_used(&w->rig.s->fifo));
	assert_int_equal(w->rig.s->fifo.waiting.events | w->rig.s->fifo.waiting.replies, 0);
	assert_int_equal(w->rig.s->watches.count, w->watch_count);
	for (uint32_t i = 0; i < w->watch_count; i++, watch = watch_next(watch)) {
		char payload[XENSTORE_PAYLOAD_MAX];
		uint32_t len;

		assert_memory_equal(watch_text(&w->rig.s->watches, watch, &len), payload,
				    watch_payload(payload, w->watch[i]));
	}
	assert_int_equal(transaction_count(&w->rig.s->transactions), w->open);
}

/* Standing still, when the session is at a boundary; the guest's page must not change then. */
static inline void world_maybe_quiet(struct world *w)
{
	if (!w->quiet && session_drained(w->rig.s) && !chance(w, 4)) {
		session_quiet(w->rig.s);
		w->quiet = true;
	} else if (w->quiet && (w->closing || !chance(w, 40))) {
		session_resume(w->rig.s);
		w->quiet = false;
	}
}

static inline void world_close(struct world *w)
{
	rig_close(&w->rig);
	while (w->queue_head != w->queue_tail)
		free(w->queue[w->queue_head++ % 4096].payload);
	free(w->guest_out.octets);
	free(w->guest_in.octets);
	free(w->stored_out.octets);
}

#endif
