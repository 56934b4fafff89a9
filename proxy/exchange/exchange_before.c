// SPDX-License-Identifier: MIT
/*
 * exchange_before - an exchange of xenstored until it has written down what it has: what there is
 * to be asked, and how long others are waited for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/clock.h"
#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/exchange/leave.h"
#include "proxy/host/domain.h"
#include "proxy/host/own.h"
#include "proxy/host/sessions.h"
#include "proxy/session/session.h"

#define REST_MS	 5000 /* who is slower than this keeps xenstored */
#define EBB_MS	 2000 /* where all is to become whole: a front may never take what it is to get */
#define READ_MS	 60000
#define ASK_MS	 10000
#define AGAIN_MS 50
/* Of xenstored's main loop; one would do, but for events that it keeps at their source. */
#define QUIET_ROUNDS 8

#define DOMAINS	     "/local/domain"
/* Its own deadline is 5 s. */
#define START_WORDS             \
	"live-update\0-s\0-t\0" \
	"5"

static void part_one(struct session *s, void *arg)
{
	(void)arg;
	if (transaction_count(&s->transactions) && session_state(s) != LEDGER_ENDED)
		renew_part(s);
}

static bool is_late(struct exchange *exchange, uint32_t ms)
{
	/* What a stage begins with may not be possible for now. */
	if (!exchange->deadline)
		exchange->deadline = clock_monotonic() + (uint64_t)ms * CLOCK_NS_OF_MS;
	exchange->begun = true;
	return clock_monotonic() > exchange->deadline;
}

static void blame_session(struct exchange *exchange, const struct session *s)
{
	char text[WHO_TEXT_MAX];

	if (s->socket)
		exchange_blame(exchange, "xenstored owes %s an answer; try again",
			       who_text(&s->who, text));
	else
		exchange_blame(exchange, "xenstored owes domain %u an answer; try again", s->domid);
}

/*
 * A domain that is being made: it has nodes, and no ring yet. No state of the C daemon can say
 * whose they are. What is left there of one that Xen does not have counts for nobody.
 */
static int find_unmade(struct daemon *daemon, const struct own_reply *reply)
{
	const char *name = (const char *)reply->payload, *end = name + reply->len;

	while (reply->type == XS_DIRECTORY && name < end) {
		unsigned long domid = strtoul(name, NULL, 10);

		if (domid && domid < ARENA_DOMID_MAX &&
		    !domains_session(daemon->domains, (uint32_t)domid) &&
		    domains_in_xen(daemon->domains, (uint32_t)domid) > 0)
			return (int)domid;
		name += strnlen(name, (size_t)(end - name)) + 1;
	}
	return -1;
}

/* The stage is over now, for no good. */
static void give_up(struct exchange *exchange)
{
	exchange->deadline = 1;
}

static void domains_reply(struct exchange *exchange, const struct own_reply *reply)
{
	int domid = find_unmade(exchange->daemon, reply);

	if (domid < 0)
		return;
	exchange_blame(exchange, "domain %d is being made; try again", domid);
	give_up(exchange);
}

/*
 * Those that have left it to xenstored what their fronts do not read take it now. Return: 0 or why
 * xenstored cannot be asked yet.
 */
static int begin_rest(struct exchange *exchange)
{
	int err;

	exchange_wake_sessions(exchange->daemon);
	exchange->answers = 0;
	exchange->own = own_close(exchange->own);
	err = own_open(&exchange->own, exchange->daemon, exchange_reply, exchange);
	return err ? err : own_ask(exchange->own, XS_DIRECTORY, DOMAINS, sizeof(DOMAINS));
}

/* Return: whether to look again. */
static bool look_at_rest(struct exchange *exchange)
{
	const struct session *in_part = exchange->leave ? leave_ebbs(exchange) : NULL;
	bool begun = exchange->begun;
	bool late = is_late(exchange, exchange->daemon->ebbs ? EBB_MS : REST_MS);
	int err = begun ? 0 : begin_rest(exchange);
	const struct session *s = exchange_restless(exchange->daemon);

	exchange->begun = !err;
	if ((s || in_part || !exchange->answers) && !late)
		return true;
	if (!late && exchange->leave && !leave_allows(exchange)) {
		exchange_enter(exchange, EXCHANGE_UNDO);
		return false;
	}
	if (!late) {
		exchange->asked = exchange->answers;
		exchange->quiet = 0;
		exchange_enter(exchange, EXCHANGE_PART);
		sessions_each(exchange->daemon, part_one, NULL);
		return false;
	}
	if (s && !*exchange->result.why)
		blame_session(exchange, s);
	if (in_part && !*exchange->result.why)
		leave_blame(exchange, in_part);
	if (!*exchange->result.why)
		exchange_blame(exchange, "xenstored does not answer; try again");
	exchange_enter(exchange, EXCHANGE_UNDO);
	return false;
}

/*
 * A daemon that writes a state has nothing to say when it does, or says it in its state. One that
 * is read may have events that a ring had no room for: it goes on with them in each of its rounds,
 * and in each it answers us. Return: whether nothing has come in some of them.
 */
static bool is_silent(struct exchange *exchange)
{
	uint64_t heard = exchange->daemon->heard;

	if (!exchange->own || exchange->answers < exchange->asked)
		return false;
	exchange->quiet = heard == exchange->heard ? exchange->quiet + 1 : 0;
	exchange->heard = heard;
	if (exchange->quiet >= QUIET_ROUNDS)
		return true;
	exchange->asked += !own_ask(exchange->own, XS_DIRECTORY, DOMAINS, sizeof(DOMAINS));
	return false;
}

static bool look_at_part(struct exchange *exchange)
{
	bool late = is_late(exchange, REST_MS);
	const struct session *s = exchange_restless(exchange->daemon);

	if (!late && (s || (exchange->reads && !is_silent(exchange))))
		return true;
	if (late && !s && exchange->reads) {
		exchange_blame(exchange, "xenstored does not come to rest; try again");
		exchange_enter(exchange, EXCHANGE_UNDO);
		return false;
	}
	if (s)
		blame_session(exchange, s);
	exchange_enter(exchange, s ? EXCHANGE_UNDO : EXCHANGE_ASKED);
	return false;
}

/* Return: 0 or a negative errno. */
static int ask_for_state(struct exchange *exchange)
{
	const char *program = exchange->daemon->config.live_update;
	char words[CONFIG_PATH_MAX + 32];
	int n = snprintf(words, sizeof(words), "live-update%c-f%c%s", 0, 0, program);
	int err;

	exchange->answers = 0;
	exchange->ask_again = 0;
	if (!exchange->own)
		return -ENOTCONN;
	err = own_ask(exchange->own, XS_CONTROL, words, (uint32_t)n + 1);
	return err ? err : own_ask(exchange->own, XS_CONTROL, START_WORDS, sizeof(START_WORDS));
}

/*
 * The first answer is about the program. To the second request "OK" need not come; any other answer
 * says what is in the way, for now.
 */
static void live_update_reply(struct exchange *exchange, const struct own_reply *reply)
{
	const char *text = (const char *)reply->payload;
	size_t len = strnlen(text, reply->len), line = strcspn(text, "\n");

	if (reply->type != XS_ERROR && len == 2 && !memcmp(text, "OK", 2))
		return;
	exchange_blame(exchange, "xenstored does not write its state: %.*s",
		       (int)(line < len ? line : len), text);
	if (reply->type == XS_ERROR || exchange->answers == 1)
		give_up(exchange);
	else
		exchange->ask_again = clock_monotonic() + (uint64_t)AGAIN_MS * CLOCK_NS_OF_MS;
}

void exchange_reply(void *arg, const struct own_reply *reply)
{
	struct exchange *exchange = arg;

	if (!reply) {
		exchange->own = own_close(exchange->own);
		return;
	}
	exchange->answers++;
	if (exchange->daemon->leaving || exchange_stage(exchange) == EXCHANGE_LEAVING) {
		leave_answered(exchange);
		return;
	}
	if (exchange_stage(exchange) == EXCHANGE_REST)
		domains_reply(exchange, reply);
	if (exchange_stage(exchange) == EXCHANGE_ASKED)
		live_update_reply(exchange, reply);
}

/* oxenstored looks whether it can only when it has nothing else to do. */
static void ask_once_more(struct exchange *exchange)
{
	if (!exchange->ask_again || clock_monotonic() < exchange->ask_again)
		return;
	exchange->ask_again = 0;
	if (exchange->own)
		own_ask(exchange->own, XS_CONTROL, START_WORDS, sizeof(START_WORDS));
}

void exchange_unread(struct exchange *exchange, const char *why)
{
	exchange_blame(exchange, "%s", why);
	exchange_enter(exchange, EXCHANGE_UNDO);
}

static bool look_at_asked(struct exchange *exchange)
{
	bool begun = exchange->begun, late = is_late(exchange, ASK_MS);
	int err = begun ? 0 : ask_for_state(exchange);

	if (err) {
		exchange_blame(exchange, "cannot ask xenstored: %s", strerror(-err));
		give_up(exchange);
	}
	ask_once_more(exchange);
	if (!late)
		return true;
	if (!*exchange->result.why)
		exchange_blame(exchange, "xenstored does not write its state");
	exchange->abort = true;
	exchange_enter(exchange, EXCHANGE_UNDO);
	return false;
}

static bool look_at_reading(struct exchange *exchange)
{
	if (!exchange->waiter) {
		exchange_unread(exchange, "who was to read the store has gone");
		return false;
	}
	if (!is_late(exchange, READ_MS))
		return true;
	exchange_unread(exchange, "the store has not been read in time");
	return false;
}

bool exchange_look_before(struct exchange *exchange)
{
	switch (exchange_stage(exchange)) {
	case EXCHANGE_REST:
		return look_at_rest(exchange);
	case EXCHANGE_PART:
		return look_at_part(exchange);
	default:
		return exchange->reads ? look_at_reading(exchange) : look_at_asked(exchange);
	}
}
