// SPDX-License-Identifier: MIT
/*
 * exchange_handing - what starters of xenstored are told in an exchange: give what you have, here
 * is the state, you are not needed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/exchange/entry.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/exchange/leave.h"
#include "proxy/exchange/plan.h"
#include "proxy/host/domain.h"
#include "proxy/host/keeper.h"
#include "proxy/host/memory.h"
#include "proxy/host/own.h"
#include "proxy/host/upstream.h"
#include "proxy/local.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/ledgers.h"

#define BIND_MS	      2000
#define BIND_AGAIN_MS 20
#define AFTER_MS      1000 /* between two attempts with the daemon that was there before */

/* @with: of the words, and so maybe without an end */
static int make_plan(const struct exchange *exchange, const char with[LEDGERS_DAEMON_MAX])
{
	char text[LEDGERS_DAEMON_MAX];

	memcpy(text, with, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	return plan_make(exchange->daemon, text);
}

void exchange_know(struct exchange *exchange, int pidfd)
{
	int before = exchange->pidfd;

	exchange->pidfd = pidfd;
	upstream_keep_state(exchange->daemon->upstream, exchange->state, pidfd);
	if (before >= 0)
		close(before);
}

/* Give the state to the starter that is there. @at: exchange_words() */
static void hand_out(struct exchange *exchange, struct ledgers_exchange *at)
{
	uint32_t tries = atomic_load(&at->tries);
	int fds[START_RESTORE_FDS] = {
		exchange->state,
		make_plan(exchange, tries ? at->was : at->with),
		upstream_memory(exchange->daemon->upstream)->rings.arena.fd,
	};
	int err = fds[1] < 0 ? fds[1] : 0;

	exchange_forget_all(exchange->daemon);
	if (!err && lseek(exchange->state, 0, SEEK_SET))
		err = -errno;
	/* Before it is told: who finds HAVE knows that nobody has the state. */
	exchange_know(exchange, starters_pidfd(exchange->starters));
	exchange->result.outcome = tries ? EXCHANGE_RESTORED : 0;
	atomic_store(&at->tries, tries + 1);
	exchange_enter(exchange, EXCHANGE_STARTED);
	if (!err)
		err = starters_tell(exchange->starters, START_RESTORE, fds, START_RESTORE_FDS);
	if (fds[1] >= 0)
		close(fds[1]);
	if (err) {
		atomic_store(&at->tries, tries);
		exchange_enter(exchange, EXCHANGE_HAVE);
		/* It comes again, or the next one does. */
		log_line(LOG_ERR, "cannot give the state to the starter of xenstored: %s",
			 strerror(-err));
		exchange->untold = true;
		loop_timer(exchange->timer, AFTER_MS);
		return;
	}
	exchange->untold = false;
}

bool exchange_look_started(struct exchange *exchange)
{
	uint32_t ms = exchange->daemon->config.start_timeout_ms;
	int err;

	if (!exchange->deadline)
		exchange->deadline = clock_monotonic() + (uint64_t)ms * CLOCK_NS_OF_MS;
	if (exchange->pidfd < 0 || clock_monotonic() < exchange->deadline)
		return exchange->pidfd >= 0;
	exchange_blame(exchange,
		       "the new xenstored did not get ready within %u ms ([xenstored] "
		       "start-timeout)",
		       ms);
	log_line(LOG_ERR, "exchange of xenstored: %s; it is killed", exchange->result.why);
	err = local_kill(exchange->pidfd);
	if (err && err != -ESRCH)
		log_line(LOG_ERR, "cannot kill it: %s; do that, or guests wait for ever",
			 strerror(-err));
	return false;
}

/*
 * After an entry event channels may still be a native daemon's, that is ending. Return: whether to
 * wait for it.
 */
static bool must_bind(struct exchange *exchange)
{
	uint32_t left = domains_bind(exchange->daemon->domains);

	if (left && !exchange->deadline)
		exchange->deadline = clock_monotonic() + (uint64_t)BIND_MS * CLOCK_NS_OF_MS;
	return left && clock_monotonic() < exchange->deadline;
}

static void wait_once_more(struct exchange *exchange, uint32_t ms)
{
	exchange->untold = true;
	loop_timer(exchange->timer, ms);
}

static void answer_daemon(struct exchange *exchange, struct ledgers_exchange *at)
{
	if (exchange->leave && exchange->reads) {
		/* Once: if nothing comes of it it is an exchange. */
		exchange->reads = false;
		leave_tell(exchange);
		return;
	}
	if (exchange->leave)
		leave_missed(exchange);
	if (must_bind(exchange)) {
		wait_once_more(exchange, BIND_AGAIN_MS);
		return;
	}
	exchange_note_how(exchange);
	exchange_step(exchange);
	hand_out(exchange, at);
}

void exchange_end_daemon(const struct exchange *exchange)
{
	int err = upstream_end(exchange->daemon->upstream);

	if (err)
		log_line(LOG_ERR, "cannot end xenstored: %s; do that, or guests wait for ever",
			 strerror(-err));
}

/* It was not the daemon's own program that has handed over what that had. */
static void end_what_was_read(struct exchange *exchange)
{
	starters_tell(exchange->starters, START_ENOUGH, NULL, 0);
	exchange_end_daemon(exchange);
}

void exchange_hand_over(struct exchange *exchange)
{
	struct ledgers_exchange *at = exchange_words(exchange);
	bool now;

	/* From here on the daemon may end: what it had must outlive us. */
	exchange->untold = !at || !keeper_told(exchange->daemon->keeper);
	if (exchange->untold) {
		loop_timer(exchange->timer, EXCHANGE_LOOK_MS);
		return;
	}
	now = exchange_stage(exchange) != EXCHANGE_HAVE;
	if (now)
		exchange_enter(exchange, EXCHANGE_HAVE);
	if (exchange->role == START_DAEMON)
		answer_daemon(exchange, at);
	else if (exchange->role == START_READER && now)
		end_what_was_read(exchange);
	else if (exchange->role == START_UPDATE && exchange->leave)
		leave_tell(exchange);
	else if (exchange->role == START_UPDATE)
		starters_tell(exchange->starters, START_ENOUGH, NULL, 0);
}

static bool wants_state(const struct exchange *exchange)
{
	enum exchange_stage stage = exchange_stage(exchange);

	if (exchange->role == START_READER)
		return exchange->reads && stage == EXCHANGE_ASKED;
	return stage == EXCHANGE_ASKED || stage == EXCHANGE_UNDO;
}

/* The daemon is there still, so what it has read is of use only where we are about to end that. */
static void reader_came(struct exchange *exchange)
{
	exchange->role = START_READER;
	starters_tell(exchange->starters, wants_state(exchange) ? START_WANT : START_AFRESH, NULL,
		      0);
}

/*
 * Something starts a second one, as an init script that does not find the first. It would take that
 * one's sockets and the bridge's from it, and then end. Return: the first one's pid, or 0.
 */
static int32_t find_first(const struct exchange *exchange)
{
	const struct upstream *up = exchange->daemon->upstream;
	int32_t pid = upstream_serves(up) ? rings_header(&upstream_memory(up)->rings)->pid : 0;

	return pid > 0 && (!kill(pid, 0) || errno == EPERM) ? pid : 0;
}

static void start_afresh(const struct exchange *exchange)
{
	int32_t first = exchange->role == START_DAEMON ? find_first(exchange) : 0;

	if (first)
		log_line(LOG_WARNING,
			 "a second xenstored was to be started; it is not, for process %d is one",
			 first);
	starters_tell(exchange->starters, first ? START_ENOUGH : START_AFRESH, NULL, 0);
}

void exchange_wait_no_more(struct exchange *exchange)
{
	if (exchange->came && starters_there(exchange->starters))
		starters_tell(exchange->starters, START_AFRESH, NULL, 0);
	exchange->came = false;
}

/* Whether one that is to become the daemon has come before what that needs is there. */
static bool must_wait(struct exchange *exchange, enum exchange_stage stage)
{
	if (stage == EXCHANGE_CRASHED)
		return true;
	return stage == EXCHANGE_NONE &&
	       (exchange_is_dead(exchange) || exchange_found_dead(exchange));
}

static void came_cb(void *arg, enum start_role role)
{
	struct exchange *exchange = arg;
	enum exchange_stage stage = exchange_stage(exchange);

	if (role == START_NATIVE) {
		entry_came(exchange);
		return;
	}
	if (role == START_READER) {
		reader_came(exchange);
		return;
	}
	if (stage == EXCHANGE_LEAVING || exchange->daemon->leaving) {
		leave_back(exchange);
		stage = exchange_stage(exchange);
	}
	exchange->role = role;
	if (exchange->entry && role == START_DAEMON) {
		entry_started(exchange);
		stage = exchange_stage(exchange);
	}
	if (stage >= EXCHANGE_HAVE && stage <= EXCHANGE_RETURN) {
		if (stage != EXCHANGE_HAVE && role == START_DAEMON) {
			if (!*exchange->result.why)
				exchange_blame(exchange, "the new xenstored ended at its start");
			exchange_enter(exchange, EXCHANGE_HAVE);
		}
		exchange_hand_over(exchange);
		return;
	}
	/* Its bridge tells, or what has not been answered is being taken back. */
	exchange->came = role == START_DAEMON && must_wait(exchange, stage);
	if (exchange->came)
		return;
	/* What was read is there; the keeper was slow, and the daemon quick. */
	if (stage == EXCHANGE_ASKED && exchange->state >= 0) {
		exchange_hand_over(exchange);
		return;
	}
	/* Also where nothing was to come of it, and the daemon was quicker. */
	if (stage == EXCHANGE_ASKED || stage == EXCHANGE_UNDO)
		starters_tell(exchange->starters, START_WANT, NULL, 0);
	else
		start_afresh(exchange);
}

/* It was written before anybody was asked: after a live update that failed one may be left. */
static bool is_old(const struct exchange *exchange, uint32_t age)
{
	uint64_t since = (clock_monotonic() - exchange->since) / CLOCK_NS_OF_S;

	return exchange->role == START_DAEMON && age > since + 1;
}

static void state_cb(void *arg, int fd, uint32_t age)
{
	struct exchange *exchange = arg;

	if (exchange->entry) {
		entry_state(exchange, fd);
		return;
	}
	if (fd >= 0 && is_old(exchange, age)) {
		close(fd);
		fd = -ESTALE;
	}
	if (!wants_state(exchange)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	exchange->came = fd < 0 && exchange_crashed(exchange);
	if (exchange->came)
		return;
	if (fd < 0) {
		starters_tell(exchange->starters, START_AFRESH, NULL, 0);
		exchange_lost(exchange, "xenstored ended, and left no state");
		return;
	}
	exchange->own = own_close(exchange->own);
	exchange->state = fd;
	exchange->daemon->parted = true;
	exchange_blame(exchange, "%s", "");
	exchange_know(exchange, -1);
	atomic_store(&exchange_words(exchange)->tries, 0);
	exchange_hand_over(exchange);
}

static void failed_cb(void *arg, const char *why)
{
	struct exchange *exchange = arg;

	if (exchange->entry)
		entry_failed(exchange, why);
	if (exchange_stage(exchange) == EXCHANGE_LEAVING)
		leave_failed(exchange, why);
	if (exchange_stage(exchange) != EXCHANGE_STARTED)
		return;
	exchange_blame(exchange, "the new xenstored cannot be started: %s", why);
	log_line(LOG_ERR, "exchange of xenstored: %s", exchange->result.why);
	exchange_enter(exchange, EXCHANGE_HAVE);
	if (exchange->result.outcome != EXCHANGE_RESTORED) {
		exchange_hand_over(exchange);
		return;
	}
	exchange->untold = true;
	loop_timer(exchange->timer, AFTER_MS);
}

/* --- a native daemon's, in an entry */

static void conns_cb(void *arg, int fd, uint32_t sockets)
{
	struct exchange *exchange = arg;

	if (exchange->entry)
		entry_conns(exchange, fd, sockets);
	else if (fd >= 0)
		close(fd);
}

static void sockets_cb(void *arg, const int fds[LINK_FDS_MAX])
{
	struct exchange *exchange = arg;

	if (exchange->entry) {
		entry_sockets(exchange, fds);
		return;
	}
	for (int i = 0; i < LINK_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void listener_cb(void *arg, int fd)
{
	struct exchange *exchange = arg;

	if (exchange->entry)
		entry_listener(exchange, fd);
	else if (fd >= 0)
		close(fd);
}

static void gone_cb(void *arg)
{
	struct exchange *exchange = arg;

	if (exchange->entry)
		entry_gone(exchange);
}

const struct starters_news exchange_news = {
	.came = came_cb,
	.state = state_cb,
	.failed = failed_cb,
	.conns = conns_cb,
	.sockets = sockets_cb,
	.listener = listener_cb,
	.gone = gone_cb,
};
