/* SPDX-License-Identifier: MIT */
/*
 * fuzz - what all fuzzers share: the entry points, a check that ends the run, and an input that is
 * read like a tape and gives zeroes behind its end.
 */
#ifndef XSPROXY_TESTS_FUZZ_FUZZ_H
#define XSPROXY_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Have @function called once, before the first input. */
#define FUZZ_BEGINS_WITH(function)                        \
	int LLVMFuzzerInitialize(int *argc, char ***argv) \
	{                                                 \
		(void)argc;                               \
		(void)argv;                               \
		function();                               \
		return 0;                                 \
	}

#define CHECK(condition)                                                                  \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				#condition);                                              \
			abort();                                                          \
		}                                                                         \
	} while (0)

struct tape {
	const uint8_t *at, *end;
};

static inline size_t tape_left(const struct tape *tape)
{
	return (size_t)(tape->end - tape->at);
}

/* Up to @want octets that stay valid; returns how many there are. */
static inline size_t tape_take(struct tape *tape, size_t want, const uint8_t **octets)
{
	size_t n = want < tape_left(tape) ? want : tape_left(tape);

	*octets = tape->at;
	tape->at += n;
	return n;
}

static inline uint32_t tape_number(struct tape *tape, size_t octets)
{
	const uint8_t *from;
	size_t n = tape_take(tape, octets, &from);
	uint32_t value = 0;

	for (size_t i = 0; i < n; i++)
		value |= (uint32_t)from[i] << (8 * i);
	return value;
}

static inline uint8_t tape_u8(struct tape *tape)
{
	return (uint8_t)tape_number(tape, 1);
}

static inline uint16_t tape_u16(struct tape *tape)
{
	return (uint16_t)tape_number(tape, 2);
}

static inline uint32_t tape_u32(struct tape *tape)
{
	return tape_number(tape, 4);
}

#endif
