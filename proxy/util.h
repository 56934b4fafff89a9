/* SPDX-License-Identifier: MIT */
/*
 * util - the few helpers that several modules of a session need. No state, no dependencies.
 */
#ifndef XSPROXY_PROXY_UTIL_H
#define XSPROXY_PROXY_UTIL_H

#include <stdint.h>
#include <sys/time.h>

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline struct timeval timeval_ms(uint32_t ms)
{
	return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L };
}

/** page_word() - a word of a Xenstore page, for access that is whole and ordered. */
static inline _Atomic uint32_t *page_word(uint32_t *word)
{
	return (_Atomic uint32_t *)word;
}

#endif
