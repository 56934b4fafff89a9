// SPDX-License-Identifier: MIT
/*
 * exchange_steps - a xenstored ends while it loads the state: what the next one is given.
 *
 * First the state, as it was; a second time, too, where another daemon was to be and the one before
 * is started again. From then on, as long as there is a mirror, a state with no nodes but the root,
 * and all others are told over a connection, where one that ends it is known and left out. Where
 * nobody has asked for another daemon, the C and the OCaml one then take turns.
 */
#include <string.h>
#include <unistd.h>

#include "proxy/daemon.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/host/client.h"
#include "proxy/log.h"
#include "proxy/mend/image.h"
#include "proxy/mend/mend.h"
#include "proxy/mend/pour.h"
#include "proxy/session/ledgers.h"

#define TRIES	      1u /* with all of it; ... */
#define TRIES_ANOTHER 2u /* ... where it was to be another one than it was */

#define TURN	      3u /* tries with one of them */

/* @tries: how often it has been given before. Whether it is to be without nodes. */
static bool must_be_bare(const struct exchange *exchange, uint32_t tries)
{
	const struct ledgers_exchange *at = exchange_words(exchange);
	uint32_t most = atomic_load(&at->unasked) ? TRIES : TRIES_ANOTHER;

	return tries >= most && mend_mirror(exchange->daemon->mend);
}

/* Of a crash `with` is what there was, and `was` what is started. */
static void take_turns(struct exchange *exchange, uint32_t tries)
{
	struct ledgers_exchange *at = exchange_words(exchange);
	const char *other;
	bool others = (tries - TRIES) / TURN % 2;

	if (!exchange->crashed)
		exchange->crashed = mend_flavour(exchange->daemon->mend);
	other = exchange->crashed == RINGS_FLAVOUR_C ? "oxenstored" : "xenstored";
	if (!atomic_load(&at->unasked) || !exchange->crashed || (tries - TRIES) % TURN)
		return;
	memcpy(at->was, at->with, sizeof(at->was));
	if (others)
		strcpy(at->was, other);
	if (tries > TURN)
		log_line(LOG_ERR, "xenstored has ended over its state %u times; now %s is started",
			 tries, others ? other : "the one that there was");
}

void exchange_step(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;
	uint32_t tries = atomic_load(&exchange_words(exchange)->tries);
	int image;

	if (!must_be_bare(exchange, tries))
		return;
	take_turns(exchange, tries);
	image = image_make(daemon, mend_mirror(daemon->mend), true);
	if (image < 0) {
		log_line(LOG_ERR, "cannot give xenstored less than all: %s", strerror(-image));
		return;
	}
	log_line(LOG_ERR, "xenstored has ended over its state; the next one is told each node");
	exchange_poured_out(exchange);
	/* Before anybody has it: what is bare must never be taken for all. */
	atomic_store(&exchange_words(exchange)->bare, 1);
	close(exchange->state);
	exchange->state = image;
}

static bool begin(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;
	int err = exchange->pour ? 0 : pour_new(&exchange->pour, daemon);

	if (!err)
		err = pour_begin(exchange->pour, mend_mirror(daemon->mend), client_dial(daemon));
	return !err && pour_is_done(exchange->pour);
}

bool exchange_pour(struct exchange *exchange)
{
	if (exchange->told || !atomic_load(&exchange_words(exchange)->bare) ||
	    (exchange->pour && pour_is_done(exchange->pour)))
		return true;
	if (!mend_mirror(exchange->daemon->mend)) {
		exchange_lost(exchange, "there is no mirror any more of what xenstored had");
		return false;
	}
	return exchange->pour && pour_is_under_way(exchange->pour) ? false : begin(exchange);
}

void exchange_poured_out(struct exchange *exchange)
{
	if (exchange->pour)
		pour_end(exchange->pour, true);
}
