// SPDX-License-Identifier: MIT
#include "proxy/session/hand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "link/conns.h"
#include "protocol/clock.h"
#include "protocol/form.h"
#include "proxy/session/session.h"
#include "proxy/util.h"

#define DEPTH_MAX "999999999" /* form.h takes no more digits */

/* As up.c takes octets of one that is not whole yet. */
static int request_in(struct session *s, const uint8_t *octets, uint32_t len)
{
	struct ledger *ledger = s->ledger;
	struct commit commit;
	uint32_t page;

	if (!len)
		return 0;
	memcpy(&ledger->up_hdr, octets, min_u32(len, MESSAGE_HEADER));
	if (len >= MESSAGE_HEADER &&
	    (ledger->up_hdr.len > XENSTORE_PAYLOAD_MAX || len > message_size(&ledger->up_hdr)))
		return -EBADMSG;
	if (len > MESSAGE_HEADER) {
		page = account_alloc_vital(&s->account);
		if (!page)
			return -ENOMEM;
		atomic_store_explicit(&ledger->up_page, page, memory_order_release);
		memcpy(account_page(&s->account, page), octets + MESSAGE_HEADER,
		       len - MESSAGE_HEADER);
	}
	s->up_since = clock_seconds();
	commit_begin(&commit, &s->place);
	commit_set(&commit, &ledger->up_fill, len);
	commit_end(&commit);
	return 0;
}

static int messages_in(struct session *s, const struct conns_view *view)
{
	struct commit commit;
	int err;

	commit_begin(&commit, &s->place);
	err = fifo_load(&s->fifo, &commit, view->out, view->record.out_len, view->record.out_rest,
			s->socket);
	if (err)
		return err == -EINVAL ? -EBADMSG : err;
	commit_end(&commit);
	return 0;
}

/* A depth of more digits than we take is beyond that of any path. */
static const char *depth_of(const char *text)
{
	return strlen(text) == strlen(DEPTH_MAX) + 1 && strspn(text, "0123456789") == strlen(text)
		       ? DEPTH_MAX
		       : text;
}

/* The WATCH that brought it. Return: 0 or a negative errno; -E2BIG: we would not take it. */
static int make_watch(struct message *msg, const char *const of[3])
{
	const char *const words[3] = { of[0], of[1], depth_of(of[2]) };
	struct message other;

	*msg = (struct message){ .hdr.type = XS_WATCH };
	for (int i = 0; i < 3; i++) {
		size_t len = strlen(words[i]) + 1;

		/* It asked for no depth. */
		if (i == 2 && len == 1)
			break;
		if (len > MESSAGE_WATCH_MAX - msg->hdr.len)
			return -E2BIG;
		memcpy(msg->payload + msg->hdr.len, words[i], len);
		msg->hdr.len += (uint32_t)len;
	}
	return form_unify(msg, true, &other) ? -EBADMSG : 0;
}

/* As if it had been asked for, and upstream had said OK. */
static int watch_in(struct session *s, const char *const words[3])
{
	uint32_t before = s->watches.count, pos;
	struct commit commit;
	struct message msg;
	int err;

	err = make_watch(&msg, words);
	if (err)
		return err;
	commit_begin(&commit, &s->place);
	err = watch_intend(&s->watches, &commit, msg.payload, msg.hdr.len, 0, &pos);
	if (err)
		return err;
	watch_added(&s->watches, &commit, pos);
	commit_end(&commit);
	return s->watches.count == before ? -EBADMSG : 0;
}

static int watches_in(struct session *s, const struct conns_view *view)
{
	const char *words[3];
	size_t at = 0;
	int err = 0;

	while (!err && conns_watch(view, &at, words)) {
		err = watch_in(s, words);
		if (err != -E2BIG)
			continue;
		/* A daemon takes it; nobody but who wants to be in the way asks for it. */
		log_limited(&s->source, LOG_WARNING,
			    "a watch whose path and token have more than %u octets is lost",
			    MESSAGE_WATCH_MAX);
		err = 0;
	}
	return err;
}

int hand_in(struct session *s, const struct conns_view *view)
{
	uint32_t max = s->account.max;
	int err;

	/* As one that is taken up may have: a bound holds for what is to come. */
	s->account.max = 0;
	err = request_in(s, view->in, view->record.in_len);
	if (!err)
		err = messages_in(s, view);
	if (!err)
		err = watches_in(s, view);
	s->account.max = max;
	return err;
}

/* --- out */

/* What fails is seen in the end, at the file. */
static void put(FILE *to, const void *octets, uint32_t len)
{
	(void)fwrite(octets, 1, len, to);
}

/* What the kernel has brought, or has yet to take; a ring's queues are the guest's. */
static uint32_t queued(const struct session *s, const struct ring *ring, struct ring_view *view)
{
	return s->socket && !ring_load(ring, view) ? ring_used(view) : 0;
}

static uint32_t put_queue(const struct session *s, const struct ring *ring, FILE *to)
{
	uint8_t octets[POOL_PAGE];
	struct ring_view view;
	uint32_t n, used = queued(s, ring, &view);

	for (uint32_t at = 0; at < used; at += n) {
		n = min_u32(used - at, sizeof(octets));
		ring_read(ring, view.cons + at, octets, n);
		put(to, octets, n);
	}
	return used;
}

static void request_out(const struct session *s, struct conns_record *record, FILE *to)
{
	const struct ledger *ledger = s->ledger;
	uint32_t fill = word_get(&ledger->up_fill), head = min_u32(fill, MESSAGE_HEADER);

	put(to, &ledger->up_hdr, head);
	if (fill > head)
		put(to, account_page(&s->account, word_get(&ledger->up_page)), fill - head);
	record->in_len = fill + put_queue(s, &s->front.in, to);
}

/*
 * Where messages begin in a socket's queue is nowhere written down, but behind it the next one does
 * when fifo_left octets more have gone: all up to there passes for the end of one.
 */
static void messages_out(const struct session *s, struct conns_record *record, FILE *to)
{
	uint32_t queued = put_queue(s, &s->front.out, to), used = fifo_used(&s->fifo), n;
	uint8_t octets[POOL_PAGE];

	record->out_len = queued + used;
	record->out_rest = queued + word_get(&s->ledger->fifo_left);
	for (uint32_t at = 0; at < used; at += n) {
		n = min_u32(used - at, sizeof(octets));
		fifo_read(&s->fifo, at, octets, n);
		put(to, octets, n);
	}
}

static void watches_out(const struct watches *set, struct conns_record *record, FILE *to)
{
	record->watches_len = record->nr_watches = 0;
	for (const struct watch *watch = watches_first(set); watch; watch = watch_next(watch)) {
		uint32_t octets = watch_octets(set, watch), len;

		record->nr_watches++;
		record->watches_len += octets;
		put(to, watch_text(set, watch, &len), octets);
		if (watch_depth(set, watch))
			continue;
		put(to, "", 1);
		record->watches_len++;
	}
}

static bool is_one_request(const uint8_t *octets, uint32_t len)
{
	struct xsd_sockmsg hdr;

	if (len < MESSAGE_HEADER)
		return true;
	memcpy(&hdr, octets, sizeof(hdr));
	return hdr.len <= XENSTORE_PAYLOAD_MAX && len <= message_size(&hdr);
}

int hand_out(const struct session *s, FILE *file, const struct conns_record *like)
{
	struct conns_view view = { .record = *like };
	char *octets = NULL;
	size_t len;
	FILE *to;
	int err;

	if (!renew_rests(s) || word_get(&s->ledger->pending_mask))
		return -EBUSY;
	to = open_memstream(&octets, &len);
	if (!to)
		return -ENOMEM;
	request_out(s, &view.record, to);
	messages_out(s, &view.record, to);
	watches_out(&s->watches, &view.record, to);
	err = ferror(to) ? -ENOMEM : 0;
	if (fclose(to))
		err = -ENOMEM;
	view.in = (const uint8_t *)octets;
	view.out = view.in + view.record.in_len;
	view.watches = (const char *)view.out + view.record.out_len;
	if (!err && !is_one_request(view.in, view.record.in_len))
		err = -E2BIG;
	if (!err)
		err = conns_put(file, &view);
	free(octets);
	return err;
}

bool hand_waits(const struct session *s)
{
	const struct ledger *ledger = s->ledger;
	/* One that is on its way up is there whole, and does not wait. */
	uint32_t fill = word_get(&ledger->up_sent) ? 0 : word_get(&ledger->up_fill);
	uint32_t head = min_u32(fill, MESSAGE_HEADER), used;
	struct xsd_sockmsg hdr;
	struct ring_view view;

	used = queued(s, &s->front.in, &view);
	if (fill + used < MESSAGE_HEADER)
		return false;
	memcpy(&hdr, &ledger->up_hdr, head);
	if (head < MESSAGE_HEADER)
		ring_read(&s->front.in, view.cons, (uint8_t *)&hdr + head, MESSAGE_HEADER - head);
	return hdr.len > XENSTORE_PAYLOAD_MAX || fill + used >= message_size(&hdr);
}

bool hand_is_clear(const struct session *s)
{
	struct ring_view view;

	return !word_get(&s->ledger->up_fill) && !queued(s, &s->front.in, &view) &&
	       !fifo_used(&s->fifo) && !word_get(&s->ledger->fifo_left) &&
	       !queued(s, &s->front.out, &view);
}

void hand_withdraw(struct session *s)
{
	if (!s->place.front_page)
		return;
	/* xenstored's to write: now we are in its place. */
	s->place.front_page->server_features &= ~(uint32_t)XENSTORE_SERVER_FEATURE_RECONNECTION;
	s->features = SESSION_OFFERS_NOTHING;
}
