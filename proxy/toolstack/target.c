// SPDX-License-Identifier: MIT
#include "proxy/toolstack/target.h"

#include <stdlib.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/op.h"

/* Of a word of the ledger: it was released and stayed, so somebody unknown holds on to it. */
#define USER_UNKNOWN UINT32_MAX

void target_begin(struct session *s, const struct message *msg)
{
	struct asker asker = ASKER_NOBODY;
	const char *vec[2];
	struct session *target;
	uint32_t user;

	if (s->settle || message_strings(msg->payload, msg->hdr.len, vec, 2) < 2)
		return;
	/* As C daemons read it. */
	user = (uint32_t)strtoul(vec[0], NULL, 10);
	target = domains_session(s->daemon->domains, (uint32_t)strtoul(vec[1], NULL, 10));
	if (!target || target == s || !domains_session(s->daemon->domains, user))
		return;
	asker.session = s;
	if (op_new(&s->settle, s->daemon, OP_SETTLE, &asker, target, false))
		return;
	s->settle->user = user;
	s->settle->passed = true;
}

static void note(struct session *target, uint32_t user, uint32_t map_gen)
{
	struct ledger_more *more = ledger_more(target->ledger);

	more->user_gen = map_gen;
	atomic_store(&more->user, user);
}

void target_set(struct session *target, const struct session *user)
{
	note(target, user->domid + 1, user->ledger->map_gen);
}

void target_reply(const struct op *op, uint32_t type)
{
	const struct session *user;

	if (!op->target)
		return;
	if (type == XS_RELEASE && !target_is_kept(op->target))
		note(op->target, USER_UNKNOWN, 0);
	if (type != XS_SET_TARGET)
		return;
	user = domains_session(op->daemon->domains, op->user);
	if (user)
		note(op->target, op->user + 1, user->ledger->map_gen);
}

/* The word of the ledger, if it is of this mapping; else 0. */
static uint32_t user_word(const struct session *target)
{
	const struct ledger *ledger = target->ledger;

	return ledger->more.map_gen == ledger->map_gen ? word_get(&ledger->more.user) : 0;
}

int target_user(const struct session *target)
{
	uint32_t word = user_word(target);
	const struct session *user;

	if (!word || word == USER_UNKNOWN)
		return -1;
	user = domains_session(target->daemon->domains, word - 1);
	if (!user || user->ledger->map_gen != target->ledger->more.user_gen)
		return -1;
	return (int)(word - 1);
}

bool target_is_kept(const struct session *target)
{
	return user_word(target) == USER_UNKNOWN || target_user(target) >= 0;
}
