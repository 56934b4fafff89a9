// SPDX-License-Identifier: MIT
/*
 * edits - see edits.h.
 */
#include "migration/edits.h"

#include "migration/perms.h"

#include <errno.h>
#include <xen/io/xs_wire.h>

/* --- replies */

static int on_reply(struct plan_node *node, enum edit edit, int err)
{
	return err ? node->edits->refused(node->edits->arg, node, edit, err) : 0;
}

static int on_write(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	(void)tag;
	return on_reply(arg, EDIT_VALUE, reply->err);
}

static int on_set_perms(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	(void)tag;
	return on_reply(arg, EDIT_PERMS, reply->err);
}

static int on_remove(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	(void)tag;
	/* It may have gone with its parent. */
	return on_reply(arg, EDIT_REMOVE, reply->err == -ENOENT ? 0 : reply->err);
}

/* --- requests */

static int send_edit(struct edits *edits, struct plan_node *node, uint32_t type, wire_fn fn,
		     struct iovec rest)
{
	struct iovec parts[] = { { node->path, node->path_len }, wire_string(""), rest };
	int r = 0;

	while (!r && !wire_room(edits->wire))
		r = wire_wait(edits->wire);
	node->edits = edits;
	return r ? r : wire_send(edits->wire, type, 0, parts, rest.iov_len ? 3 : 2, fn, node, 0);
}

static int write_perms(struct edits *edits, struct plan_node *node, const struct plan_state *to)
{
	struct record_node rec = plan_record(node, to);
	char perms[PERMS_PAYLOAD_MAX];
	size_t len = 0;
	int r = perms_format(&rec, perms, &len);

	return r ? r
		 : send_edit(edits, node, XS_SET_PERMS, on_set_perms, (struct iovec){ perms, len });
}

int edits_write(struct edits *edits, struct plan_node *node, enum edit edit,
		const struct plan_state *to)
{
	if (edit == EDIT_PERMS)
		return write_perms(edits, node, to);
	return send_edit(edits, node, XS_WRITE, on_write,
			 (struct iovec){ to->value, to->value_len });
}

int edits_remove(struct edits *edits, struct plan_node *node)
{
	return send_edit(edits, node, XS_RM, on_remove, (struct iovec){ 0 });
}

int edits_finish(struct edits *edits)
{
	return wire_drain(edits->wire);
}
