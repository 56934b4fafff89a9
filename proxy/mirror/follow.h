/* SPDX-License-Identifier: MIT */
/*
 * follow - what sessions ask of xenstored and get answered, for the mirror.
 *
 * A session asks before it forwards a request whether it may now (claim.h), and says what it has
 * forwarded and what was answered; nothing of that ever fails for it. Where there is no mirror all
 * of it does nothing.
 *
 * What was answered is taken down before the session's commit that takes the reply. A process that
 * is killed in between does it once more: each change is of a kind that may be made twice, with
 * nothing that has to do with it in between.
 *
 * Used by proxy/session/. proxy/mend/ gives it its mirror, and is told what is to be read again.
 */
#ifndef XSPROXY_PROXY_MIRROR_FOLLOW_H
#define XSPROXY_PROXY_MIRROR_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/mirror/claim.h"
#include "proxy/mirror/mirror.h"

struct follow;
struct follower;
struct message;

/* Who wants to know what is to be read again. */
struct follow_hooks {
	/** unsure() - the node at @path; @deep: with all below it. */
	void (*unsure)(void *arg, const char *path, uint32_t len, bool deep);
	/** waits() - a request does: follow_wake() is to be called a moment later. */
	void (*waits)(void *arg);
	/** ended() - something is not under way any more. */
	void (*ended)(void *arg);
};

struct follow_counts {
	uint64_t changes, waits, unsure, beyond; /* `beyond`: [mirror] transaction */
};

/** follow_new() - without a mirror. Return: 0 or -ENOMEM. */
int follow_new(struct follow **out);

/** follow_free() - all sessions have left. NULL is fine; returns NULL. */
struct follow *follow_free(struct follow *follow);

/**
 * follow_use() - from now on changes are taken down in this mirror; NULL: nowhere.
 * @most: octets of what a session's transactions may have changed
 */
void follow_use(struct follow *follow, struct mirror *mirror, uint32_t most,
		const struct follow_hooks *hooks, void *arg);

/** follow_claims() - what is under way. */
struct claims *follow_claims(struct follow *follow);

/** follow_mirror() - where they are taken down, or NULL. */
const struct mirror *follow_mirror(const struct follow *follow);

/** follow_counts() - since the start. */
const struct follow_counts *follow_counts(const struct follow *follow);

/** follow_unsure() - as hooks->unsure(), from who has it from elsewhere. */
void follow_unsure(struct follow *follow, const char *path, uint32_t len, bool deep);

/** follow_wake() - those who wait for a read that held them up look again. */
void follow_wake(struct follow *follow);

/**
 * follow_domain_gone() - xenstored has let go of a domain, at some time before what is now under
 * way is answered.
 */
void follow_domain_gone(struct follow *follow, uint32_t domid);

/** follow_domain_is() - as mirror_domain_is(). */
void follow_domain_is(struct follow *follow, uint32_t domid, uint32_t map_gen);

/** follow_sift() - all sessions have joined; what transactions of others have changed is void. */
void follow_sift(struct follow *follow);

/* --- a session's */

/**
 * follow_join() - Return: a session's part; NULL: there is no memory, and it is not followed, which
 * the mirror knows.
 * @key: what no other session ever has, and it has with the next xsproxyd, too
 * @wake: called, not from within it, when follow_may() may say otherwise
 */
struct follower *follow_join(struct follow *follow, uint64_t key, uint32_t domid, bool privileged,
			     void (*wake)(void *arg), void *arg);

/**
 * follow_leave() - NULL is fine; returns NULL.
 * @gone: the connection has ended; or the next xsproxyd goes on with it
 */
struct follower *follow_leave(struct follower *follower, bool gone);

/**
 * follow_may() - whether a request may go upstream now.
 * @msg: as it goes there, in the transaction @tx
 */
bool follow_may(struct follower *follower, const struct message *msg, uint32_t tx);

/** follow_waits() - the session's next request waits to be asked about again. */
bool follow_waits(const struct follower *follower);

/** follow_asked() - it is about to. @slot: of the session's requests under way */
void follow_asked(struct follower *follower, uint32_t slot, const struct message *msg, uint32_t tx);

/** follow_injected() - the same of one that is not asked about, or has been under way for long. */
void follow_injected(struct follower *follower, uint32_t slot, const struct message *msg,
		     uint32_t tx);

/** follow_replied() - it got OK, or the error @err. */
void follow_replied(struct follower *follower, uint32_t slot, int err);

/** follow_lost() - nobody will know what has become of it. */
void follow_lost(struct follower *follower, uint32_t slot);

/** follow_void() - it has not been carried out, and will not be. */
void follow_void(struct follower *follower, uint32_t slot);

/**
 * follow_blind() - a transaction is open of which nobody knows what it has changed; if it ends
 * well, all is unsure.
 */
void follow_blind(struct follower *follower, uint32_t tx);

/** follow_reset() - upstream has ended all transactions of the session. */
void follow_reset(struct follower *follower);

#endif
