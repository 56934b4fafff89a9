/* SPDX-License-Identifier: MIT */
/* handed - what a session hands out, and what is made up to be handed to one. */
#ifndef XSPROXY_TESTS_UNIT_HANDED_H
#define XSPROXY_TESTS_UNIT_HANDED_H

#include <stdio.h>

#include "link/conns.h"
#include "proxy/session/fifo.h"
#include "proxy/session/hand.h"

struct handed {
	char *octets;
	size_t len;
	struct conns_view view;
};

static const struct conns_record handed_like = {
	.kind = CONNS_SOCKET, .number = 7, .port = 21, .gfn = 0x1234567890, .target = 3
};

/* Return: what hand_out() says of it. */
static inline int handed_try(const struct session *s)
{
	char *octets;
	size_t len;
	FILE *file = open_memstream(&octets, &len);
	int err;

	assert_non_null(file);
	err = hand_out(s, file, &handed_like);
	fclose(file);
	/* Or it would be half of one for who comes after. */
	if (err)
		assert_int_equal(len, 0);
	free(octets);
	return err;
}

/* What the session has, as the other side reads it; free its octets. */
static inline struct handed handed_by(const struct session *s)
{
	struct handed record;
	struct conns conns = { 0 };
	FILE *file = open_memstream(&record.octets, &record.len);

	assert_non_null(file);
	assert_int_equal(hand_out(s, file, &handed_like), 0);
	assert_int_equal(fclose(file), 0);
	conns.octets = (const uint8_t *)record.octets;
	conns.len = record.len;
	assert_int_equal(conns_next(&conns, &record.view), 1);
	assert_int_equal(conns.at, conns.len);
	assert_int_equal(record.view.record.kind, handed_like.kind);
	assert_int_equal(record.view.record.number, handed_like.number);
	assert_int_equal(record.view.record.port, handed_like.port);
	assert_true(record.view.record.gfn == handed_like.gfn);
	assert_int_equal(record.view.record.target, handed_like.target);
	return record;
}

/* The session has what the record says, to the octet; free that. */
static inline void assert_has(const struct session *s, struct handed *record)
{
	struct handed now = handed_by(s);

	assert_int_equal(now.len, record->len);
	assert_memory_equal(now.octets, record->octets, now.len);
	free(now.octets);
	free(record->octets);
}

/* --- messages for a front */

struct parcel {
	uint8_t octets[FIFO_SIZE + 2 * MESSAGE_MAX];
	uint32_t len;
};

static inline void parcel_add(struct parcel *parcel, const struct message *msg)
{
	memcpy(parcel->octets + parcel->len, msg, message_size(&msg->hdr));
	parcel->len += message_size(&msg->hdr);
}

/* Messages of all sizes, @len octets. */
static inline void parcel_fill(struct parcel *parcel, uint32_t len)
{
	static struct message msg;

	for (uint32_t i = 0, n; parcel->len < len; i++) {
		n = i * 977 % XENSTORE_PAYLOAD_MAX;
		/* None may be left that is too short to be one. */
		if (len - parcel->len <= MESSAGE_MAX)
			n = len - parcel->len - MESSAGE_HEADER;
		else if (len - parcel->len - n < 2 * MESSAGE_HEADER)
			n = 0;
		msg.hdr = (struct xsd_sockmsg){ i % 3 ? XS_WATCH_EVENT : XS_READ, i, 0, n };
		fill(msg.payload, n, i);
		parcel_add(parcel, &msg);
	}
	assert_int_equal(parcel->len, len);
}

/* --- watches */

struct spelt {
	char text[2 * 1024 * 1024];
	uint32_t len, count;
};

static inline void spelt_add(struct spelt *spelt, const char *path, const char *token,
			     const char *depth)
{
	const char *words[] = { path, token, depth };

	for (int i = 0; i < 3; i++) {
		memcpy(spelt->text + spelt->len, words[i], strlen(words[i]) + 1);
		spelt->len += (uint32_t)strlen(words[i]) + 1;
	}
	spelt->count++;
}

static inline struct conns_view spelt_view(const struct spelt *spelt)
{
	return (struct conns_view){
		.record = { .watches_len = spelt->len, .nr_watches = spelt->count },
		.watches = spelt->text,
	};
}

#endif
