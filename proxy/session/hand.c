// SPDX-License-Identifier: MIT
#include "proxy/session/hand.h"

#include <errno.h>
#include <string.h>

#include "link/conns.h"
#include "protocol/clock.h"
#include "protocol/form.h"
#include "proxy/session/session.h"
#include "proxy/util.h"

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

/* The WATCH that brought it. Return: 0 or a negative errno. */
static int make_watch(struct message *msg, const char *const words[3])
{
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

	while (!err && conns_watch(view, &at, words))
		err = watch_in(s, words);
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
