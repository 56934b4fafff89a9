/* SPDX-License-Identifier: MIT */
/*
 * called - what a domain is called, as far as the mirror knows: its name and the UUID of its
 * machine, which the toolstack writes.
 *
 * Used by proxy/metrics/. Must never ask xenstored.
 */
#ifndef XSPROXY_PROXY_MIRROR_CALLED_H
#define XSPROXY_PROXY_MIRROR_CALLED_H

#include <stdint.h>

struct mirror;

/* Octets of the mirror's, until it changes; len 0: none. */
struct called {
	const char *octets;
	uint32_t len;
};

/** called_name() - the value of /local/domain/DOMID/name. @mirror: NULL: nothing is known */
struct called called_name(const struct mirror *mirror, uint32_t domid);

/** called_uuid() - what follows "/vm/" in that of /local/domain/DOMID/vm. */
struct called called_uuid(const struct mirror *mirror, uint32_t domid);

#endif
