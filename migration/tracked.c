// SPDX-License-Identifier: MIT
/*
 * tracked - see tracked.h. Watches go as many to a request as fit; where one of them is refused,
 * one by one.
 */
#include "migration/tracked.h"

#include "migration/remote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#define NUMBER_MAX		sizeof("4294967295") /* NUL included */

#define fail(tracked, err, ...) report_fail((tracked)->report, err, __VA_ARGS__)

/* Watches on their way. */
struct batch {
	char pairs[XENSTORE_PAYLOAD_MAX];
	size_t len;
	uint64_t first, last; /* numbers of watches, from 1 */
	bool full;	      /* there were as many as the daemon takes */
};

static int fail_reading(const struct tracked *tracked, int err)
{
	return fail(tracked, err, "cannot read the stream again: %s", report_local_reason(err));
}

/* So that it is known what there is to take back. */
static int check_interrupt(const struct tracked *tracked)
{
	int r = interrupt_check(tracked->interrupt);

	return r ? fail(tracked, r, "%s; nothing is imported", report_reason(r)) : 0;
}

static bool may_leave_out(const struct tracked *tracked, int err)
{
	return !tracked->strict && (wire_is_limit(err) || err == -EEXIST);
}

static bool is_too_many(int err)
{
	return wire_is_limit(err) && err != -EINVAL;
}

/* --- watches */

static void leave_out_watch(const struct tracked *tracked, const char *pair, const char *why)
{
	const char *token = pair + strlen(pair) + 1;
	const struct omission omission = { .what = "watch",
					   .path = pair,
					   .path_len = strlen(pair),
					   .detail = token,
					   .detail_len = strlen(token),
					   .why = why };

	omissions_add(tracked->omissions, &omission);
}

static int send_one(const struct tracked *tracked, struct batch *batch, const char *pair,
		    size_t len)
{
	int r;

	if (batch->full) {
		leave_out_watch(tracked, pair, "xenstored takes no more here");
		return 0;
	}
	r = check_interrupt(tracked);
	if (r)
		return r;
	r = remote_add_watches(tracked->wire, tracked->domid, pair, len);
	if (may_leave_out(tracked, r)) {
		leave_out_watch(tracked, pair, report_reason(r));
		batch->full = is_too_many(r);
		return 0;
	}
	return r ? fail(tracked, r, "cannot add a watch to domain %u: %s", tracked->domid,
			remote_reason(r))
		 : 0;
}

static int send_one_by_one(const struct tracked *tracked, struct batch *batch)
{
	int r = 0;

	for (size_t at = 0, len; !r && at < batch->len; at += len) {
		len = strlen(batch->pairs + at) + 1;
		len += strlen(batch->pairs + at + len) + 1;
		r = send_one(tracked, batch, batch->pairs + at, len);
	}
	return r;
}

static int send_batch(const struct tracked *tracked, struct batch *batch)
{
	int r;

	if (!batch->len)
		return 0;
	r = check_interrupt(tracked);
	if (r)
		return r;
	r = batch->full
		    ? -E2BIG
		    : remote_add_watches(tracked->wire, tracked->domid, batch->pairs, batch->len);
	if (may_leave_out(tracked, r))
		r = send_one_by_one(tracked, batch);
	else if (r)
		r = fail(tracked, r,
			 "cannot add watches %" PRIu64 " to %" PRIu64 " of the stream to domain "
			 "%u: %s",
			 batch->first, batch->last, tracked->domid, remote_reason(r));
	batch->len = 0;
	return r;
}

static int add_watch(const struct tracked *tracked, struct batch *batch,
		     const struct record_watch *watch)
{
	size_t len = watch->path_len + 1 + watch->token_len + 1;
	char *to;
	int r = 0;

	if (batch->len + len > remote_watches_max(tracked->domid))
		r = send_batch(tracked, batch);
	if (r)
		return r;
	batch->last++;
	if (!batch->len)
		batch->first = batch->last;
	to = batch->pairs + batch->len;
	batch->len += len;
	to = mempcpy(to, watch->path, watch->path_len);
	*to++ = '\0';
	if (watch->token_len) /* otherwise it may be NULL */
		to = mempcpy(to, watch->token, watch->token_len);
	*to = '\0';
	return 0;
}

int tracked_add_watches(const struct tracked *tracked)
{
	struct batch batch = { 0 };
	struct record rec;
	int r = intake_rewind(tracked->intake);

	while (!r && (r = intake_next(tracked->intake, RECORD_WATCH, &rec)) > 0) {
		r = add_watch(tracked, &batch, &rec.watch);
		if (r)
			return r;
	}
	return r ? fail_reading(tracked, r) : send_batch(tracked, &batch);
}

/* --- transactions */

static void leave_out_transaction(const struct tracked *tracked, uint32_t id, const char *why)
{
	char text[NUMBER_MAX];
	const struct omission omission = { .what = "transaction",
					   .detail = text,
					   .detail_len = (size_t)snprintf(text, sizeof(text),
									  "%" PRIu32, id),
					   .why = why };

	omissions_add(tracked->omissions, &omission);
}

static int start_transaction(const struct tracked *tracked, uint32_t id, bool *full)
{
	int r = check_interrupt(tracked);

	if (r)
		return r;
	if (*full) {
		leave_out_transaction(tracked, id, "xenstored takes no more here");
		return 0;
	}
	r = remote_start_transaction(tracked->wire, tracked->domid, id);
	if (may_leave_out(tracked, r)) {
		leave_out_transaction(tracked, id, report_reason(r));
		*full = is_too_many(r);
		return 0;
	}
	return r ? fail(tracked, r, "cannot open transaction %" PRIu32 " of domain %u: %s", id,
			tracked->domid, remote_reason(r))
		 : 0;
}

int tracked_start_transactions(const struct tracked *tracked)
{
	bool full = false;
	struct record rec;
	int r = intake_rewind(tracked->intake);

	while (!r && (r = intake_next(tracked->intake, RECORD_TRANSACTION, &rec)) > 0) {
		r = start_transaction(tracked, rec.transaction.tx_id, &full);
		if (r)
			return r;
	}
	return r ? fail_reading(tracked, r) : 0;
}
