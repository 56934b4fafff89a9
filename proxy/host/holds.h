/* SPDX-License-Identifier: MIT */
/*
 * holds - what is remembered of the holds of domains that are not introduced yet (hold.h says which
 * there are): who has set them, and whether Xen has had the domain, so that a hold ends with a
 * domain that is destroyed before its INTRODUCE, and does not catch the next one of that number.
 *
 * xenstored tells nothing of such a domain, so while there is such a hold, and only then, Xen is
 * asked once a second (xen.h, xen_exists()). In this process's memory alone: the next xsproxyd
 * looks anew. A domain that comes and goes within that second is missed.
 *
 * Used by toolstack.c, domain.c and control_show.c. @holds may be NULL: nothing is remembered.
 */
#ifndef XSPROXY_PROXY_HOST_HOLDS_H
#define XSPROXY_PROXY_HOST_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct holds;
struct session;
struct stand;
struct who;

/** holds_new() - Return: 0 or -ENOMEM. */
int holds_new(struct holds **out, struct daemon *daemon);

/** holds_free() - NULL is fine; returns NULL. */
struct holds *holds_free(struct holds *holds);

/**
 * holds_set() - @who has set a hold: look after it. Without memory it only lasts too long, and for
 * whom is not known.
 */
void holds_set(struct holds *holds, uint32_t domid, const struct who *who);

/** holds_set_new() - @who wants every domain held that is introduced from now on, or no longer. */
void holds_set_new(struct holds *holds, bool on, const struct who *who);

/** holds_drop() - a hold is over. */
void holds_drop(struct holds *holds, uint32_t domid);

/** holds_begin() - the domain is introduced, and stands still: note for whom, and say so. */
void holds_begin(struct holds *holds, struct session *s);

/** holds_stand() - since when, and by whom, a hold waits; NULL if that is not known. */
const struct stand *holds_stand(const struct holds *holds, uint32_t domid);

/** holds_look() - there is a xenstored: look after all the holds in it. */
void holds_look(struct holds *holds);

/** holds_unmapped() - xenstored has let go of a domain, which Xen may have for a while yet. */
void holds_unmapped(struct holds *holds, uint32_t domid);

/** holds_seen() - whether Xen has been seen to have the domain that a hold is for. */
bool holds_seen(const struct holds *holds, uint32_t domid);

#endif
