// SPDX-License-Identifier: MIT
/*
 * toolstack_gate - holds back INTRODUCE and RELEASE until the domain's requests are taken and
 * answered (docs/architecture.md, "INTRODUCE, RELEASE and the C daemon's zeroes"). Called by up.c
 * for each request that would be forwarded.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/lasting.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/op.h"
#include "proxy/toolstack/target.h"
#include "proxy/toolstack/toolstack.h"

/* The domid of a payload in the form that form.h gives it. */
static uint32_t domid_of(const struct message *msg)
{
	return (uint32_t)strtoul((const char *)msg->payload, NULL, 10);
}

/* oxenstored would forget dom0, and answer ENOENT (docs/daemons.md, "RELEASE"). */
bool toolstack_forbids(const struct message *msg)
{
	return msg->hdr.type == XS_RELEASE && memchr(msg->payload, 0, msg->hdr.len) &&
	       !domid_of(msg);
}

/* A xenstored that has crashed has let go of it, and not said so (session/again.h). */
static bool is_released(const struct session *s, const struct message *msg)
{
	return s->again.taking && !domains_session(s->daemon->domains, domid_of(msg));
}

/* oxenstored releases it, whoever holds on to it. */
bool toolstack_spares(struct session *s, const struct message *msg)
{
	const struct daemon *daemon = s->daemon;
	const struct session *target;

	if (msg->hdr.type == XS_RELEASE && memchr(msg->payload, 0, msg->hdr.len) &&
	    is_released(s, msg))
		return true;
	if (msg->hdr.type != XS_RELEASE || daemon->flavour != RINGS_FLAVOUR_C ||
	    daemon->config.guard_release == CONFIG_PASS || !memchr(msg->payload, 0, msg->hdr.len))
		return false;
	target = domains_session(daemon->domains, domid_of(msg));
	return target && target_is_kept(target);
}

void toolstack_spare(struct session *s, int slot, const struct message *msg)
{
	struct asker asker = { .session = s, .slot = slot };

	if (!is_released(s, msg))
		who_log(domid_of(msg), "RELEASE", &s->who,
			"xenstored would keep it, as a stubdomain holds on to it, and might end "
			"when both end; answered OK in its place, see [guard] release");
	/* It may have waited at the gate before that was so. */
	toolstack_request_dropped(s);
	op_answer(&asker, 0);
}

/* Whether upstream may have taken only a part of a request. */
static bool is_cut_short(const struct session *s)
{
	struct ring_view out;

	return word_get(&s->ledger->up_sent) || (!ring_load(&s->back.out, &out) && ring_used(&out));
}

/*
 * The domain did not settle in time. Better an unanswered request of that guest than a toolstack
 * that hangs; but C daemons that have taken a part of a request use it after INTRODUCE has freed
 * it. RELEASE ends the connection and all it has.
 */
static int late_gate(struct op *op, const struct message *msg)
{
	uint32_t domid = op->target->domid;

	if (msg->hdr.type == XS_INTRODUCE && is_cut_short(op->target)) {
		if (!op->refused)
			log_domain(LOG_WARNING, domid,
				   "did not settle in time; its INTRODUCE is refused with EAGAIN, "
				   "as xenstored has not taken all of a request");
		op->refused = true;
		return -EAGAIN;
	}
	log_domain(LOG_WARNING, domid,
		   "did not settle in time; its %s goes on, requests under way may be lost",
		   message_name(msg->hdr.type));
	op->passed = true;
	return 1;
}

int toolstack_gate(struct session *s, const struct message *msg)
{
	struct asker asker = ASKER_NOBODY;
	struct session *target;
	struct op *op;

	if (s->privileged && msg->hdr.type == XS_SET_TARGET)
		target_begin(s, msg);
	if (s->privileged)
		lasting_note(s->daemon, msg);
	if (!s->privileged || (msg->hdr.type != XS_INTRODUCE && msg->hdr.type != XS_RELEASE) ||
	    !memchr(msg->payload, 0, msg->hdr.len))
		return 1;
	if (s->settle && s->settle->late && !s->settle->passed)
		return late_gate(s->settle, msg);
	if (s->settle)
		return s->settle->passed;

	target = domains_session(s->daemon->domains, domid_of(msg));
	if (!target || target == s)
		return 1;
	/* Without memory the request goes on unprotected, as it would have without us. */
	asker.session = s;
	if (op_new(&op, s->daemon, OP_SETTLE, &asker, target, true))
		return 1;
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
