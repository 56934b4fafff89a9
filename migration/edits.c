/* SPDX-License-Identifier: MIT */
/*
 * edits - see edits.h.
 */
#include "migration/edits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#define REQUESTS_MAX 2 /* of a call */

_Static_assert(EDITS_PAYLOAD_MAX == XENSTORE_PAYLOAD_MAX, "they are the same");

/* --- replies */

static int on_reply(struct edits *edits, uint64_t number, int err, const char *verb)
{
	if (err) {
		edits->verb = verb;
		edits->number = number;
	}
	return err;
}

static int on_write(void *arg, uint64_t number, const struct wire_reply *reply)
{
	return on_reply(arg, number, reply->err, "write");
}

static int on_set_perms(void *arg, uint64_t number, const struct wire_reply *reply)
{
	return on_reply(arg, number, reply->err, "set permissions of");
}

static int on_remove(void *arg, uint64_t number, const struct wire_reply *reply)
{
	/* It may have gone with its parent. */
	return on_reply(arg, number, reply->err == -ENOENT ? 0 : reply->err, "remove");
}

/* --- requests */

static int wait_for_room(struct edits *edits)
{
	int r = 0;

	while (!r && wire_room(edits->wire) < REQUESTS_MAX)
		r = wire_wait(edits->wire);
	return r;
}

int edits_format_perms(const struct record_node *node, char out[EDITS_PAYLOAD_MAX], size_t *len)
{
	size_t room = EDITS_PAYLOAD_MAX - node->path_len - 1;
	size_t n = 0;

	for (size_t i = 0; i < node->nr_perms; i++) {
		n += (size_t)snprintf(out + n, room - n, "%c%u", node->perms[i].letter,
				      record_perm_domid(&node->perms[i])) +
		     1;
		if (n > room)
			return -E2BIG;
	}
	*len = n;
	return 0;
}

int edits_write(struct edits *edits, const struct record_node *node, uint64_t number)
{
	struct iovec path = { (char *)node->path, node->path_len }, nul = wire_string("");
	struct iovec value = { (char *)node->value, node->value_len };
	char perms[EDITS_PAYLOAD_MAX];
	size_t perms_len = 0;
	int r = edits_format_perms(node, perms, &perms_len);

	if (!r)
		r = wait_for_room(edits);
	if (!r)
		r = wire_send(edits->wire, XS_WRITE, edits->tx_id,
			      (struct iovec[]){ path, nul, value }, 3, on_write, edits, number);
	if (!r)
		r = wire_send(edits->wire, XS_SET_PERMS, edits->tx_id,
			      (struct iovec[]){ path, nul, { perms, perms_len } }, 3, on_set_perms,
			      edits, number);
	return r;
}

int edits_remove(struct edits *edits, const char *path, size_t len, uint64_t number)
{
	struct iovec parts[] = { { (char *)path, len }, wire_string("") };
	int r = wait_for_room(edits);

	return r ? r
		 : wire_send(edits->wire, XS_RM, edits->tx_id, parts, 2, on_remove, edits, number);
}

int edits_finish(struct edits *edits)
{
	return wire_drain(edits->wire);
}

/* --- the transaction */

int edits_begin(struct edits *edits, struct wire *wire)
{
	/* Not empty: oxenstored up to 4.19 waits for ever for a payload of no octets. */
	struct iovec nothing = wire_string("");
	struct wire_reply reply;
	int r = wire_call(wire, XS_TRANSACTION_START, 0, &nothing, 1, &reply);

	*edits = (struct edits){ .wire = wire };
	if (r)
		return r;
	if (!reply.len || reply.data[reply.len - 1])
		return -EPROTO;
	edits->tx_id = (uint32_t)strtoul(reply.data, NULL, 10);
	return edits->tx_id ? 0 : -EPROTO;
}

int edits_commit(struct edits *edits)
{
	struct iovec yes = wire_string("T");
	int r;

	wire_set_firm(edits->wire, true);
	r = wire_call(edits->wire, XS_TRANSACTION_END, edits->tx_id, &yes, 1, NULL);
	wire_set_firm(edits->wire, false);
	return r;
}
