// SPDX-License-Identifier: MIT
/*
 * mend_mirror - the mirror that there is while xenstored is: the one that an xsproxyd before us had
 * for these rings, or one of our own. Called by exchange/ (mend.h).
 */
#include <string.h>
#include <unistd.h>

#include "link/keep.h"
#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/keeper.h"
#include "proxy/host/memory.h"
#include "proxy/host/sessions.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/mend/mend.h"
#include "proxy/mend/mend_parts.h"
#include "proxy/mirror/follow.h"
#include "proxy/session/session.h"

#define MIB (1024ULL * 1024)

static bool may_have(const struct mend *mend)
{
	const struct memory *memory = upstream_memory(mend->daemon->upstream);

	/* Without dom0's ring not all that changes the store is seen. */
	return mend->daemon->config.mirror && memory && !memory->old &&
	       domains_session(mend->daemon->domains, 0);
}

static uint64_t rings_id(const struct mend *mend)
{
	return rings_header(&upstream_memory(mend->daemon->upstream)->rings)->id;
}

static void forget_mirror(struct mend *mend)
{
	follow_use(mend->daemon->follow, NULL, 0, NULL, NULL);
	mend_close_readings(mend);
	mend_drop_all(mend);
	upstream_keep_mirror(mend->daemon->upstream, -1);
	mend->mirror = mirror_free(mend->mirror);
	mend->sweep_at = TREE_NONE;
}

static void follow_one(struct session *s, void *arg)
{
	(void)arg;
	session_follow(s);
}

/* Also one that is attached later. */
static bool is_mapped(void *arg, uint32_t domid, uint32_t map_gen)
{
	const struct mend *mend = arg;
	const struct rings *rings = &upstream_memory(mend->daemon->upstream)->rings;

	return arena_next(rings_header(rings)->mapped, domid) == domid &&
	       atomic_load(&rings_attach(rings, domid)->map_gen) == map_gen;
}

static void use(struct mend *mend)
{
	struct daemon *daemon = mend->daemon;

	mirror_domains_only(mend->mirror, is_mapped, mend);
	DOMAINS_EACH_SESSION(daemon->domains, s)
		mirror_domain_is(mend->mirror, s->domid, s->ledger->map_gen);
	follow_use(daemon->follow, mend->mirror, daemon->config.mirror_transaction * MIB,
		   &mend_hooks, mend);
	upstream_keep_mirror(daemon->upstream, mirror_fd(mend->mirror));
	mend->sifts = true;
	mend->fresh = false;
	sessions_each(daemon, follow_one, NULL);
}

/* Return: whether an xsproxyd before us had one for these rings. */
static bool find_mirror(struct mend *mend)
{
	struct daemon *daemon = mend->daemon;
	int fds[LINK_PUT_FDS], err;

	if (!keeper_take(daemon->keeper, KEEP_MIRROR, fds))
		return false;
	if (fds[1] >= 0)
		close(fds[1]);
	err = mirror_find(&mend->mirror, fds[0], rings_id(mend),
			  daemon->config.mirror_memory * MIB);
	if (!err && mirror_is_whole(mend->mirror))
		return true;
	if (!err)
		mend->mirror = mirror_free(mend->mirror);
	return false;
}

static void blind_one(struct session *s, void *arg)
{
	(void)arg;
	for (uint32_t slot = 0; slot < s->transactions.high; slot++)
		if (transaction_live(&s->transactions, (int)slot))
			follow_blind(s->follower,
				     transaction_at(&s->transactions, (int)slot)->upstream);
}

void mend_blind(struct mend *mend)
{
	sessions_each(mend->daemon, blind_one, NULL);
}

static void make_mirror(struct mend *mend)
{
	struct daemon *daemon = mend->daemon;
	int err = mirror_make(&mend->mirror, rings_id(mend), daemon->flavour,
			      daemon->config.mirror_memory * MIB);

	mend->unmade = err;
	if (err) {
		log_line(LOG_ERR, "cannot make a mirror of the store: %s", strerror(-err));
		return;
	}
	use(mend);
	mend->fresh = true;
	mend_sweep(mend, WALK);
}

void mend_remake(struct mend *mend)
{
	forget_mirror(mend);
	if (may_have(mend))
		make_mirror(mend);
}

bool mend_take(struct mend *mend)
{
	if (!mend)
		return false;
	mend->daemon->survives = false;
	if (!may_have(mend) || !find_mirror(mend))
		return false;
	use(mend);
	return true;
}

/* Of the rings that there are. */
static bool is_ours(const struct mend *mend)
{
	return may_have(mend) && !mend->mirror->broken &&
	       mirror_rings(mend->mirror) == rings_id(mend);
}

void mend_up(struct mend *mend)
{
	struct daemon *daemon;

	if (!mend)
		return;
	daemon = mend->daemon;
	mend->up = true;
	if (mend->mirror && !is_ours(mend))
		forget_mirror(mend);
	if (!may_have(mend))
		return;
	if (!mend->mirror && !mend_take(mend)) {
		make_mirror(mend);
		return;
	}
	mirror_flavour(mend->mirror, daemon->flavour);
	if (mirror_is_whole(mend->mirror))
		mend_sweep(mend, LOOK);
	else
		mend_sweep(mend, WALK);
}

void mend_down(struct mend *mend)
{
	if (!mend)
		return;
	mend->up = false;
	mend_close_readings(mend);
	mend_end_look(mend, "xenstored has gone");
}

struct mirror *mend_mirror(const struct mend *mend)
{
	return mend && mend->mirror && mirror_is_whole(mend->mirror) ? mend->mirror : NULL;
}

bool mend_is_broken(const struct mend *mend)
{
	return mend && (mend->unmade || (mend->mirror && mend->mirror->broken));
}

uint32_t mend_flavour(const struct mend *mend)
{
	return mend && mend->mirror ? (uint32_t)mend->mirror->flavour : 0;
}
