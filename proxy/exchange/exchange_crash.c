// SPDX-License-Identifier: MIT
/*
 * exchange_crash - xenstored has ended, and nobody has asked it to: what it has not answered is
 * taken back, and another one is given what the mirror has. From there on all is as in any
 * exchange.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "link/start.h"
#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/exchange/outcome.h"
#include "proxy/host/client.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/keeper.h"
#include "proxy/host/memory.h"
#include "proxy/host/sessions.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/mend/image.h"
#include "proxy/mend/mend.h"
#include "proxy/session/again.h"
#include "proxy/session/session.h"

#define DRAIN_MS   2000
#define TURNS_MOST 64 /* of one session; each takes a number of messages */

/* --- that it has ended */

static int32_t pid_of(const struct rings *rings)
{
	return rings_header(rings)->pid;
}

static bool is_alive(int32_t pid)
{
	return pid > 0 && (!kill(pid, 0) || errno == EPERM);
}

bool exchange_is_dead(const struct exchange *exchange)
{
	const struct upstream *up = exchange->daemon->upstream;

	return upstream_serves(up) && !is_alive(pid_of(&upstream_memory(up)->rings));
}

static void begin(struct exchange *exchange)
{
	struct ledgers_exchange *at = exchange_words(exchange);
	enum exchange_stage stage = exchange_stage(exchange);

	if (stage == EXCHANGE_NONE) {
		exchange->result = (struct exchange_result){ .why = "" };
		exchange->since = clock_monotonic();
		outcome_begin(at, exchange->since);
	} else if (stage != EXCHANGE_CRASHED && stage != EXCHANGE_AGAIN) {
		/* Not what somebody has asked for. */
		exchange_blame(exchange, "xenstored ended before it was asked for its state");
		exchange->result.outcome = EXCHANGE_RESTORED;
		memcpy(at->with, at->was, sizeof(at->with));
	}
	memcpy(at->was, at->with, sizeof(at->was));
	atomic_store(&at->tries, 0);
	atomic_store(&at->bare, 0);
	exchange_poured_out(exchange);
	exchange_drop_state(exchange);
	atomic_store(&at->unasked, 1);
	exchange->crashed = 0;
	exchange->reads = exchange->abort = false;
	exchange->daemon->crashes++;
	exchange->daemon->paused = true;
	exchange->daemon->drains = exchange->daemon->parted = false;
	exchange_enter(exchange, EXCHANGE_CRASHED);
}

bool exchange_crashed(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;

	if (!exchange_words(exchange) || exchange->entry || exchange->leave)
		return false;
	if (!mend_mirror(daemon->mend)) {
		log_line(LOG_ERR, "xenstored has ended, and there is no mirror of what it had; see "
				  "xsproxyctl mirror");
		return false;
	}
	begin(exchange);
	return true;
}

bool exchange_found_dead(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;
	struct ledgers left;

	if (upstream_memory(daemon->upstream) || exchange->entry || exchange->leave ||
	    is_alive(upstream_left_pid(daemon->upstream)) ||
	    !upstream_left(daemon->upstream, &left))
		return false;
	ledgers_close(&left);
	daemon->paused = true;
	if (upstream_restore(daemon->upstream)) {
		daemon->paused = false;
		return false;
	}
	if (!mend_take(daemon->mend)) {
		daemon->paused = false;
		upstream_give_up(daemon->upstream);
		return false;
	}
	log_line(LOG_NOTICE, "xenstored has ended while there was no xsproxyd");
	begin(exchange);
	clients_upstream_up(daemon->clients);
	return true;
}

/* "killed KILL", "dumped ABRT" or "exited 1". */
void exchange_note_how(struct exchange *exchange)
{
	char path[CONFIG_PATH_MAX + sizeof(LINK_ENDED) + 1], how[16] = "", what[16] = "";
	FILE *file;

	if (*exchange->how)
		return;
	snprintf(path, sizeof(path), "%s/" LINK_ENDED, exchange->daemon->config.run_dir);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%15s %15s", how, what) == 2)
		snprintf(exchange->how, sizeof(exchange->how), " (%s %s)",
			 strcmp(how, "exited") ? "signal" : "exit code", what);
	fclose(file);
	unlink(path);
}

/* --- what it has said before it ended */

static bool has_whole(const struct session *s)
{
	struct xsd_sockmsg hdr;
	struct ring_view in;

	if (ring_load(&s->back.in, &in) || ring_used(&in) < MESSAGE_HEADER)
		return false;
	ring_read(&s->back.in, in.cons, &hdr, MESSAGE_HEADER);
	return hdr.len <= XENSTORE_PAYLOAD_MAX && ring_used(&in) >= message_size(&hdr);
}

static void drain(struct session *s)
{
	for (int i = 0; i < TURNS_MOST && has_whole(s); i++)
		session_run(s);
}

static void drain_one(struct session *s, void *arg)
{
	(void)arg;
	drain(s);
}

/* What the kernel has of what it has sent comes before its end. */
static void find_unread(struct client *client, void *arg)
{
	bool *unread = arg;

	*unread |= !client->parted && !client->socks[SLOT_UPSTREAM].eof;
}

static bool all_is_read(struct daemon *daemon)
{
	bool unread = false;

	sessions_each(daemon, drain_one, NULL);
	clients_each(daemon->clients, find_unread, &unread);
	return !unread;
}

/* --- what it has not answered */

static void gather_one(struct session *s, void *arg)
{
	struct exchange *exchange = arg;

	if (word_get(&s->ledger->more.giant_left))
		session_fail(s, XENSTORE_ERROR_COMM, "xenstored ended in the middle of a reply");
	exchange->asks_again += again_gather(s);
	s->await_back = false;
	renew_forget(s);
}

static void hand_to_keeper(struct exchange *exchange, int image)
{
	exchange->state = image;
	exchange->daemon->parted = true;
	exchange_know(exchange, -1);
}

/* Return: whether to look again. */
static bool give_image(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;

	if (keeper_there(daemon->keeper) && !keeper_told(daemon->keeper))
		return true;
	exchange_enter(exchange, EXCHANGE_HAVE);
	if (exchange->came && starters_there(exchange->starters))
		exchange_hand_over(exchange);
	exchange->came = false;
	return false;
}

bool exchange_look_crashed(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;
	int image;

	if (!exchange->deadline)
		exchange->deadline = clock_monotonic() + (uint64_t)DRAIN_MS * CLOCK_NS_OF_MS;
	if (exchange->state >= 0)
		return give_image(exchange);
	if (!all_is_read(daemon) && clock_monotonic() < exchange->deadline)
		return true;
	exchange_judge(exchange);
	exchange->asks_again = 0;
	sessions_each(daemon, gather_one, exchange);
	daemon->asked_again += exchange->asks_again;
	image = mend_mirror(daemon->mend) ? image_make(daemon, mend_mirror(daemon->mend), false)
					  : -ENOENT;
	if (image < 0) {
		log_line(LOG_ERR, "the mirror cannot be given to another xenstored: %s",
			 strerror(-image));
		exchange_lost(exchange, "xenstored ended");
		return false;
	}
	hand_to_keeper(exchange, image);
	return give_image(exchange);
}
