/* SPDX-License-Identifier: MIT */
/* colliding - names of which uthash's own function makes the same last bits, as a guest finds them.
 */
#ifndef XSPROXY_TESTS_UNIT_COLLIDING_H
#define XSPROXY_TESTS_UNIT_COLLIDING_H

#include <stdint.h>

#include <uthash.h>

#define COLLIDING_LEN  8
#define COLLIDING_BITS 0xffu

/* The next one; @next is 0 at first. */
static inline void colliding_name(char name[COLLIDING_LEN], uint64_t *next)
{
	unsigned int hash;

	do {
		for (int i = 0; i < COLLIDING_LEN; i++)
			name[i] = (char)('a' + (*next >> (4 * i) & 15));
		++*next;
		HASH_JEN(name, COLLIDING_LEN, hash);
	} while (hash & COLLIDING_BITS);
}

#endif
