/* SPDX-License-Identifier: MIT */
/*
 * memory - rings and ledgers, wherever the bridge of the running xenstored has them.
 *
 * A bridge of this version has rings (link/rings.h); the ledgers are xsproxyd's own
 * (ledgers.h). That of xsproxy 0.1 has one memfd for both, the *old arena*, and ledgers of version
 * 1 in it; they stay there, so that 0.1 finds them too if it comes back:
 *
 * - rings and header as now, but the attach words are the first octets of each ledger page;
 * - from OLD_LEDGER_OFF a ledger page a domain, for ever; from OLD_EXTENT_OFF the extents;
 * - holds behind the header's words; from OLD_BLAME_OFF on the header's pages were unused.
 *
 * Called by upstream.c.
 */
#ifndef XSPROXY_PROXY_HOST_MEMORY_H
#define XSPROXY_PROXY_HOST_MEMORY_H

#include <stdbool.h>

#include "link/rings.h"
#include "proxy/session/ledgers.h"

#define OLD_VERSION    2 /* struct rings_header.version */
#define OLD_EXTENTS    65536u
#define OLD_LEDGER_OFF (RINGS_HEADER_OFF + RINGS_HEADER_SIZE)
#define OLD_EXTENT_OFF (OLD_LEDGER_OFF + (uint64_t)ARENA_DOMIDS * ARENA_PAGE)
#define OLD_SIZE       (OLD_EXTENT_OFF + (uint64_t)OLD_EXTENTS * ARENA_PAGE)
#define OLD_BLAME_OFF  (RINGS_HEADER_OFF + 8ULL * ARENA_PAGE)

struct memory {
	struct rings rings;
	struct ledgers ledgers;
	bool old; /* both are in one memfd, which `rings` owns */
};

#define MEMORY_NULL                                           \
	{                                                     \
		.rings = RINGS_NULL, .ledgers = LEDGERS_NULL, \
	}

/**
 * memory_open_old() - map the old arena.
 * @memory: filled in; takes over @fd on success only
 *
 * Return: 0; -EPROTO when it is none; -EPROTONOSUPPORT when its version is another one; or a
 * negative errno of mmap.
 */
int memory_open_old(struct memory *memory, int fd);

/**
 * memory_adopt() - find the ledgers that go with @memory's rings, or make them.
 * @kept: what somebody kept of an xsproxyd before, or -1; taken over on success
 * @made: set when they are new, and have to be kept from now on
 *
 * Return: 0; -EPROTONOSUPPORT when what was kept is of a version that this xsproxyd does not know;
 * or a negative errno of ledgers_open() or ledgers_create().
 */
int memory_adopt(struct memory *memory, int kept, bool *made);

/** memory_close() - MEMORY_NULL is fine. */
void memory_close(struct memory *memory);

/**
 * memory_foreign() - look for what an xsproxyd of another version left in the ledgers.
 *
 * Return: the version of a mapped domain's ledger that is not theirs, or 0.
 */
uint32_t memory_foreign(const struct memory *memory);

#endif
