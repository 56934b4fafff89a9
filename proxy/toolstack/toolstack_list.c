// SPDX-License-Identifier: MIT
/*
 * toolstack_list - the requests that only ask what is known of a domain: GET_DOMAIN_WATCHES,
 * GET_DOMAIN_TRANSACTIONS, GET_DOMAIN_STATE. Answered at once.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/control_text.h"
#include "proxy/host/hold.h"
#include "proxy/host/memory.h"
#include "proxy/session/rest.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/op.h"
#include "proxy/toolstack/request.h"

static int answer_payload(struct request *req, struct message *reply)
{
	struct session *session = req->asker.session;

	reply->hdr.type = req->msg.hdr.type;
	if (session && session->ledger->pending[req->asker.slot].type == XS_CONTROL) {
		reply->hdr.type = XS_CONTROL;
		if (control_text_reply(req->msg.hdr.type, reply))
			return -E2BIG;
	}
	op_answer_message(&req->asker, reply);
	return 1;
}

/* GET_DOMAIN_WATCHES, proposal: <gencnt>| then as many watches from <index> on as fit. */
int request_get_domain_watches(struct request *req)
{
	const struct watch *watch;
	struct message reply;
	uint32_t index, n;

	if (request_number(req, &index))
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	n = (uint32_t)sprintf((char *)reply.payload, "%u",
			      word_get(&req->target->ledger->watch_gen)) +
	    1;
	for (watch = watches_from(&req->target->watches, index); watch; watch = watch_next(watch)) {
		const char *depth = watch_depth(&req->target->watches, watch);
		uint32_t len, mark = depth ? (uint32_t)strlen(depth) + 2 : 0;
		const char *text = watch_text(&req->target->watches, watch, &len);

		if (n + mark + len > XENSTORE_PAYLOAD_MAX)
			break;
		/* An empty path, which no watch has: the depth of the watch that follows. */
		if (depth) {
			memcpy(reply.payload + n, depth - 1, mark);
			reply.payload[n] = '\0';
		}
		memcpy(reply.payload + n + mark, text, len);
		n += mark + len;
	}
	reply.hdr.len = n;
	return answer_payload(req, &reply);
}

/* GET_DOMAIN_TRANSACTIONS, docs/protocol.md. */
int request_get_domain_transactions(struct request *req)
{
	struct message reply;
	uint32_t n = 0;

	if (req->rest_len)
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	for (uint32_t slot = 0; slot < req->target->transactions.high; slot++) {
		struct ledger_tx *tx = transaction_at(&req->target->transactions, (int)slot);

		if (!transaction_live(&req->target->transactions, (int)slot))
			continue;
		if (n + sizeof("4294967295") > XENSTORE_PAYLOAD_MAX)
			return -E2BIG;
		n += (uint32_t)sprintf((char *)reply.payload + n, "%u", tx->guest) + 1;
	}
	reply.hdr.len = n;
	return answer_payload(req, &reply);
}

/*
 * GET_DOMAIN_STATE, docs/protocol.md: "held" (also before it is introduced), "quiesced", "ended" or
 * "running"; if asked for, with what a QUIESCE waits for.
 */
int request_get_domain_state(struct request *req)
{
	char text[32 + REST_TEXT_MAX] = "";
	const char *state = "running";
	struct message reply;
	size_t len;

	if (req->rest_len && !request_word(req, "why"))
		return -EINVAL;
	if (hold_is(&req->memory->ledgers, req->domid))
		state = "held";
	else if (!req->target)
		return -ENOENT;
	else if (session_state(req->target) == LEDGER_QUIET)
		state = "quiesced";
	else if (session_state(req->target) == LEDGER_ENDED)
		state = "ended";
	len = strlen(strcpy(text, state)) + 1;
	if (req->rest_len && req->target)
		rest_text(req->target, text + len);
	if (req->rest_len)
		len += strlen(text + len) + 1;
	message_set_text(&reply, text, (uint32_t)len);
	return answer_payload(req, &reply);
}
