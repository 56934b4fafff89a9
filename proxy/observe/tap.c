// SPDX-License-Identifier: MIT
#include "proxy/observe/tap.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "config/config.h"
#include "protocol/clock.h"
#include "proxy/observe/trace.h"
#include "proxy/util.h"

#define MS	  1000000u /* ns */
#define DONE_MAX  32	   /* replies of one turn, and more */
#define ASKED_FEW 4	   /* requests under way of a guest that does not pipeline */

/* A request under way, by its slot in the ledger. */
struct asked {
	uint64_t begin; /* when it was whole; 0: before this xsproxyd */
	uint64_t sent;	/* when it was on its way to upstream; 0: not yet, or it is ours */
	uint32_t number;
	uint16_t traces; /* those that saw it */
	bool ours;
	uint8_t op; /* stats_op() */
};

_Static_assert(STATS_OPS <= UINT8_MAX, "struct asked has no room for more");

struct tap {
	LIST_ENTRY(tap) list;
	struct taps *taps;
	struct log_source source;
	bool socket;
	struct stats stats;
	struct flight flight;
	uint32_t numbers;	       /* of requests */
	uint32_t traces_epoch, traces; /* see traces_of() */

	uint32_t fresh; /* slots that were taken in this turn */

	uint64_t full_since, unread_since; /* 0: it is not */
	bool said_full;			   /* the log has it that it does not read */
	struct asked at_once;		   /* the request of TAP_NO_SLOT */
	struct asked few[ASKED_FEW];
	struct asked *more; /* of the other slots, once there was one */
};

/* A request that was answered, and when it was whole. */
struct done {
	struct tap *tap;
	uint64_t begin;
	uint64_t upstream;
};

struct taps {
	struct traces *traces; /* those who asked to see it */
	const struct config *config;
	uint64_t malformed[STATS_OPS];
	uint64_t round;		    /* when what this round finds was there; 0: not needed so far */
	struct done done[DONE_MAX]; /* since the last turn that moved something */
	uint32_t nr_done;
	struct tap_list {
		LIST_HEAD(, tap) list;
		struct stats gone; /* what those did that are gone */
	} rings, clients;
};

int taps_new(struct taps **out, struct traces *traces, const struct config *config)
{
	struct taps *taps = calloc(1, sizeof(*taps));

	if (!taps)
		return -ENOMEM;
	taps->traces = traces;
	taps->config = config;
	*out = taps;
	return 0;
}

struct taps *taps_free(struct taps *taps)
{
	free(taps);
	return NULL;
}

void taps_round_over(struct taps *taps)
{
	if (taps)
		taps->round = 0;
}

static void sum(const struct tap_list *taps, struct stats *total)
{
	const struct tap *tap;
	struct stats stats;

	stats_merge(total, &taps->gone);
	LIST_FOREACH(tap, &taps->list, list) {
		tap_stats(tap, &stats);
		stats_merge(total, &stats);
	}
}

void taps_total(const struct taps *taps, struct stats *total)
{
	taps_clients(taps, total);
	sum(&taps->rings, total);
}

void taps_clients(const struct taps *taps, struct stats *total)
{
	*total = (struct stats){ 0 };
	sum(&taps->clients, total);
}

const uint64_t *taps_malformed(const struct taps *taps)
{
	return taps->malformed;
}

static void trim(const struct tap_list *taps, uint32_t max)
{
	struct tap *tap;

	LIST_FOREACH(tap, &taps->list, list)
		flight_trim(&tap->flight, max);
}

void taps_trim(struct taps *taps)
{
	trim(&taps->rings, taps->config->flight_messages);
	trim(&taps->clients, taps->config->flight_messages);
}

static struct tap_list *list_of(const struct tap *tap)
{
	return tap->socket ? &tap->taps->clients : &tap->taps->rings;
}

struct tap *tap_new(struct taps *taps, const struct log_source *source, bool socket)
{
	struct tap *tap = taps ? calloc(1, sizeof(*tap)) : NULL;

	if (!tap)
		return NULL;
	tap->taps = taps;
	tap->source = *source;
	tap->socket = socket;
	tap->stats.sessions = 1;
	LIST_INSERT_HEAD(&list_of(tap)->list, tap, list);
	return tap;
}

static uint64_t round_time(const struct tap *tap)
{
	struct taps *taps = tap->taps;

	if (!taps->round)
		taps->round = clock_monotonic();
	return taps->round;
}

/* What was answered had been delivered at @end. */
static void settle_done(struct taps *taps, uint64_t end)
{
	for (uint32_t i = 0; i < taps->nr_done; i++) {
		const struct done *done = &taps->done[i];

		stats_took(&done->tap->stats, end - done->begin, done->upstream);
	}
	taps->nr_done = 0;
}

struct tap *tap_free(struct tap *tap)
{
	struct stats last;

	if (!tap)
		return NULL;
	settle_done(tap->taps, round_time(tap));
	tap_stats(tap, &last);
	stats_merge(&list_of(tap)->gone, &last);
	LIST_REMOVE(tap, list);
	flight_fini(&tap->flight);
	free(tap->more);
	free(tap);
	return NULL;
}

void tap_stats(const struct tap *tap, struct stats *stats)
{
	uint64_t now;

	if (!tap) {
		*stats = (struct stats){ 0 };
		return;
	}
	*stats = tap->stats;
	/* Not later than what the round will count by, or they would step back. */
	now = round_time(tap);
	if (tap->full_since)
		stats->full += now - tap->full_since;
	if (tap->unread_since)
		stats->unread += now - tap->unread_since;
}

/* What is known of a request under way, if anything. */
static const struct asked *asked_now(const struct tap *tap, int slot)
{
	if (slot < ASKED_FEW)
		return &tap->few[slot];
	return tap->more ? &tap->more[slot - ASKED_FEW] : NULL;
}

const char *tap_asked(const struct tap *tap, int slot, char text[WORDING_FIRST_MAX])
{
	const struct asked *asked = tap ? asked_now(tap, slot) : NULL;
	struct flight_frame frame;
	uint32_t kept;

	*text = '\0';
	if (!asked || !asked->begin || !flight_find(&tap->flight, asked->number, &frame))
		return text;
	kept = frame.frame.size - (uint32_t)offsetof(struct flight_frame, payload);
	return wording_first(text, frame.payload, kept);
}

uint64_t tap_full(const struct tap *tap)
{
	return tap && tap->full_since ? clock_monotonic() - tap->full_since : 0;
}

uint64_t tap_oldest(const struct tap *tap, uint32_t slots)
{
	uint64_t now = clock_monotonic(), oldest = now;

	for (; tap && slots; slots &= slots - 1) {
		const struct asked *asked = asked_now(tap, __builtin_ctz(slots));

		if (asked && asked->begin && asked->begin < oldest)
			oldest = asked->begin;
	}
	return now - oldest;
}

const struct flight *tap_flight(const struct tap *tap)
{
	return tap ? &tap->flight : NULL;
}

/* Without memory for it, it is @none's. */
static struct asked *asked_at(struct tap *tap, int slot, struct asked *none)
{
	if (slot == TAP_NO_SLOT)
		return &tap->at_once;
	if (slot < ASKED_FEW)
		return &tap->few[slot];
	if (!tap->more)
		tap->more = calloc(TAP_SLOTS - ASKED_FEW, sizeof(*tap->more));
	return tap->more ? &tap->more[slot - ASKED_FEW] : none;
}

/* What was taken in this turn was on its way to upstream at @end. */
static void settle_sent(struct tap *tap, uint64_t end)
{
	for (; tap->fresh; tap->fresh &= tap->fresh - 1) {
		struct asked none = { .begin = 0 };
		struct asked *asked = asked_at(tap, __builtin_ctz(tap->fresh), &none);

		if (!asked->ours)
			asked->sent = end;
	}
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

/* Count the time in which something @is so. */
static void stopwatch(struct tap *tap, bool is, uint64_t *since, uint64_t *counter)
{
	if (is == (*since != 0))
		return;
	if (is) {
		*since = round_time(tap);
		return;
	}
	*counter += round_time(tap) - *since;
	*since = 0;
}

/* What [log] slow is, in ns. */
static uint64_t slow(const struct tap *tap)
{
	return (uint64_t)tap->taps->config->slow_ms * MS;
}

/* A toolstack that has forgotten its events; a guest may be paused, and harms nobody. */
static void look_whether_read(struct tap *tap)
{
	uint64_t full;

	if (!tap->full_since)
		tap->said_full = false;
	if (!tap->full_since || !tap->socket || tap->said_full)
		return;
	full = round_time(tap) - tap->full_since;
	if (full < slow(tap))
		return;
	tap->said_full = true;
	log_limited(&tap->source, LOG_WARNING,
		    "it has not read what is sent to it for %.1f s, and more waits; see xsproxyctl "
		    "clients",
		    seconds(full));
}

void tap_turn_moved(struct tap *tap, bool full, bool unread)
{
	struct taps *taps;
	uint64_t now;

	if (!tap)
		return;
	taps = tap->taps;
	if (tap->fresh || taps->nr_done) {
		now = clock_monotonic();
		settle_sent(tap, now);
		settle_done(taps, now);
	}
	stopwatch(tap, full, &tap->full_since, &tap->stats.full);
	stopwatch(tap, unread, &tap->unread_since, &tap->stats.unread);
	look_whether_read(tap);
}

/* --- messages */

static void show(struct tap *tap, struct frame *frame, struct asked *asked,
		 const struct xsd_sockmsg *hdr, const void *payload, uint32_t len)
{
	struct traces *traces = tap->taps->traces;
	uint32_t mask;

	frame->domid = tap->source.domid;
	frame->session = tap->source.session;
	frame->time = round_time(tap);
	if (tap->socket)
		frame->flags |= FRAME_CLIENT;
	flight_add(&tap->flight, frame, hdr, payload, len, tap->taps->config->flight_messages);
	if (!traces)
		return;
	if (tap->traces_epoch != traces_epoch(traces)) {
		tap->traces_epoch = traces_epoch(traces);
		tap->traces = traces_of(traces, frame->domid, frame->session);
	}
	if (!tap->traces)
		return;
	mask = tap->traces;
	if (frame->kind == FRAME_REPLY && asked->number)
		mask &= asked->traces;
	mask = traces_message(traces, mask, frame, hdr, payload, len);
	if (frame->kind == FRAME_REQUEST)
		asked->traces = (uint16_t)mask;
}

void tap_request(struct tap *tap, int slot, bool ours, const struct message *msg)
{
	struct frame frame = { .kind = FRAME_REQUEST, .flags = ours ? FRAME_OURS : 0 };
	struct asked none, *asked;

	if (!tap)
		return;
	asked = asked_at(tap, slot, &none);
	tap->numbers += 1 + (tap->numbers == UINT32_MAX);
	*asked = (struct asked){ .begin = round_time(tap), .number = tap->numbers, .ours = ours };
	frame.number = asked->number;
	if (slot != TAP_NO_SLOT)
		tap->fresh |= 1u << slot;
	asked->op = (uint8_t)stats_request(&tap->stats, msg->hdr.type, message_size(&msg->hdr));
	show(tap, &frame, asked, &msg->hdr, msg->payload, msg->hdr.len);
}

/* Whoever waits for its answer may be a boot, or a person. */
static void say_slow(struct tap *tap, int slot, uint32_t op, const struct frame *reply)
{
	const char *name = stats_op_name(op);
	char text[WORDING_FIRST_MAX];

	tap_asked(tap, slot, text);
	log_limited(&tap->source, LOG_WARNING, "%s%s%s took %.1f s, %.1f s of these in xenstored",
		    name ? name : "a request", *text ? " of " : "", text, seconds(reply->took),
		    seconds(reply->upstream));
}

/* Those that are ours wait for a guest, or for another xenstored, and say so themselves. */
static bool is_slow(const struct tap *tap, const struct asked *asked, const struct frame *reply)
{
	return !asked->ours && reply->took >= slow(tap);
}

/* How long it took is known when it has been delivered. */
static void answered(struct tap *tap, uint64_t begin, uint64_t upstream)
{
	struct taps *taps = tap->taps;

	if (taps->nr_done == DONE_MAX)
		settle_done(taps, taps->round);
	taps->done[taps->nr_done++] =
		(struct done){ .tap = tap, .begin = begin, .upstream = upstream };
}

void tap_reply(struct tap *tap, int slot, const struct xsd_sockmsg *hdr, const void *payload,
	       uint32_t len)
{
	struct frame frame = { .kind = FRAME_REPLY };
	struct asked none = { .begin = 0 }, *asked;
	int err = 0;

	if (!tap)
		return;
	asked = asked_at(tap, slot, &none);
	if (asked->begin) {
		frame.took = round_time(tap) - asked->begin;
		frame.upstream = asked->sent ? round_time(tap) - asked->sent : 0;
		answered(tap, asked->begin, frame.upstream);
		if (is_slow(tap, asked, &frame))
			say_slow(tap, slot, asked->op, &frame);
	}
	if (asked->ours)
		frame.flags |= FRAME_OURS;
	frame.number = asked->number;
	if (hdr->type == XS_ERROR)
		err = message_error_parse(payload, len);
	stats_reply(&tap->stats, err, message_size(hdr));
	show(tap, &frame, asked, hdr, payload, len);
	*asked = (struct asked){ .begin = 0 };
	if (slot != TAP_NO_SLOT)
		tap->fresh &= ~(1u << slot);
}

void tap_event(struct tap *tap, const struct message *msg)
{
	struct frame frame = { .kind = FRAME_EVENT };

	if (!tap)
		return;
	tap->stats.events++;
	tap->stats.octets_out += message_size(&msg->hdr);
	show(tap, &frame, NULL, &msg->hdr, msg->payload, msg->hdr.len);
}

void tap_malformed(struct tap *tap, uint32_t type)
{
	if (tap)
		tap->taps->malformed[stats_op(type)]++;
}

/* --- the log */

struct dump {
	const struct log_source *source;
	uint64_t now;
};

static void dump_frame(void *arg, const struct flight_frame *shown)
{
	static const char *const kinds[] = {
		[FRAME_REQUEST] = "request", [FRAME_REPLY] = "reply", [FRAME_EVENT] = "event"
	};
	uint32_t kept = shown->frame.size - (uint32_t)offsetof(struct flight_frame, payload);
	const struct xsd_sockmsg *hdr = &shown->hdr;
	const struct dump *dump = arg;
	char text[WORDING_OCTET * FLIGHT_PAYLOAD + 1];

	wording_all(text, shown->payload, kept);
	log_request(dump->source, LOG_NOTICE, message_name(hdr->type),
		    "%.3f s before: %s %s id %u tx %u: %s%s",
		    seconds(dump->now - shown->frame.time), kinds[shown->frame.kind],
		    message_name(hdr->type), hdr->req_id, hdr->tx_id, text,
		    kept < hdr->len ? "..." : "");
}

void tap_dump(const struct tap *tap)
{
	struct dump dump = { .now = clock_monotonic() };

	if (!tap)
		return;
	dump.source = &tap->source;
	flight_each(&tap->flight, tap->source.domid, tap->source.session, dump_frame, &dump);
}
