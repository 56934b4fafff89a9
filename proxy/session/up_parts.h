/* SPDX-License-Identifier: MIT */
/*
 * up_parts - how a request goes upstream, for up.c, which has those of the front, and up_own.c,
 * which has those of our own.
 */
#ifndef XSPROXY_PROXY_SESSION_UP_PARTS_H
#define XSPROXY_PROXY_SESSION_UP_PARTS_H

#include <stdbool.h>
#include <stdint.h>

struct commit;
struct message;
struct session;

/** up_release_page() - put back what taking the request in pieces has cost. */
void up_release_page(struct session *s);

/**
 * up_send_first() - the first piece of a request larger than the back ring; the ledger holds all of
 * it. It may be shorter than what the front has sent (form.h).
 */
void up_send_first(struct session *s, struct commit *commit, int slot, struct message *msg);

/**
 * up_back_has_room() - whether the back can take a request of @size octets, or at least begin with
 * a larger one.
 */
bool up_back_has_room(struct session *s, uint32_t size);

#endif
