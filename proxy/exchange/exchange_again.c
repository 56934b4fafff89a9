// SPDX-License-Identifier: MIT
/*
 * exchange_again - what a xenstored that has crashed has not answered is asked once more, one
 * request at a time, privileged sessions' first; and who is alone under way when the next one
 * crashes is to blame.
 */
#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/host/sessions.h"
#include "proxy/log.h"
#include "proxy/session/again.h"
#include "proxy/session/session.h"

/* It cannot be asked, or its front takes no answers: others wait no longer. */
#define LATE_MS 2000

struct search {
	struct session *found;
	uint32_t name; /* of the one that is looked for; 0: the next one */
};

static bool comes_first(const struct session *s, const struct session *other)
{
	return !other || s->privileged > other->privileged;
}

/* Was let, and is not answered. */
static bool is_let(const struct session *s)
{
	return s->again.may || again_is_under_way(s);
}

static void search_one(struct session *s, void *arg)
{
	struct search *search = arg;

	if (search->name) {
		if (session_name(s) == search->name)
			search->found = s;
		return;
	}
	if (again_waits(s) && session_state(s) == LEDGER_ENDED)
		again_forget(s);
	if (again_waits(s) && !is_let(s) && comes_first(s, search->found))
		search->found = s;
}

/* Return: a session, or NULL. */
static struct session *search(struct daemon *daemon, uint32_t name)
{
	struct search search = { .name = name };

	sessions_each(daemon, search_one, &search);
	return search.found;
}

/* Return: whether one is asked. */
static bool ask_next(struct exchange *exchange)
{
	struct session *s = search(exchange->daemon, 0);

	atomic_store(&exchange_words(exchange)->suspect, s ? session_name(s) : 0);
	if (!s)
		return false;
	exchange->deadline = clock_monotonic() + (uint64_t)LATE_MS * CLOCK_NS_OF_MS;
	again_let(s);
	return true;
}

static bool is_suspect(const struct exchange *exchange, const struct session *s)
{
	return exchange_stage(exchange) == EXCHANGE_AGAIN &&
	       atomic_load(&exchange_words(exchange)->suspect) == session_name(s);
}

void exchange_again_answered(struct daemon *daemon, struct session *s)
{
	if (is_suspect(daemon->exchange, s))
		ask_next(daemon->exchange);
	else if (again_waits(s))
		again_let(s);
}

static void let_late(struct session *s, void *arg)
{
	(void)arg;
	if (again_waits(s) && !is_let(s))
		again_let(s);
}

void exchange_let_late(struct exchange *exchange)
{
	sessions_each(exchange->daemon, let_late, NULL);
}

bool exchange_begin_again(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;

	if (!search(daemon, 0)) {
		if (exchange_stage(exchange) == EXCHANGE_AGAIN)
			exchange_end(exchange);
		return false;
	}
	daemon->parted = false;
	exchange_enter(exchange, EXCHANGE_AGAIN);
	ask_next(exchange);
	return true;
}

/* Whether nobody is to wait for it: it is late, and goes on by itself, or was refused by ourselves,
 * and nobody has said so. */
static bool is_over(const struct exchange *exchange, struct session *s)
{
	if (!s || !again_waits(s) || !is_let(s))
		return true;
	if (clock_monotonic() < exchange->deadline)
		return false;
	log_limited(&s->source, LOG_WARNING,
		    "a request that was under way when xenstored crashed is not answered yet; "
		    "others wait for it no longer");
	return true;
}

bool exchange_look_again(struct exchange *exchange)
{
	uint32_t suspect = atomic_load(&exchange_words(exchange)->suspect);

	if (!is_over(exchange, search(exchange->daemon, suspect)) || ask_next(exchange))
		return true;
	exchange_end(exchange);
	return false;
}

/* A second time it is its guest. dom0's ring and toolstacks only have their request refused. */
static void judge_session(struct session *s)
{
	struct ledger_more *more = ledger_more(s->ledger);
	uint32_t crimes = word_get(&more->crimes) + 1;

	atomic_store(&more->crimes, crimes);
	if (crimes > 1 && !s->privileged) {
		session_fail(s, XENSTORE_ERROR_COMM,
			     "xenstored has crashed from its requests twice");
		return;
	}
	log_limited(&s->source, LOG_ERR, "xenstored has crashed from its request: EIO");
	if (again_refuse(s))
		session_fail(s, XENSTORE_ERROR_COMM,
			     "xenstored has crashed from its request, and it takes no answer");
}

static void count_one(struct session *s, void *arg)
{
	uint32_t *count = arg;

	*count += again_is_under_way(s);
}

/* Next to a late one it may not have been the suspect. */
static bool is_alone(struct exchange *exchange)
{
	uint32_t count = 0;

	sessions_each(exchange->daemon, count_one, &count);
	return count == 1;
}

void exchange_judge(struct exchange *exchange)
{
	struct ledgers_exchange *at = exchange_words(exchange);
	uint32_t suspect = atomic_load(&at->suspect);
	struct session *s = suspect ? search(exchange->daemon, suspect) : NULL;

	atomic_store(&at->suspect, 0);
	if (s && again_is_under_way(s) && is_alone(exchange)) {
		/* Of its answer nothing is to come. */
		again_gather(s);
		judge_session(s);
	}
}
