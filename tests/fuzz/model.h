/* SPDX-License-Identifier: MIT */
/*
 * model - a small xenstored: it checks every octet that it gets, keeps watches and transactions as
 * the daemons do, answers in order, and puts what it says into its ring piece by piece.
 */
#ifndef XSPROXY_TESTS_FUZZ_MODEL_H
#define XSPROXY_TESTS_FUZZ_MODEL_H

#include "tests/fuzz/world.h"

#define MODEL_OUT     65536 /* octets that wait for room; beyond half of it nothing is read */
#define MODEL_TX      24
#define MODEL_WATCHES 160
#define MODEL_PATH    2048

struct model {
	struct party *party;
	struct message half;
	uint32_t half_len;
	uint8_t out[MODEL_OUT];
	uint32_t out_at, out_len;
	uint32_t reply_len; /* of answers that the model does not care about */
	uint32_t next_tx, tx[MODEL_TX], tx_count;
	char *watch[MODEL_WATCHES]; /* canonical path NUL token NUL */
	uint32_t watch_len[MODEL_WATCHES], watch_count;
	uint32_t requests, events, resets;
};

static struct model model;

static void model_forget(struct model *m)
{
	while (m->watch_count)
		free(m->watch[--m->watch_count]);
	m->tx_count = 0;
	m->half_len = m->out_at = m->out_len = 0;
}

static void model_open(struct model *m, struct party *party)
{
	model_forget(m);
	m->party = party;
	m->reply_len = 3;
	m->next_tx = m->requests = m->events = m->resets = 0;
}

/* --- what it says */

static void model_add(struct model *m, const void *octets, uint32_t len)
{
	CHECK(m->out_len + len <= MODEL_OUT);
	memcpy(m->out + m->out_len, octets, len);
	m->out_len += len;
}

static bool model_has_room(struct model *m)
{
	if (m->out_at == m->out_len)
		m->out_at = m->out_len = 0;
	return m->out_len < MODEL_OUT / 2;
}

static void model_says(struct model *m, struct xsd_sockmsg hdr, const void *payload, uint32_t len)
{
	hdr.len = len;
	model_add(m, &hdr, sizeof(hdr));
	model_add(m, payload, len);
}

static void model_says_text(struct model *m, struct xsd_sockmsg hdr, const char *text)
{
	if (text[0] == 'E')
		hdr.type = XS_ERROR;
	model_says(m, hdr, text, (uint32_t)strlen(text) + 1);
}

static void model_fires(struct model *m, uint32_t len)
{
	struct xsd_sockmsg hdr = { .type = XS_WATCH_EVENT };
	char payload[XENSTORE_PAYLOAD_MAX];

	if (!model_has_room(m))
		return;
	/* Each one different. */
	memset(payload, 'e', sizeof(payload));
	snprintf(payload, sizeof(payload), "event/%u", m->events++);
	if (len > XENSTORE_PAYLOAD_MAX)
		len = XENSTORE_PAYLOAD_MAX;
	if (len < 20)
		len = 20;
	payload[len - 1] = 0;
	model_says(m, hdr, payload, len);
}

/* Write up to @n octets. Return: whether any went. */
static bool model_writes(struct model *m, uint32_t n)
{
	if (n > m->out_len - m->out_at)
		n = m->out_len - m->out_at;
	n = ring_put(&m->party->stored_out, m->out + m->out_at, n);
	m->out_at += n;
	return n;
}

/* --- what it keeps */

static int model_find_tx(const struct model *m, uint32_t id)
{
	for (uint32_t i = 0; i < m->tx_count; i++)
		if (m->tx[i] == id)
			return (int)i;
	return -1;
}

static const char *model_start(struct model *m, char *text)
{
	if (m->tx_count == MODEL_TX)
		return "ENOSPC";
	m->tx[m->tx_count++] = ++m->next_tx;
	sprintf(text, "%u", m->next_tx);
	return text;
}

static const char *model_end(struct model *m, const struct message *msg)
{
	int at = model_find_tx(m, msg->hdr.tx_id);

	if (msg->hdr.len != 2 || msg->payload[1] ||
	    (msg->payload[0] != 'T' && msg->payload[0] != 'F'))
		return "EINVAL";
	if (at < 0)
		return "ENOENT";
	m->tx[at] = m->tx[--m->tx_count];
	return m->requests % 4 ? "OK" : "EAGAIN";
}

static bool path_is_good(const char *path, size_t len)
{
	static const char good[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/_@";

	return len && len <= MODEL_PATH && path[len - 1] != '/' && !strstr(path, "//") &&
	       strspn(path, good) == len;
}

/* The canonical path and the token of a payload: allocated; NULL when it is refused. */
static char *watch_key(const struct model *m, const struct message *msg, uint32_t *len)
{
	const char *vec[3] = { NULL }, *at = (const char *)msg->payload, *end = at + msg->hdr.len;
	char *key;
	int n = 0;

	for (; n < 3 && at < end && memchr(at, 0, (size_t)(end - at)); at += strlen(at) + 1)
		vec[n++] = at;
	/* A third one, the depth, is no part of what identifies a watch. */
	if (n < 2 || !path_is_good(vec[0], strlen(vec[0])))
		return NULL;
	key = malloc(2 * XENSTORE_PAYLOAD_MAX);
	*len = 0;
	if (vec[0][0] != '/' && vec[0][0] != '@')
		*len = (uint32_t)sprintf(key, "/local/domain/%u/", m->party->domid);
	*len += (uint32_t)sprintf(key + *len, "%s", vec[0]) + 1;
	*len += (uint32_t)sprintf(key + *len, "%s", vec[1]) + 1;
	return key;
}

static const char *model_watch(struct model *m, const struct message *msg)
{
	bool add = msg->hdr.type == XS_WATCH;
	uint32_t len, i = 0;
	char *key = watch_key(m, msg, &len);

	if (!key)
		return "EINVAL";
	while (i < m->watch_count && (m->watch_len[i] != len || memcmp(m->watch[i], key, len)))
		i++;
	if (add && i == m->watch_count && i < MODEL_WATCHES) {
		m->watch[i] = key;
		m->watch_len[i] = len;
		m->watch_count++;
		return "OK";
	}
	free(key);
	if (add)
		return i < m->watch_count ? "EEXIST" : "E2BIG";
	if (i == m->watch_count)
		return "ENOENT";
	free(m->watch[i]);
	m->watch_count--;
	memmove(&m->watch[i], &m->watch[i + 1], (m->watch_count - i) * sizeof(m->watch[0]));
	memmove(&m->watch_len[i], &m->watch_len[i + 1],
		(m->watch_count - i) * sizeof(m->watch_len[0]));
	return "OK";
}

static const char *model_reset(struct model *m)
{
	while (m->watch_count)
		free(m->watch[--m->watch_count]);
	m->tx_count = 0;
	m->resets++;
	return "OK";
}

/* --- what it is asked */

static const char *model_decides(struct model *m, const struct message *msg, char *text)
{
	const struct xsd_sockmsg *hdr = &msg->hdr;
	bool ignores_tx = hdr->type == XS_WATCH || hdr->type == XS_UNWATCH;

	if (hdr->type == XS_WATCH_EVENT || hdr->type == XS_ERROR || hdr->type > XS_DIRECTORY_PART)
		return "ENOSYS";
	if (!ignores_tx && hdr->tx_id && model_find_tx(m, hdr->tx_id) < 0)
		return hdr->type == XS_TRANSACTION_END ? model_end(m, msg) : "ENOENT";
	switch (hdr->type) {
	case XS_WATCH:
	case XS_UNWATCH:
		return model_watch(m, msg);
	case XS_TRANSACTION_START:
		return hdr->tx_id ? "EBUSY" : model_start(m, text);
	case XS_TRANSACTION_END:
		return model_end(m, msg);
	case XS_RESET_WATCHES:
		return model_reset(m);
	default:
		return m->requests % 5 ? NULL : "EACCES";
	}
}

/* What xsproxyd reads as well comes in the form that has no second reading. */
static void model_checks_form(const struct message *msg)
{
	const char *vec[4];
	int n = message_strings(msg->payload, msg->hdr.len, vec, 3);

	switch (msg->hdr.type) {
	case XS_WATCH:
		CHECK(n == 2 || n == 3);
		CHECK(msg->hdr.len <= MESSAGE_WATCH_MAX);
		break;
	case XS_UNWATCH:
		CHECK(n == 2);
		break;
	case XS_TRANSACTION_END:
		CHECK(n == 1 && (!strcmp(vec[0], "T") || !strcmp(vec[0], "F")));
		break;
	case XS_RESET_WATCHES:
		CHECK(!msg->hdr.tx_id || msg->hdr.tx_id == MESSAGE_TX_UNKNOWN);
		break;
	}
}

/* A whole request, which must be well-formed whatever the guest did. */
static void model_receives(struct model *m)
{
	static const uint8_t filler[XENSTORE_PAYLOAD_MAX] = "value";
	const struct message *msg = &m->half;
	const char *answer;
	char text[16];

	CHECK(msg->hdr.req_id > 0 && msg->hdr.req_id < 1u << 30);
	/* An id that the guest was never given is unknown here, and must look so. */
	CHECK(msg->hdr.tx_id <= m->next_tx || msg->hdr.tx_id == MESSAGE_TX_UNKNOWN);
	CHECK(!message_is_ours(msg->hdr.type));
	model_checks_form(msg);
	m->requests++;
	answer = model_decides(m, msg, text);
	if (answer)
		model_says_text(m, msg->hdr, answer);
	else
		model_says(m, msg->hdr, filler, m->reply_len);
	m->half_len = 0;
}

/* Read up to @n octets, no further than to the end of a message. Return: whether there were any. */
static bool model_reads(struct model *m, uint32_t n)
{
	uint32_t want = m->half_len < MESSAGE_HEADER ? MESSAGE_HEADER : message_size(&m->half.hdr);

	if (!model_has_room(m))
		return false;
	if (n > want - m->half_len)
		n = want - m->half_len;
	n = ring_get(&m->party->stored_in, (uint8_t *)&m->half + m->half_len, n);
	m->half_len += n;
	if (m->half_len >= MESSAGE_HEADER)
		CHECK(m->half.hdr.len <= XENSTORE_PAYLOAD_MAX);
	if (m->half_len >= MESSAGE_HEADER && m->half_len == message_size(&m->half.hdr))
		model_receives(m);
	return n;
}

static bool model_serves(struct model *m)
{
	bool did = model_reads(m, MESSAGE_MAX);

	return model_writes(m, MODEL_OUT) || did;
}

#endif
