// SPDX-License-Identifier: MIT
#include "proxy/host/missing.h"

#include <stdio.h>

#include "proxy/log.h"

#define LOG_TEXT 512 /* what is named in one line */

static uint64_t bit(uint32_t domid)
{
	return 1ULL << (domid % 64);
}

void missing_add(struct missing *missing, uint32_t domid)
{
	missing->domain[domid / 64] |= bit(domid);
}

void missing_remove(struct missing *missing, uint32_t domid)
{
	missing->domain[domid / 64] &= ~bit(domid);
}

uint32_t missing_next(const struct missing *missing, uint32_t domid)
{
	uint64_t mask = ~0ULL << (domid % 64);

	for (uint32_t i = domid / 64; i < ARENA_DOMIDS / 64; i++, mask = ~0ULL)
		if (missing->domain[i] & mask)
			return i * 64 + (uint32_t)__builtin_ctzll(missing->domain[i] & mask);
	return ARENA_DOMIDS;
}

uint32_t missing_count(const struct missing *missing)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ARENA_DOMIDS / 64; i++)
		n += (uint32_t)__builtin_popcountll(missing->domain[i]);
	return n;
}

/* The last one of those that follow each other. */
static uint32_t run_end(const struct missing *missing, uint32_t first)
{
	uint32_t last = first;

	while (missing_next(missing, last + 1) == last + 1 && last + 1 < ARENA_DOMIDS)
		last++;
	return last;
}

void missing_log(const struct missing *missing)
{
	uint32_t first = missing_next(missing, 0), last;
	char text[LOG_TEXT];
	int n = 0;

	if (first == ARENA_DOMIDS)
		return;
	for (; first < ARENA_DOMIDS; first = missing_next(missing, last + 1)) {
		last = run_end(missing, first);
		if (n > LOG_TEXT - 32) {
			snprintf(text + n, (size_t)(LOG_TEXT - n), ", ...");
			break;
		}
		n += snprintf(text + n, (size_t)(LOG_TEXT - n), "%s%u", n ? ", " : "", first);
		if (first != last)
			n += snprintf(text + n, (size_t)(LOG_TEXT - n), "-%u", last);
	}
	log_line(LOG_WARNING,
		 "this xenstored does not know domains that the one before it knew; they are held "
		 "until they are introduced again: %s",
		 text);
}
