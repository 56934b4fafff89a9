// SPDX-License-Identifier: MIT
/*
 * toolstack_gate - holds back INTRODUCE and RELEASE until the domain's back ring is empty and
 * answered (design.md, rule 5). Called by up.c for each request of a privileged session.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/daemon.h"
#include "proxy/domain.h"
#include "proxy/op.h"
#include "proxy/session.h"
#include "proxy/toolstack.h"
#include "proxy/upstream.h"

/*
 * The domid as xenstored will read it: the C daemon like atoi(), the OCaml one also 0x..., 0o...
 * and 0b... (semantics.md, section 5). A number that neither would take names no domain.
 */
static uint32_t upstream_domid(const struct session *s, const char *text)
{
	bool c_daemon = upstream_flavour(s->daemon->upstream) == RINGS_FLAVOUR_C;
	int base = 10;

	if (!c_daemon && text[0] == '0' && text[1]) {
		base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : text[1] == 'b' ? 2 : 10;
		text += base == 10 ? 0 : 2;
	}
	return (uint32_t)strtoul(text, NULL, base);
}

/* oxenstored would forget dom0, and answer ENOENT (semantics.md, section 5). */
bool toolstack_forbids(struct session *s, const struct message *msg)
{
	return msg->hdr.type == XS_RELEASE && memchr(msg->payload, 0, msg->hdr.len) &&
	       !upstream_domid(s, (const char *)msg->payload);
}

bool toolstack_gate(struct session *s, const struct message *msg)
{
	struct asker asker = ASKER_NOBODY;
	struct session *target;
	struct op *op;

	if (!s->privileged || (msg->hdr.type != XS_INTRODUCE && msg->hdr.type != XS_RELEASE) ||
	    !memchr(msg->payload, 0, msg->hdr.len))
		return true;
	if (s->settle)
		return s->settle->passed;

	target = domains_session(s->daemon->domains, upstream_domid(s, (const char *)msg->payload));
	if (!target || target == s)
		return true;
	/* Without memory the request goes on unprotected, as it would have without us. */
	asker.session = s;
	if (op_new(&op, s->daemon, OP_SETTLE, &asker, target, true))
		return true;
	s->settle = op;
	op->passed = session_settled(target);
	return op->passed;
}

void toolstack_gate_pass(struct session *s, int slot)
{
	struct op *op = s->settle;

	if (!op)
		return;
	op->under_way = true;
	s->settle = NULL;
	s->ops[slot] = op;
	if (op->timer)
		evtimer_del(op->timer);
}

void toolstack_request_dropped(struct session *s)
{
	if (s->settle)
		op_free(s->settle);
}
