// SPDX-License-Identifier: MIT
#include "proxy/exchange/entry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link/conns.h"
#include "link/start.h"
#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/exchange/entry_take.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/exchange/leave.h"
#include "proxy/exchange/outcome.h"
#include "proxy/host/clients.h"
#include "proxy/host/keeper.h"
#include "proxy/host/mark.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/ledgers.h"

struct entry {
	char native[LEDGERS_DAEMON_MAX];
	char with[LEDGERS_DAEMON_MAX];
	uint32_t watches; /* as of the options */
	bool given;	  /* the program was told to give all */
	bool made;	  /* there are rings, ledgers and clients of it */
	int conns;	  /* -1: none yet, as of the others */
	int listener;
	int *sockets;
	uint32_t nr;  /* how many there are to be */
	uint32_t got; /* of these */
};

/* --- what has come */

static void close_null(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void forget_given(struct entry *entry)
{
	for (uint32_t i = 0; i < entry->got; i++)
		close_null(&entry->sockets[i]);
	free(entry->sockets);
	entry->sockets = NULL;
	entry->nr = entry->got = 0;
	close_null(&entry->conns);
	close_null(&entry->listener);
	entry->given = false;
}

struct entry *entry_free(struct entry *entry)
{
	if (!entry)
		return NULL;
	forget_given(entry);
	free(entry);
	return NULL;
}

/* --- how it ends, for no good */

/* All that was made of what the daemon gave; it has it still. */
static void unmake(struct exchange *exchange)
{
	if (!exchange->entry->made)
		return;
	exchange->entry->made = false;
	entry_unmake(exchange->daemon);
}

/* @again: the program is there, and is told to become the daemon again */
static void give_up(struct exchange *exchange, bool again)
{
	unmake(exchange);
	forget_given(exchange->entry);
	if (again)
		starters_tell(exchange->starters, START_RETREAT, NULL, 0);
	exchange->entry = entry_free(exchange->entry);
	exchange->result.outcome = EXCHANGE_UNCHANGED;
	exchange_end(exchange);
}

static void fail(struct exchange *exchange, const char *what, int err)
{
	exchange_blame(exchange, "%s: %s", what, strerror(-err));
	give_up(exchange, true);
}

void entry_failed(struct exchange *exchange, const char *why)
{
	exchange_blame(exchange, "%s", why);
	give_up(exchange, false);
}

void entry_gone(struct exchange *exchange)
{
	struct entry *entry = exchange->entry;

	/* With all that there was: what it has given is enough. */
	if (!entry->given || entry->made)
		return;
	exchange_blame(exchange, "the program that hands over its state has ended");
	give_up(exchange, false);
}

void entry_forgotten(struct exchange *exchange)
{
	if (exchange->entry->given)
		return;
	exchange_blame(exchange, "who asked for it has gone");
	give_up(exchange, false);
}

/* --- step by step */

const char *entry_hindrance(const struct exchange *exchange, const struct entry_options *options)
{
	const struct daemon *daemon = exchange->daemon;

	if (daemon->left)
		return "this xsproxyd has left; restart it";
	if (exchange_stage(exchange) || exchange->entry || exchange->leave)
		return "an exchange is under way already";
	if (*options->native != '/' || strlen(options->native) >= LEDGERS_DAEMON_MAX ||
	    strlen(options->with) >= LEDGERS_DAEMON_MAX)
		return "the path of the daemon is no absolute one, or too long";
	if (upstream_memory(daemon->upstream) || upstream_foreign(daemon->upstream))
		return "there is a xenstored with the bridge already; see xsproxyctl status";
	if (!keeper_there(daemon->keeper))
		return "there is no keeper; start xsproxy-keeper";
	if (access(daemon->config.live_update, X_OK))
		return "the program that takes xenstored's state cannot be executed; see "
		       "[xenstored] live-update";
	return NULL;
}

const char *entry_begin(struct exchange *exchange, const struct entry_options *options,
			const struct exchange_waiter *waiter, void *arg)
{
	const char *hinders = entry_hindrance(exchange, options);
	struct entry *entry = hinders ? NULL : calloc(1, sizeof(*entry));

	if (!entry)
		return hinders ? hinders : "there is no memory";
	strcpy(entry->native, options->native);
	strcpy(entry->with, options->with);
	entry->watches = options->watches;
	entry->conns = entry->listener = -1;
	exchange->entry = entry;
	exchange->waiter = waiter;
	exchange->arg = arg;
	exchange->result = (struct exchange_result){ .why = "" };
	exchange->since = clock_monotonic();
	log_line(LOG_NOTICE, "%s", ENTRY_EXPECTS);
	waiter->stage(arg, ENTRY_EXPECTS);
	return NULL;
}

void entry_came(struct exchange *exchange)
{
	struct entry *entry = exchange->entry;
	enum exchange_stage stage = exchange_stage(exchange);

	/* Those whom it had told so we may have been. */
	if (stage >= EXCHANGE_HAVE && stage <= EXCHANGE_RETURN) {
		starters_tell(exchange->starters, START_ENOUGH, NULL, 0);
		return;
	}
	if (!entry) {
		starters_tell(exchange->starters, START_RETREAT, NULL, 0);
		return;
	}
	/* It has begun anew, and so may we; but whoever asked for it is told. */
	if (entry->made) {
		exchange_blame(exchange, "the program that hands over its state has begun anew");
		give_up(exchange, true);
		return;
	}
	forget_given(entry);
	entry->given = !starters_tell(exchange->starters, START_GIVE, NULL, 0);
	/* Until now it was served. */
	exchange->since = clock_monotonic();
}

void entry_state(struct exchange *exchange, int fd)
{
	if (fd < 0) {
		fail(exchange, "it has left no state", fd);
		return;
	}
	if (exchange->state >= 0)
		close(exchange->state);
	exchange->state = fd;
}

void entry_conns(struct exchange *exchange, int fd, uint32_t sockets)
{
	struct entry *entry = exchange->entry;

	close_null(&entry->conns);
	entry->conns = fd;
	if (entry->sockets || sockets >= KEEP_SOCKETS) {
		fail(exchange, "it has too many connections", -EMFILE);
		return;
	}
	entry->sockets = calloc(sockets + 1, sizeof(*entry->sockets));
	entry->nr = sockets;
	if (!entry->sockets)
		fail(exchange, "cannot take its connections", -ENOMEM);
}

void entry_sockets(struct exchange *exchange, const int fds[LINK_FDS_MAX])
{
	struct entry *entry = exchange->entry;

	for (int i = 0; i < LINK_FDS_MAX; i++) {
		if (fds[i] >= 0 && entry->got < entry->nr)
			entry->sockets[entry->got++] = fds[i];
		else if (fds[i] >= 0)
			close(fds[i]);
	}
}

/* Return: whether somebody is in the way, who is blamed. */
static bool is_crowded(struct exchange *exchange)
{
	const struct entry *entry = exchange->entry;
	uint32_t nr;
	int domid = entry->watches ? entry_crowded(entry->conns, entry->watches, &nr) : -1;

	if (domid < 0)
		return false;
	exchange_blame(exchange,
		       "domain %d has %u watches, and the other daemon takes %u; --force has it "
		       "lose the others",
		       domid, nr, entry->watches);
	return true;
}

/* Return: 0 or a negative errno; what it has made is unmade by unmake(). */
static int make(struct exchange *exchange)
{
	struct entry *entry = exchange->entry;
	struct entry_gift gift = { .conns = entry->conns,
				   .sockets = entry->sockets,
				   .nr = entry->nr,
				   .listener = entry->listener };
	struct ledgers_exchange *at;
	int err = upstream_make(exchange->daemon->upstream);

	if (err)
		return err;
	entry->made = true;
	exchange->daemon->paused = exchange->daemon->parted = true;
	at = exchange_words(exchange);
	strcpy(at->was, entry->native);
	strcpy(at->with, entry->with);
	atomic_store(&at->tries, 0);
	outcome_begin(at, exchange->since);
	atomic_store(&at->stage, EXCHANGE_ENTRY);
	/* First, so that it says of all that follows whose it is. */
	upstream_keep(exchange->daemon->upstream);
	err = entry_make(exchange->daemon, &gift);
	exchange->some_gone = gift.some_gone;
	if (!err)
		exchange_know(exchange, -1);
	return err;
}

static bool has_all(const struct exchange *exchange)
{
	const struct entry *entry = exchange->entry;

	return exchange->state >= 0 && entry->conns >= 0 && entry->listener >= 0 &&
	       entry->got == entry->nr;
}

void entry_listener(struct exchange *exchange, int fd)
{
	struct entry *entry = exchange->entry;
	int err;

	close_null(&entry->listener);
	entry->listener = fd;
	err = has_all(exchange) ? 0 : -EPROTO;
	if (!err && is_crowded(exchange)) {
		give_up(exchange, true);
		return;
	}
	if (!err)
		err = make(exchange);
	if (err) {
		fail(exchange, "cannot take what its connections have", err);
		return;
	}
	exchange_enter(exchange, EXCHANGE_ENTRY);
}

/* From the store of the stage on it is ours, whichever xsproxyd it is. */
static void take(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;
	int door = exchange->entry->listener;

	mark_set(&daemon->config, LINK_SERVED);
	mark_clear(&daemon->config, LINK_LEFT);
	exchange_enter(exchange, EXCHANGE_HAVE);
	exchange->entry->listener = -1;
	exchange->entry = entry_free(exchange->entry);
	if (clients_take(daemon->clients, door)) {
		log_line(LOG_ERR, "no memory to accept toolstack clients; the next xsproxyd does");
		loop_stop(daemon->loop);
	}
}

bool entry_look(struct exchange *exchange)
{
	if (!exchange->entry) /* an xsproxyd before us: upstream_untaken() */
		return false;
	if (!exchange_words(exchange) || !keeper_there(exchange->daemon->keeper)) {
		exchange->entry->made = exchange_words(exchange) != NULL;
		exchange_blame(exchange, "the keeper, or what was to be kept, has gone");
		give_up(exchange, true);
		return false;
	}
	if (!keeper_told(exchange->daemon->keeper))
		return true;
	take(exchange);
	starters_tell(exchange->starters, START_ENOUGH, NULL, 0);
	return false;
}

void entry_started(struct exchange *exchange)
{
	if (exchange->entry->made) {
		take(exchange);
		return;
	}
	exchange_blame(exchange, "the native xenstored has ended");
	give_up(exchange, false);
}
