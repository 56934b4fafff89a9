/* SPDX-License-Identifier: MIT */
/*
 * target - which domains xenstored will not let go of, whatever it answers to a RELEASE.
 *
 * SET_TARGET has a stubdomain hold on to the domain that it serves. A RELEASE of that one then gets
 * OK and takes the hold away, but not the domain, of which the C daemon's stubdomain has a pointer
 * still: when both have ended, in this order, so has the daemon (docs/daemons.md, "RELEASE"). What
 * is known of it is in the ledger of the domain that is held on to, and ends with it.
 *
 * Called by toolstack_gate.c, toolstack_inject.c and toolstack.c; asked by exchange/. Never decides
 * who may ask.
 */
#ifndef XSPROXY_PROXY_TOOLSTACK_TARGET_H
#define XSPROXY_PROXY_TOOLSTACK_TARGET_H

#include <stdbool.h>
#include <stdint.h>

struct message;
struct op;
struct session;

/**
 * target_begin() - @s is about to forward a SET_TARGET: an op waits for its reply (session.settle).
 *
 * Without memory, or where one of the two domains is not attached, there is none.
 */
void target_begin(struct session *s, const struct message *msg);

/**
 * target_reply() - upstream has answered OK to the request of an OP_SETTLE.
 * @type: which request it was
 */
void target_reply(const struct op *op, uint32_t type);

/** target_set() - the domain of @user holds on to that of @target, as another one has noted. */
void target_set(struct session *target, const struct session *user);

/** target_is_kept() - whether a RELEASE of the domain of @target would not release it. */
bool target_is_kept(const struct session *target);

/** target_user() - the domain that holds on to that of @target by SET_TARGET, or -1. */
int target_user(const struct session *target);

#endif
