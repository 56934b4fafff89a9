// SPDX-License-Identifier: MIT
/* state - see state.h. */
#include "migration/format/state.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_HEADER 16 /* octets; the last four are the payload's length */

size_t state_perm_text(char *text, const struct record_perm *perm)
{
	/* What is no domain has no number. */
	if (perm->pad & STATE_PERM_ODD)
		return (size_t)snprintf(text, STATE_PERM_TEXT_MAX, "%c?", perm->letter);
	return (size_t)snprintf(text, STATE_PERM_TEXT_MAX, "%c%u%s", perm->letter,
				record_perm_domid(perm),
				perm->pad & STATE_PERM_STALE ? "(stale)" : "");
}

const char *state_peer_text(char *text, struct state_peer peer)
{
	snprintf(text, STATE_PEER_TEXT_MAX, "%s%" PRIu32, peer.socket ? "fd" : "d", peer.number);
	return text;
}

const char *state_kind_name(enum state_kind kind)
{
	static const char *const names[] = {
		[STATE_GLOBAL] = "global data",	     [STATE_QUOTAS] = "quotas",
		[STATE_CONNECTION] = "connection",   [STATE_WATCH] = "watch",
		[STATE_TRANSACTION] = "transaction", [STATE_NODE] = "node",
		[STATE_DOMAIN] = "domain data",	     [STATE_UNKNOWN] = "record",
	};

	return names[kind];
}

bool state_peer_same(struct state_peer a, struct state_peer b)
{
	return a.socket == b.socket && a.number == b.number;
}

bool state_quotas_next(const struct state_quotas *quotas, size_t *index, const char **name,
		       uint32_t *value)
{
	uint32_t le;

	if (*index >= quotas->nr)
		return false;
	*name = *name ? *name + strlen(*name) + 1 : quotas->names;
	memcpy(&le, quotas->values + *index * sizeof(le), sizeof(le));
	*value = le32toh(le);
	(*index)++;
	return true;
}

bool state_path_special(const char *path, size_t len)
{
	return len && path[0] == '@';
}

const char *state_path_at(unsigned int index)
{
	static const char *const known[] = { "@introduceDomain", "@releaseDomain" };

	return index < sizeof(known) / sizeof(known[0]) ? known[index] : NULL;
}

bool state_path_known(const char *path, size_t len)
{
	const char *known;

	for (unsigned int i = 0; (known = state_path_at(i)); i++)
		if (len == strlen(known) && !memcmp(path, known, len))
			return true;
	return false;
}

size_t state_path_parent(const char *path, size_t len)
{
	const char *slash;

	if (len < 2 || path[0] != '/')
		return 0;
	slash = memrchr(path, '/', len);
	return slash == path ? 1 : (size_t)(slash - path);
}

static int check_no_nul(const char *octets, size_t len, size_t at, const char *name,
			struct record_fault *fault)
{
	const char *nul = len ? memchr(octets, 0, len) : NULL;

	return nul ? record_refuse(fault, at + (size_t)(nul - octets), "NUL in the %s", name) : 0;
}

int state_check_watch(const struct state_watch *watch, size_t path_at, size_t token_at,
		      struct record_fault *fault)
{
	int r;

	if (!watch->path_len)
		return record_refuse(fault, path_at, "the path is empty");
	r = check_no_nul(watch->path, watch->path_len, path_at, "path", fault);
	return r ? r : check_no_nul(watch->token, watch->token_len, token_at, "token", fault);
}

static size_t message_size(const char *header)
{
	uint32_t le;

	memcpy(&le, header + MESSAGE_HEADER - sizeof(le), sizeof(le));
	return MESSAGE_HEADER + (size_t)le32toh(le);
}

/* Messages one after the other; only the last one may be cut, if at all. */
static int check_messages(const char *octets, size_t len, size_t at, bool may_end_early,
			  const char *name, struct record_fault *fault)
{
	size_t pos = 0;

	while (pos < len) {
		size_t left = len - pos;
		size_t size = left < MESSAGE_HEADER ? MESSAGE_HEADER : message_size(octets + pos);

		if (size > STATE_MESSAGE_MAX)
			return record_refuse(fault, at + pos + MESSAGE_HEADER - sizeof(uint32_t),
					     "a message of %zu octets in what is %s",
					     size - MESSAGE_HEADER, name);
		if (size > left && !may_end_early)
			return record_refuse(fault, at + len, "what is %s ends inside a message",
					     name);
		pos += size < left ? size : left;
	}
	return 0;
}

int state_check_queues(const struct state_connection *connection, size_t in_at, size_t out_at,
		       struct record_fault *fault)
{
	size_t rest = connection->out_rest;
	int r;

	if (rest > connection->out_len)
		return record_refuse(fault, out_at,
				     "the rest of a message has %zu octets, all that is to be sent "
				     "%zu",
				     rest, connection->out_len);
	if (rest > STATE_REST_MAX)
		return record_refuse(fault, out_at, "the rest of a message has %zu octets", rest);
	r = check_messages(connection->in, connection->in_len, in_at, true, "read", fault);
	if (r || rest == connection->out_len)
		return r;
	return check_messages(connection->out + rest, connection->out_len - rest, out_at + rest,
			      false, "to be sent", fault);
}
