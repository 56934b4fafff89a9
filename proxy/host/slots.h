/* SPDX-License-Identifier: MIT */
/*
 * slots - where the sessions of toolstack sockets lie: ledgers and pages apart from guests', a
 * number for each that is also its key at the keeper, and the outlet of all.
 *
 * The memory is made once and goes from one xsproxyd to the next through the keeper, whatever
 * happens to xenstored and its bridge meanwhile: a client's socket outlives both. It is laid out as
 * domains' ledgers are (ledgers.h), so one code serves both; no rings go with it.
 *
 * clients.c has them made and swept, and takes numbers; client.c opens, closes and gives back what
 * has one. Must never write to memory that an xsproxyd of another version left.
 */
#ifndef XSPROXY_PROXY_HOST_SLOTS_H
#define XSPROXY_PROXY_HOST_SLOTS_H

#include <stdint.h>

#include "proxy/host/sock.h"

struct keeper;
struct pool;
struct slots;

/* The two sockets of a slot */
enum slot_side { SLOT_CLIENT, SLOT_UPSTREAM, SLOT_SIDES };

/**
 * slots_new() - with the memory that @keeper has, or fresh; no slot is in use yet.
 *
 * What was under way to a socket when the xsproxyd before us ended has been noted in its ledger.
 *
 * Return: 0 or a negative errno.
 */
int slots_new(struct slots **out, struct keeper *keeper);

/** slots_free() - the memory stays with the keeper. NULL is fine; returns NULL. */
struct slots *slots_free(struct slots *slots);

/**
 * slots_keep() - give a keeper that is new the memory and the pipe.
 *
 * Return: whether it will have them, as keeper_put().
 */
bool slots_keep(struct slots *slots, struct keeper *keeper);

/** slots_take() - a free slot. Return: its number, or -EMFILE. */
int slots_take(struct slots *slots);

/** slots_claim() - the slot that has this number; at the start, for what the keeper had. */
void slots_claim(struct slots *slots, uint32_t slot);

/** slots_sweep() - after the claims: give back the memory of ledgers that nobody claimed. */
void slots_sweep(struct slots *slots);

/** slots_settle() - all slots of before are reopened or closed: give back pages of nobody. */
void slots_settle(struct slots *slots);

/**
 * slots_starve() - there is no memory to reopen one.
 *
 * Return: whether it is to be left to the next xsproxyd; not for ever.
 */
bool slots_starve(struct slots *slots);

/**
 * slots_open() - a fresh ledger for a slot, and its sockets' queues; slots_close() it.
 * @slot: taken or claimed
 * @socks: what lies there is set in them, on success; it stays the slot's
 * @cookie: of the client's socket
 *
 * Return: 0 or -ENOMEM: nothing is open.
 */
int slots_open(struct slots *slots, uint32_t slot, struct sock socks[SLOT_SIDES], uint64_t cookie);

/**
 * slots_reopen() - the same with the ledger that an xsproxyd before us left there.
 * @fds: the sockets as the keeper had them; they stay the caller's
 * @parted: what lies there of xenstored's is void, whatever socket the keeper had
 *
 * Return: 0; -ESTALE when there is none, or none that counted all octets, or another socket's; or
 * -EINVAL, -EBUSY when it cannot be right.
 */
int slots_reopen(struct slots *slots, uint32_t slot, struct sock socks[SLOT_SIDES],
		 const int fds[SLOT_SIDES], uint64_t cookie, bool parted);

/** slots_close() - give back what slots_open() took. Once the session has been freed. */
void slots_close(struct slots *slots, uint32_t slot);

/** slots_give() - the slot is free. */
void slots_give(struct slots *slots, uint32_t slot);

/** slots_ledger() - an opened slot's. */
struct ledger *slots_ledger(const struct slots *slots, uint32_t slot);

/** slots_ledgers() - the memory; valid as long as the slots are, as is slots_pool(). */
const struct ledgers *slots_ledgers(const struct slots *slots);

/** slots_pool() - the pages that go with it. */
struct pool *slots_pool(const struct slots *slots);

#endif
