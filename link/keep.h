/* SPDX-License-Identifier: MIT */
/*
 * keep - the keys under which the keeper (keeper/) holds xsproxyd's descriptors for it.
 *
 * One xsproxyd at a time is connected; what it put there outlives it. The messages are those of
 * link.h. The first after connecting is LINK_GIVE, of an xsproxyd that takes up what one before it
 * had, or LINK_CLEAR, of one that has all and fills a keeper that is new.
 *
 * Used by keeper/keeper.c and by proxy/host/, through proxy/host/keeper.h. No key may ever mean
 * something else: the keeper is not restarted when xsproxyd is (docs/architecture.md, "The
 * keeper").
 */
#ifndef XSPROXY_LINK_KEEP_H
#define XSPROXY_LINK_KEEP_H

#define KEEP_SOCKETS 0x8000u /* below: a toolstack client's socket, then xenstored's for it */

enum keep_key {
	KEEP_MEMORY = KEEP_SOCKETS, /* the memfd of their ledgers */
	KEEP_PIPE,		    /* its end to read from, then the one to write to */
	KEEP_LISTENER,		    /* the public socket, where it is not systemd's */
	KEEP_DOMAINS,		    /* the memfd of domains' ledgers, then that of their rings */
	KEEP_STATE,		    /* of a xenstored that is exchanged: a memfd of what it wrote,
				     * then maybe the pidfd of who has been given it */
	KEEP_MIRROR,		    /* the memfd of the mirror of the store */
	KEEP_KEYS
};

#endif
