/* SPDX-License-Identifier: MIT */
/*
 * remake_put - what a remake (remake.h) is about, and how something gets into the state that it
 * makes. Called by remake.c and remake_conns.c alone.
 */
#ifndef XSPROXY_STARTER_REMAKE_PUT_H
#define XSPROXY_STARTER_REMAKE_PUT_H

#include "migration/conversion.h"
#include "migration/format/state_stream.h"
#include "migration/omissions.h"
#include "starter/reason.h"
#include "starter/remake_options.h"
#include "text/buffer.h"

/* What the state knows of a ring of the plan. */
struct remake_known {
	bool has_target;
	uint16_t target;
	bool has_unique_id;
	uint64_t unique_id;
	uint64_t gfn; /* of the ring, as its toolstack has noted it; 0: it has not */
	bool written;
};

struct remake {
	const struct remake_options *options;
	struct reason *reason;
	struct omissions *omissions;
	struct state_reader *reader;
	struct state_writer *writer;
	struct conversion_options how;
	struct conversion *conversion;
	struct remake_known *known; /* by the ring's place in the plan */
	struct buffer perms;	    /* of the current node */
	bool lost[EXCHANGE_DOMIDS]; /* that a domain which lives has lost what it had was said */
	uint32_t specials;	    /* of state_path_at(), that there are */
};

/** remake_to_c() - whether the state is for the C daemon. */
static inline bool remake_to_c(const struct remake *remake)
{
	return remake->options->to == RINGS_FLAVOUR_C;
}

/** remake_fail() - say that it failed with @r, a negative errno. Return: @r. */
int remake_fail(const struct remake *remake, int r);

/** remake_put() - write an item, unless the conversion leaves it out. Return: 0 or a negative
 * errno, which was said. */
int remake_put(struct remake *remake, struct state_item *item);

/** remake_lose() - tell that @what of a domain is left out, and why. */
void remake_lose(const struct remake *remake, uint32_t domid, const char *what, const char *why);

#endif
