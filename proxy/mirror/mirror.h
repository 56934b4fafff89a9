/* SPDX-License-Identifier: MIT */
/*
 * mirror - what the store holds, so that another xenstored can be given it when one has crashed
 * (docs/architecture.md, "The mirror").
 *
 * All that changes the store passes through sessions: follow.c tells of each change when
 * xenstored's OK is taken. proxy/mend/ has read the store before that (`whole`), and reads again
 * what is unsure. It lies in a memfd that the keeper holds, in which each change is made at one
 * instant (annals.h).
 *
 * Made, found again and looked at by proxy/mend/; changed by follow.c. Must never ask xenstored,
 * nor know of sessions.
 */
#ifndef XSPROXY_PROXY_MIRROR_MIRROR_H
#define XSPROXY_PROXY_MIRROR_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include "link/rings.h"
#include "proxy/mirror/annals.h"
#include "proxy/mirror/change.h"
#include "proxy/mirror/draft.h"
#include "proxy/mirror/tree.h"

struct mirror {
	struct annals annals;
	struct tree *tree;
	struct drafts *drafts;
	enum rings_flavour flavour;
	bool broken; /* memory ran out, or it was found to be nonsense: of no use any more */
};

/**
 * mirror_make() - an empty one, of which nothing was read yet.
 * @rings: whose it is
 * @most: octets that its annals may have
 *
 * Return: 0 or a negative errno.
 */
int mirror_make(struct mirror **out, uint64_t rings, enum rings_flavour flavour, uint64_t most);

/**
 * mirror_find() - the one that an xsproxyd before us had.
 * @fd: taken over, whatever it returns
 * @rings: whose it must be
 *
 * Return: 0; -ESTALE when it is another one's; -EPROTO or -EINVAL when it is none; or another
 * negative errno.
 */
int mirror_find(struct mirror **out, int fd, uint64_t rings, uint64_t most);

/** mirror_free() - NULL is fine; returns NULL. */
struct mirror *mirror_free(struct mirror *mirror);

/** mirror_fd() - its memory, for the keeper; stays the mirror's. */
int mirror_fd(const struct mirror *mirror);

/** mirror_flavour() - the daemon is another one's from now on, with the same store. */
void mirror_flavour(struct mirror *mirror, enum rings_flavour flavour);

/** mirror_rings() - whose it is. */
uint64_t mirror_rings(const struct mirror *mirror);

/** mirror_break() - it is of no use any more. @err: why, a negative errno */
void mirror_break(struct mirror *mirror, int err);

/** mirror_is_whole() - whether it has all of the store, but for what is unsure. */
bool mirror_is_whole(const struct mirror *mirror);

/** mirror_whole() - it has from now on, or not. */
void mirror_whole(struct mirror *mirror, bool whole);

/** mirror_unsure() - how many paths are to be read again, as far as anybody has counted. */
uint32_t mirror_unsure(const struct mirror *mirror);

/** mirror_count_unsure() - one more, or one less. */
void mirror_count_unsure(struct mirror *mirror, int32_t by);

/** mirror_begin() - a group of changes to `tree` and `drafts`. */
void mirror_begin(struct mirror *mirror);

/**
 * mirror_end() - they count from now on, if @err is 0; if not, the mirror is broken.
 *
 * Some of what is of no more use in the annals is given back.
 */
void mirror_end(struct mirror *mirror, int err);

/**
 * mirror_domain_is() - which domain a domid means from now on.
 * @map_gen: of its mapping; if another one had it that has gone, unnoticed
 */
void mirror_domain_is(struct mirror *mirror, uint32_t domid, uint32_t map_gen);

/** mirror_domain() - that, or 0. */
uint32_t mirror_domain(const struct mirror *mirror, uint32_t domid);

/** mirror_domains_only() - those of which @there says that they are not have gone, unnoticed. */
void mirror_domains_only(struct mirror *mirror,
			 bool (*there)(void *arg, uint32_t domid, uint32_t map_gen), void *arg);

/**
 * mirror_domain_gone() - xenstored has let go of a domain: its nodes are gone, and permissions that
 * named it count for nobody.
 * @removed: told of each of those nodes, but not of those below one; may be NULL
 */
void mirror_domain_gone(struct mirror *mirror, uint32_t domid,
			void (*removed)(void *arg, const char *path, uint32_t len), void *arg);

/** mirror_octets() - the memory that it takes. */
uint64_t mirror_octets(const struct mirror *mirror);

#endif
