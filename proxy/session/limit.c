// SPDX-License-Identifier: MIT
#include "proxy/session/limit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/control_text.h"
#include "proxy/daemon.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"
#include "proxy/util.h"

/* A domain that is at the brink makes one line, not many: it has fallen back below 7/8 of that. */
#define EIGHTHS	    8
#define FALLEN_BACK 7

uint32_t limit_own(const struct session *s)
{
	return s->privileged ? UINT32_MAX : s->daemon->config.watches;
}

uint32_t limit_memory(const struct session *s)
{
	const struct config *config = &s->daemon->config;

	return s->privileged ? config->client_memory : config->watch_memory;
}

/* It does not hold for dom0, nor for the toolstack. */
static bool has_quota(const struct session *s)
{
	return !s->privileged && s->daemon->watch_quota;
}

uint32_t limit_watches(const struct session *s)
{
	return has_quota(s) ? min_u32(limit_own(s), s->daemon->watch_quota) : limit_own(s);
}

static uint64_t used(const struct session *s, enum limit_kind kind)
{
	return kind == LIMIT_WATCHES ? s->watches.count : s->watches.live;
}

static uint64_t most(const struct session *s, enum limit_kind kind)
{
	return kind == LIMIT_WATCHES ? limit_watches(s)
				     : (uint64_t)limit_memory(s) * POOL_MIB * POOL_PAGE;
}

static bool is_near(const struct session *s, enum limit_kind kind, uint64_t eighths)
{
	uint64_t percent = s->daemon->config.quota_warning;

	return percent && used(s, kind) * 100 * EIGHTHS >= most(s, kind) * percent * eighths;
}

bool limit_near(const struct session *s)
{
	return is_near(s, LIMIT_WATCHES, EIGHTHS) || is_near(s, LIMIT_MEMORY, EIGHTHS);
}

static void say(struct session *s, enum limit_kind kind)
{
	uint32_t all = limit_watches(s);

	if (kind == LIMIT_MEMORY)
		log_limited(
			&s->source, LOG_WARNING,
			"its watches take %u%% of the %u MiB that they may take, by [limits] %s "
			"in xsproxy.conf",
			(uint32_t)(used(s, kind) * 100 / most(s, kind)), limit_memory(s),
			s->privileged ? "client-memory" : "watch-memory");
	else
		log_limited(
			&s->source, LOG_WARNING,
			"it has %u of the %u watches that %s; see xsproxyctl watches --stale %u",
			s->watches.count, all,
			all < limit_own(s) ? "xenstored lets it have"
					   : "it may have by [limits] watches in xsproxy.conf",
			s->domid);
}

static void look(struct session *s, enum limit_kind kind)
{
	bool *said = &s->limits.said[kind];

	if (*said) {
		*said = is_near(s, kind, FALLEN_BACK);
		return;
	}
	*said = is_near(s, kind, EIGHTHS);
	if (*said)
		say(s, kind);
}

/* Oxenstored does not tell its quota, but there is no other reason for it to say this. */
static void refused(struct session *s, const struct message *msg)
{
	if (s->privileged || s->daemon->flavour != RINGS_FLAVOUR_OCAML ||
	    message_error_parse(msg->payload, msg->hdr.len) != EDQUOT)
		return;
	s->daemon->watch_quota = s->watches.count;
	s->limits.said[LIMIT_WATCHES] = true; /* its refusal is in the log */
}

/* Oxenstored says OK, and nothing else. */
static void overhear(struct daemon *daemon, const struct message *msg)
{
	uint32_t watches = control_text_quota_watches(msg);

	if (watches)
		daemon->watch_quota = watches;
}

static void watches_changed(struct session *s)
{
	/* It has been changed since; the C daemon lets a domain have one more than it says. */
	if (has_quota(s) && s->watches.count > s->daemon->watch_quota + 1)
		s->daemon->watch_quota = 0;
	look(s, LIMIT_WATCHES);
	look(s, LIMIT_MEMORY);
}

void limit_request(struct session *s, int slot, const struct message *msg)
{
	enum control_text_quota what = control_text_quota(msg);
	uint32_t bit = 1u << slot;

	s->limits.asked &= ~bit;
	if (!s->privileged)
		return;
	if (what == CONTROL_TEXT_QUOTA_SET)
		s->daemon->watch_quota = 0;
	else if (what == CONTROL_TEXT_QUOTA_SHOW)
		s->limits.asked |= bit;
}

void limit_reply(struct session *s, int slot, const struct ledger_pending *pending,
		 const struct message *msg)
{
	switch (pending->type) {
	case XS_WATCH:
		/* Of those that it has, another xenstored may have been told of a part only. */
		if (msg->hdr.type == XS_ERROR && !(pending->flags & PENDING_RENEW))
			refused(s, msg);
		watches_changed(s);
		break;
	case XS_UNWATCH:
	case XS_RESET_WATCHES:
		watches_changed(s);
		break;
	case XS_CONTROL:
		if (msg->hdr.type == XS_CONTROL && s->limits.asked >> slot & 1)
			overhear(s->daemon, msg);
		break;
	}
}
