// SPDX-License-Identifier: MIT
#include "proxy/toolstack/toolstack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/control_text.h"
#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/hold.h"
#include "proxy/host/holds.h"
#include "proxy/host/lease.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/local.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/op.h"
#include "proxy/toolstack/request.h"
#include "proxy/toolstack/update.h"

bool toolstack_root_only(const struct session *s, const struct message *msg)
{
	uint32_t type = msg->hdr.type == XS_CONTROL ? control_text_type(msg) : msg->hdr.type;

	if (local_is_root(s->who.uid))
		return false;
	/* It has a program executed as root. */
	if (type == MESSAGE_LIVE_UPDATE)
		return true;
	if (s->daemon->config.users_control == CONFIG_PASS)
		return false;
	if (message_is_ours(type))
		return message_info(type)->who == MESSAGE_ROOT;
	return msg->hdr.type == XS_CONTROL;
}

bool toolstack_wants(const struct message *msg)
{
	return message_is_ours(msg->hdr.type) || control_text_type(msg);
}

/* Strictly decimal, as docs/protocol.md wants it. Return: 0 or -EINVAL. */
static int parse_number(const char *text, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > max)
			return -EINVAL;
	}
	*out = (uint32_t)n;
	return 0;
}

int request_number(const struct request *req, uint32_t *out)
{
	if (!req->rest_len || strlen(req->rest) + 1 != req->rest_len)
		return -EINVAL;
	return parse_number(req->rest, UINT32_MAX, out);
}

bool request_word(const struct request *req, const char *word)
{
	return req->rest_len == strlen(word) + 1 && !memcmp(req->rest, word, req->rest_len);
}

static int parse_domid(struct request *req)
{
	const char *text = (const char *)req->msg.payload;
	uint32_t len = req->msg.hdr.len;

	/* Everything in our requests is made of terminated strings. */
	if (!len || text[len - 1])
		return -EINVAL;
	if (parse_number(text, ARENA_DOMID_MAX - 1, &req->domid))
		return -EINVAL;
	req->rest = text + strlen(text) + 1;
	req->rest_len = len - (uint32_t)(req->rest - text);
	req->target = domains_session(req->daemon->domains, req->domid);
	return 0;
}

/* --- what changes something (request.h) */

/* docs/protocol.md, "QUIESCE". EINVAL for domain 0, ENOENT, EBUSY when it does not come to rest. */
int request_quiesce(struct request *req)
{
	struct op *op;

	if (!req->domid || (req->rest_len && !request_word(req, "lease")))
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	req->asker.lease |= req->rest_len != 0;
	return op_new(&op, req->daemon, OP_QUIESCE, &req->asker, req->target, true) ? -ENOMEM : 1;
}

/* docs/protocol.md, "HOLD". EINVAL for domain 0, EEXIST when it is introduced already. */
int request_hold(struct request *req)
{
	if (req->rest_len || !req->domid)
		return -EINVAL;
	if (req->target)
		return -EEXIST;
	hold_set(&req->memory->ledgers, req->domid);
	holds_set(req->daemon->holds, req->domid, &req->asker.who);
	who_log(req->domid, "HOLD", &req->asker.who, "it will stand still from its INTRODUCE on");
	return 0;
}

/* docs/protocol.md, "UNQUIESCE": also ends a hold. */
int request_unquiesce(struct request *req)
{
	bool held = hold_is(&req->memory->ledgers, req->domid);

	if (req->rest_len)
		return -EINVAL;
	hold_end(&req->memory->ledgers, req->domid);
	holds_drop(req->daemon->holds, req->domid);
	lease_drop(req->daemon, req->domid);
	if (!req->target && !held)
		return -ENOENT;
	who_log(req->domid, "UNQUIESCE", &req->asker.who, "%s",
		!req->target				     ? "its hold is over"
		: session_state(req->target) == LEDGER_QUIET ? "it goes on"
							     : "it ran already");
	if (req->target)
		session_resume(req->target);
	return 0;
}

/*
 * Watches and transactions come in many requests, from one connection: the first one is logged. The
 * control socket has no such requests.
 */
static void log_giving(const struct request *req)
{
	struct session *asker = req->asker.session;

	if (!asker || asker->gave == req->domid)
		return;
	asker->gave = req->domid;
	who_log(req->domid, message_name(req->msg.hdr.type), &req->asker.who,
		"it is given watches or transactions");
}

static bool start_under_way(struct request *req, uint32_t id)
{
	struct op *op;

	TAILQ_FOREACH(op, &req->target->targeted, on_target)
		if (op->kind == OP_START && op->transaction == id)
			return true;
	return false;
}

/* START_DOMAIN_TRANSACTION, proposal. EEXIST if the id is open, EINVAL for 0. */
int request_start_domain_transaction(struct request *req)
{
	uint32_t id;
	struct op *op;

	if (request_number(req, &id) || !id)
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	if (transaction_find(&req->target->transactions, id) >= 0 || start_under_way(req, id))
		return -EEXIST;
	if (op_new(&op, req->daemon, OP_START, &req->asker, req->target, true))
		return -ENOMEM;
	op->transaction = id;
	log_giving(req);
	return 1;
}

/* ADD_DOMAIN_WATCHES, proposal. */
int request_add_domain_watches(struct request *req)
{
	uint32_t strings = 0;
	int err;

	for (uint32_t i = 0; i < req->rest_len; i++)
		strings += !req->rest[i];
	if (!strings || strings % 2)
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	err = batch_begin(&req->asker, req->target, req->rest, req->rest_len);
	if (err)
		return err;
	log_giving(req);
	return 1;
}

/*
 * docs/protocol.md, "RESET_DOMAIN": take back what ADD_DOMAIN_WATCHES and START_DOMAIN_TRANSACTION
 * gave a domain that stands still. EBUSY if it runs.
 */
int request_reset_domain(struct request *req)
{
	struct op *op;

	if (req->rest_len || !req->domid)
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	if (session_state(req->target) != LEDGER_QUIET)
		return -EBUSY;
	return op_new(&op, req->daemon, OP_RESET, &req->asker, req->target, true) ? -ENOMEM : 1;
}

static int (*const functions[])(struct request *req) = {
#define OURS(number, name, function, ...) [MESSAGE_##name - MESSAGE_QUIESCE] = request_##function,
#include "protocol/requests.def"
};

static int carry_out(struct request *req)
{
	if (req->msg.hdr.type == MESSAGE_LIVE_UPDATE)
		return update_take(req);
	if (!message_is_ours(req->msg.hdr.type) || parse_domid(req))
		return -EINVAL;
	/* Only on the control socket: toolstack clients wait for xenstored. */
	req->memory = upstream_memory(req->daemon->upstream);
	if (!req->memory)
		return -EAGAIN;
	return functions[req->msg.hdr.type - MESSAGE_QUIESCE](req);
}

/* What is refused at once; the rest says itself what came of it. */
static void log_refusal(const struct request *req, int err)
{
	switch (req->msg.hdr.type) {
	case MESSAGE_QUIESCE:
	case MESSAGE_UNQUIESCE:
	case MESSAGE_HOLD:
	case MESSAGE_RESET_DOMAIN:
		if (req->rest)
			who_log(req->domid, message_name(req->msg.hdr.type), &req->asker.who, "%s",
				message_error_name(err));
		break;
	default:
		break;
	}
}

static void carry_out_or_refuse(struct request *req)
{
	int ret = carry_out(req);

	if (ret < 0)
		log_refusal(req, -ret);
	if (ret <= 0)
		op_answer(&req->asker, -ret);
}

void toolstack_take(struct session *s, int slot, const struct message *msg)
{
	struct request req = { .daemon = s->daemon,
			       .asker = { .session = s, .slot = slot, .who = s->who } };

	if (msg->hdr.type == XS_RELEASE) {
		toolstack_spare(s, slot, msg);
		return;
	}
	if (msg->hdr.type == XS_CONTROL) {
		control_text_request(msg, &req.msg);
	} else {
		req.msg.hdr = msg->hdr;
		memcpy(req.msg.payload, msg->payload, msg->hdr.len);
	}
	carry_out_or_refuse(&req);
}

void toolstack_ask(struct daemon *daemon, const struct message *msg, const struct asker *asker)
{
	struct request req = { .daemon = daemon, .asker = *asker };

	req.msg.hdr = msg->hdr;
	memcpy(req.msg.payload, msg->payload, msg->hdr.len);
	carry_out_or_refuse(&req);
}
