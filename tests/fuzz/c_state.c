// SPDX-License-Identifier: MIT
/*
 * A C daemon's state stream, behind the eight octets that it begins with: states.h says what holds.
 */
#include "tests/fuzz/states.h"

static const char begin[] = { 'x', 'e', 'n', 's', 't', 'o', 'r', 'e' };

/* A domain's features are not known in version 1, and have to be in version 2. */
static bool can_write(struct state_reader *reader)
{
	struct state_item item;
	bool can = true;

	CHECK(!state_reader_rewind(reader));
	while (state_reader_next(reader, &item) > 0)
		can &= item.kind != STATE_DOMAIN || item.domain.has_features;
	return can;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *stream = malloc(sizeof(begin) + size);

	memcpy(mempcpy(stream, begin, sizeof(begin)), data, size);
	/* Version 2 holds all that version 1 does, but for what can_write() says. */
	states_test(stream, sizeof(begin) + size, STATE_C_2, can_write);
	free(stream);
	return 0;
}
