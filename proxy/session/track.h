/* SPDX-License-Identifier: MIT */
/*
 * track - what a request that is about to go upstream will mean for the session's watches and
 * transactions once it is answered, and what its reply changes of them.
 *
 * Called by up.c and up_own.c, between the beginning and the end of the commit that forwards it,
 * and by down.c, between those of the one that passes the reply on.
 */
#ifndef XSPROXY_PROXY_SESSION_TRACK_H
#define XSPROXY_PROXY_SESSION_TRACK_H

#include <stdint.h>

struct commit;
struct ledger_pending;
struct message;
struct session;

/**
 * track_request() - note what the reply will need. @commit cannot be abandoned after success.
 * @msg: as it goes upstream; END T of a transaction that must not succeed becomes F here
 * @pending: its slot, filled in but for what is noted
 * @batch: the ADD_DOMAIN_WATCHES that it belongs to, or 0
 *
 * Return: 0, or the positive errno to answer.
 */
int track_request(struct session *s, struct commit *commit, struct message *msg,
		  struct ledger_pending *pending, uint32_t batch);

/**
 * track_reply() - have @commit change what the reply changes.
 * @pending: the slot of its request, as it was
 * @msg: as it came, with the asker's ids; what the asker gets instead is put into it here
 */
void track_reply(struct session *s, struct commit *commit, const struct ledger_pending *pending,
		 struct message *msg);

#endif
