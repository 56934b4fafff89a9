/* SPDX-License-Identifier: MIT */
/*
 * conns - what connections have at a xenstored, on the way between xsproxyd and the starter: what
 * a native daemon's had, when xsproxyd is put before it; what the next one's are to have, when
 * xsproxyd leaves.
 *
 * Octets of a memfd: records, one after the other, each with what follows it, up to the next
 * multiple of 8. The two who read and write it are of one version and of one user; it is checked
 * all the same, for what it says comes from a daemon's state.
 *
 * Used by proxy/exchange/, proxy/session/hand.c and starter/. Nothing here waits or allocates.
 */
#ifndef XSPROXY_LINK_CONNS_H
#define XSPROXY_LINK_CONNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONNS_ALIGN	8u
#define CONNS_NO_TARGET UINT32_MAX

enum conns_kind {
	CONNS_RING,   /* number: domid */
	CONNS_SOCKET, /* number: which of the sockets that come along: 0, then 1, and so on */
	CONNS_DAEMON, /* to the starter, once: `in` is the path of what it has to become */
};

struct conns_record {
	uint32_t size; /* octets, with what follows, whole CONNS_ALIGN */
	uint32_t kind; /* enum conns_kind */
	uint32_t number;
	uint32_t port;	   /* of a ring: the domain's own; 0: it has closed it, or is gone */
	uint64_t gfn;	   /* of a ring's page; 0: not known */
	uint32_t local;	   /* to the starter: bound to that port, in the event channels' device */
	uint32_t target;   /* of a ring's domain: whom it has by SET_TARGET, or CONNS_NO_TARGET */
	uint32_t in_len;   /* octets of a request that were taken and are not worked on, */
	uint32_t out_len;  /* then octets to be sent: of a message in part, then of whole ones, */
	uint32_t out_rest; /* how many of these are of the one in part; */
	uint32_t watches_len; /* then its watches, nr_watches times three strings, each with its */
	uint32_t nr_watches;  /* NUL: path and token as the client spelt them, depth or "" */
	uint32_t reserved;
};

struct conns_view {
	struct conns_record record;
	const uint8_t *in;
	const uint8_t *out;
	const char *watches;
};

/* Where a reader is. */
struct conns {
	const uint8_t *octets;
	size_t len;
	size_t at;
};

/** conns_put() - write one; its size is set. Return: 0, or -EIO when that failed. */
int conns_put(FILE *file, const struct conns_view *view);

/**
 * conns_next() - the next one; begin with `at` 0.
 * @view: points into the octets; the record is a copy
 *
 * Return: 1; 0 at the end; -EBADMSG when there is no such thing.
 */
int conns_next(struct conns *conns, struct conns_view *view);

/**
 * conns_watch() - the next of its watches.
 * @at: 0 at first
 * @words: path, token and depth
 *
 * Return: whether there was one.
 */
bool conns_watch(const struct conns_view *view, size_t *at, const char *words[3]);

#endif
