/* SPDX-License-Identifier: MIT */
/*
 * again - requests that xenstored has not answered, kept as long as that is so, and asked once more
 * if it crashes.
 *
 * What has been forwarded stays where it is in the back's queue until it was answered: room that
 * xenstored has given back is not written to before (again_room()). One that is larger than the
 * queue keeps its extent. When xenstored has crashed again_gather() takes all of them back, in
 * their order, into extents; from then on each is as a request of the front's that nobody has
 * forwarded yet, and comes before those. They go one at a time, when exchange/ says so, each only
 * when the one before was answered; what is left is known to whoever comes after a kill, at each
 * instant.
 *
 * A part of a session: asked by up.c, told of replies by down.c. Must never be asked of another
 * xenstored while the one is there that may have carried it out.
 */
#ifndef XSPROXY_PROXY_SESSION_AGAIN_H
#define XSPROXY_PROXY_SESSION_AGAIN_H

#include <stdbool.h>
#include <stdint.h>

struct commit;
struct ledger_pending;
struct message;
struct session;

/** again_room() - octets that may be written to the back. */
uint32_t again_room(const struct session *s);

/** again_mark() - the request of @pending is about to be written to the back. */
void again_mark(const struct session *s, struct ledger_pending *pending);

/** again_has_extent() - whether a request that is larger than the back's queue must wait. */
bool again_has_extent(const struct session *s);

/** again_keep() - have @commit keep the extent of the one in @slot, all of which has gone. */
void again_keep(struct session *s, struct commit *commit, uint32_t slot);

/** again_trim() - give back extents that are of no use any more; after a commit. */
void again_trim(struct session *s);

/** again_release() - give back all. */
void again_release(struct session *s);

/** again_recover() - claim what a recovered ledger has. Return: 0 or a negative errno. */
int again_recover(struct session *s);

/**
 * again_sent() - what upstream was sent of a request that it has not answered.
 * @msg: set: with upstream's ids
 *
 * Return: false: it is not known any more.
 */
bool again_sent(const struct session *s, uint32_t slot, struct message *msg);

/**
 * again_gather() - xenstored has crashed: take back what it has not answered. Of a front that is
 * read no more.
 *
 * Return: how many requests are to be asked again.
 */
uint32_t again_gather(struct session *s);

/** again_forget() - nobody wants those that are left. */
void again_forget(struct session *s);

/** again_waits() - whether one is to be asked again, or is being. */
bool again_waits(const struct session *s);

/** again_let() - the next one may go. */
void again_let(struct session *s);

/** again_is_under_way() - whether one is with xenstored. */
bool again_is_under_way(const struct session *s);

/**
 * again_next() - the one that may go now.
 * @msg: set: as the front has asked it
 *
 * Return: whether there is one.
 */
bool again_next(struct session *s, struct message *msg);

/** again_taken() - have @commit do without the first one: it was answered. */
void again_taken(struct session *s, struct commit *commit);

/** again_refuse() - answer the first one with EIO instead. Return: 0, or -ENOMEM. */
int again_refuse(struct session *s);

#endif
