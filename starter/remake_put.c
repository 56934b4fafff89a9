// SPDX-License-Identifier: MIT
/*
 * remake_put - see remake_put.h.
 */
#include "starter/remake_put.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int remake_fail(const struct remake *remake, int r)
{
	return reason_set(remake->reason, r, "cannot make the state: %s", strerror(-r));
}

int remake_put(struct remake *remake, struct state_item *item)
{
	struct record_fault fault;
	int r = conversion_item(remake->conversion, item);

	if (r <= 0)
		return r ? remake_fail(remake, r) : 0;
	r = state_writer_append(remake->writer, item, &fault);
	if (r == -EBADMSG)
		return reason_set(remake->reason, r, "cannot write record %" PRIu64 ": %s",
				  fault.record, fault.reason);
	return r ? remake_fail(remake, r) : 0;
}

void remake_lose(const struct remake *remake, uint32_t domid, const char *what, const char *why)
{
	char detail[STATE_PEER_TEXT_MAX];
	struct omission omission = { .kind = OMISSION_LEFT_OUT, .what = what, .why = why };

	omission.detail = state_peer_text(detail, (struct state_peer){ .number = domid });
	omission.detail_len = strlen(detail);
	omissions_add(remake->omissions, &omission);
}
