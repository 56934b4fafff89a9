/* SPDX-License-Identifier: MIT */
/*
 * follow_parts - what sessions have asked, for follow.c, which lets requests go and takes them
 * down, and follow_answer.c, which knows what comes of them.
 */
#ifndef XSPROXY_PROXY_MIRROR_FOLLOW_PARTS_H
#define XSPROXY_PROXY_MIRROR_FOLLOW_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "protocol/message.h"
#include "proxy/mirror/change.h"
#include "proxy/mirror/claim.h"
#include "proxy/mirror/follow.h"
#include "proxy/mirror/mirror.h"

#define SLOTS 32u

/* A request under way. */
struct asked {
	uint32_t type;
	uint32_t tx;
	bool ends;	      /* the transaction, which changes what it has changed */
	struct claim *claim;  /* NULL: it changes nothing by itself */
	struct change change; /* only as much of it as there is, of nothing, too; must be last */
};

struct follower {
	TAILQ_ENTRY(follower) list, waiting;
	struct follow *follow;
	uint64_t key;
	uint32_t domid;
	struct change_home home;
	bool privileged;
	bool waits;
	uint64_t since; /* ns of CLOCK_MONOTONIC; when its next request began to wait; 0: it does
			   not */
	void (*wake)(void *arg);
	void *arg;
	struct asked *next; /* what follow_may() let go, until follow_asked() */
	struct asked *asked[SLOTS];
	uint32_t *blind; /* transactions */
	uint32_t nr_blind;
};

struct follow {
	struct mirror *mirror;
	uint32_t most;
	const struct follow_hooks *hooks;
	void *arg;
	struct claims claims;
	struct follow_counts counts;
	TAILQ_HEAD(follower_list, follower) all;
	TAILQ_HEAD(follower_waiting, follower) waiting;
};

static inline struct mirror *mirror_of(const struct follower *follower)
{
	struct mirror *mirror = follower ? follower->follow->mirror : NULL;

	return mirror && !mirror->broken ? mirror : NULL;
}

static inline struct change_by by_of(const struct follower *follower)
{
	return (struct change_by){ .flavour = follower->follow->mirror->flavour,
				   .domid = follower->domid,
				   .privileged = follower->privileged };
}

static inline bool ends_well(const struct message *msg)
{
	return msg->hdr.type == XS_TRANSACTION_END && msg->hdr.len && msg->payload[0] == 'T';
}

/** follow_drop_asked() - a request is not under way any more, if there is one. */
void follow_drop_asked(struct follower *follower, uint32_t slot);

/** follow_give_up() - without memory the mirror does not know what happens. */
void follow_give_up(struct follower *follower);

#endif
