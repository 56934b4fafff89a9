// SPDX-License-Identifier: MIT
#include "proxy/session/refusal.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/daemon.h"
#include "proxy/log.h"
#include "proxy/session/session.h"

#define LOG_EVERY_S 60

/*
 * What errors mean beside EACCES and EPERM, which mean the same for any request: docs/daemons.md,
 * "What an error means". What is not here is no refusal.
 */
static const struct row {
	uint8_t enomem, enospc, e2big, equota; /* enum refusal_cause */
} rows[] = {
	/* E2BIG: the reply would be too long, ask for its parts. The others: in a transaction. */
	[XS_DIRECTORY] = { REFUSAL_QUOTA, REFUSAL_QUOTA, REFUSAL_NOT, REFUSAL_QUOTA },
	[XS_DIRECTORY_PART] = { REFUSAL_QUOTA, REFUSAL_QUOTA, REFUSAL_NOT, REFUSAL_QUOTA },
	[XS_READ] = { REFUSAL_QUOTA, REFUSAL_QUOTA, REFUSAL_NOT, REFUSAL_QUOTA },
	[XS_GET_PERMS] = { REFUSAL_QUOTA, REFUSAL_QUOTA, REFUSAL_NOT, REFUSAL_QUOTA },
	[XS_GET_DOMAIN_PATH] = { REFUSAL_QUOTA, REFUSAL_NOT, REFUSAL_NOT, REFUSAL_QUOTA },
	/* E2BIG: the value is too long. */
	[XS_WRITE] = { REFUSAL_QUOTA, REFUSAL_QUOTA, REFUSAL_QUOTA, REFUSAL_QUOTA },
	[XS_MKDIR] = { REFUSAL_QUOTA, REFUSAL_QUOTA, REFUSAL_NOT, REFUSAL_QUOTA },
	[XS_RM] = { REFUSAL_QUOTA, REFUSAL_QUOTA, REFUSAL_NOT, REFUSAL_QUOTA },
	[XS_SET_PERMS] = { REFUSAL_QUOTA, REFUSAL_QUOTA, REFUSAL_NOT, REFUSAL_QUOTA },
	[XS_TRANSACTION_START] = { REFUSAL_QUOTA, REFUSAL_TRANSACTIONS, REFUSAL_NOT,
				   REFUSAL_TRANSACTIONS },
	[XS_TRANSACTION_END] = { REFUSAL_QUOTA, REFUSAL_QUOTA, REFUSAL_NOT, REFUSAL_QUOTA },
	[XS_WATCH] = { REFUSAL_WATCHES, REFUSAL_WATCHES, REFUSAL_WATCHES, REFUSAL_WATCHES },
	[XS_UNWATCH] = { .enomem = REFUSAL_QUOTA },
	[XS_RESET_WATCHES] = { .enomem = REFUSAL_QUOTA },
};

enum refusal_cause refusal_cause(uint32_t type, int err)
{
	static const struct row none;
	const struct row *row = type < sizeof(rows) / sizeof(rows[0]) ? &rows[type] : &none;

	switch (err) {
	case EACCES:
	case EPERM:
		return REFUSAL_PERMISSION;
	case ENOMEM:
		return row->enomem;
	case ENOSPC:
		return row->enospc;
	case E2BIG:
		return row->e2big;
	case EDQUOT:
		return row->equota;
	default:
		return REFUSAL_NOT;
	}
}

const char *refusal_cause_name(uint32_t type, int err)
{
	static const char *const names[] = {
		[REFUSAL_NOT] = "none",
		[REFUSAL_PERMISSION] = "permission",
		[REFUSAL_QUOTA] = "quota",
		[REFUSAL_WATCHES] = "watches",
		[REFUSAL_TRANSACTIONS] = "transactions",
	};

	return names[refusal_cause(type, err)];
}

const char *refusal_error(int err)
{
	/* Not in the protocol's list; oxenstored's name for it. */
	return err == EDQUOT ? "EQUOTA" : message_error_name(err);
}

static struct refusal *kind_of(struct refusals *refusals, uint32_t type, int err)
{
	struct refusal *kind;

	for (uint32_t i = 0; i < refusals->kinds; i++) {
		kind = &refusals->kind[i];
		if (kind->type == type && kind->err == err)
			return kind;
	}
	if (!refusals->kind)
		refusals->kind = calloc(REFUSAL_KINDS, sizeof(*refusals->kind));
	if (!refusals->kind || refusals->kinds == REFUSAL_KINDS)
		return NULL;
	kind = &refusals->kind[refusals->kinds++];
	*kind = (struct refusal){ .type = type, .err = err };
	return kind;
}

/* What it has too many or too much of; what a quota may be called is the daemon's affair. */
static const char *excess(uint32_t type, int err)
{
	switch (type) {
	case XS_WRITE:
		if (err == E2BIG)
			return "its value is too long";
		return err == ENOMEM ? "it has too much memory"
				     : "it has too many nodes, or this one's value is too long";
	case XS_MKDIR:
		return err == ENOMEM ? "it has too much memory" : "it has too many nodes";
	case XS_SET_PERMS:
		return err == ENOMEM ? "it has too much memory"
				     : "the node has too many permissions";
	default:
		return err == ENOMEM ? "it has too much memory"
				     : "it has done too much in one transaction";
	}
}

/* What the administrator can do about it. */
static void log_first(struct session *s, const struct refusal *kind, const char *of)
{
	const char *request = message_name(kind->type), *error = refusal_error(kind->err);
	const char *joint = *of ? " of " : "";

	switch (refusal_cause(kind->type, kind->err)) {
	case REFUSAL_PERMISSION:
		log_request(&s->source, LOG_NOTICE, request,
			    "%s%s%s was refused with %s; it has no permission", request, joint, of,
			    error);
		break;
	case REFUSAL_WATCHES:
		log_request(&s->source, LOG_WARNING, request,
			    "%s%s%s was refused with %s: it has %u watches; see xsproxyctl watches "
			    "%u",
			    request, joint, of, error, s->watches.count, s->domid);
		break;
	case REFUSAL_TRANSACTIONS:
		log_request(&s->source, LOG_WARNING, request,
			    "%s was refused with %s: it has %u transactions open; see xsproxyctl "
			    "transactions %u",
			    request, error, transaction_count(&s->transactions), s->domid);
		break;
	case REFUSAL_QUOTA:
		log_request(&s->source, LOG_WARNING, request,
			    "%s%s%s was refused with %s: %s; if it needs more, raise xenstored's "
			    "quota, see xsproxyctl quota %u",
			    request, joint, of, error, excess(kind->type, kind->err), s->domid);
		break;
	case REFUSAL_NOT: /* is not noted */
		break;
	}
}

/*
 * A minute is over: one line with what it brought. Without news the next refusal is logged at once.
 */
static void minute_cb(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval minute = { .tv_sec = LOG_EVERY_S };
	struct session *s = arg;
	struct refusals *refusals = &s->refusals;
	char text[512];
	size_t n = 0;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < refusals->kinds; i++) {
		struct refusal *kind = &refusals->kind[i];

		if (!kind->fresh || n + 64 > sizeof(text))
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s %u times (%u in all)",
				      n ? ", " : "", message_name(kind->type),
				      refusal_error(kind->err), kind->fresh, kind->count);
		kind->fresh = 0;
	}
	if (!n)
		return;
	log_limited(&s->source, LOG_WARNING, "refused in the last minute: %s", text);
	evtimer_add(refusals->timer, &minute);
}

void refusal_note(struct session *s, uint32_t type, int err, const char *of)
{
	static const struct timeval minute = { .tv_sec = LOG_EVERY_S };
	struct refusals *refusals = &s->refusals;
	struct refusal *kind;

	if (refusal_cause(type, err) == REFUSAL_NOT)
		return;
	kind = kind_of(refusals, type, err);
	if (!kind) {
		refusals->others++;
		return;
	}
	kind->count++;
	refusals->last = (uint32_t)(kind - refusals->kind);
	if (!refusals->timer)
		refusals->timer = evtimer_new(s->daemon->base, minute_cb, s);
	/* Without memory for a timer there are no totals, but still the first line. */
	if (kind->count > 1 && refusals->timer && evtimer_pending(refusals->timer, NULL)) {
		kind->fresh++;
		return;
	}
	if (kind->count == 1 || refusals->timer)
		log_first(s, kind, of);
	if (refusals->timer && !evtimer_pending(refusals->timer, NULL))
		evtimer_add(refusals->timer, &minute);
}

int refusal_bound(struct session *s, uint32_t type, int err)
{
	const char *request = message_name(type);
	char who[WHO_TEXT_MAX];

	switch (err) {
	case EPERM:
		log_limited(&s->source, LOG_WARNING,
			    "%s of %s was refused with EACCES, for only root may ask; see [socket] "
			    "users-control in xsproxy.conf",
			    request, who_text(&s->who, who));
		return EACCES;
	case EDQUOT:
		log_limited(&s->source, LOG_WARNING,
			    "%s was refused with ENOMEM: it has %u watches; raise [limits] watches "
			    "in xsproxy.conf if it may have more",
			    request, s->watches.count);
		return ENOMEM;
	case ENOBUFS:
		log_limited(&s->source, LOG_WARNING,
			    "%s was refused with ENOMEM: its watches take all they may; raise "
			    "[limits] %s in xsproxy.conf if they may take more",
			    request, s->privileged ? "client-memory" : "watch-memory");
		return ENOMEM;
	case ENOMEM:
		log_limited(&s->source, LOG_WARNING,
			    s->socket
				    ? "%s was refused with ENOMEM: what it does not read, and its "
				      "watches, take all they may; raise [limits] client-memory "
				      "in xsproxy.conf, or free memory in dom0"
				    : "%s was refused with ENOMEM: the memory that all domains "
				      "share is used up, or dom0's own; see \"memory\" in "
				      "xsproxyctl domains --json",
			    request);
		return ENOMEM;
	default:
		return err;
	}
}

void refusals_fini(struct refusals *refusals)
{
	if (refusals->timer)
		event_free(refusals->timer);
	refusals->timer = NULL;
	free(refusals->kind);
	refusals->kind = NULL;
	refusals->kinds = 0;
}
