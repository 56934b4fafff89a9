// SPDX-License-Identifier: MIT
/*
 * oxenstored's dump, behind its first line: states.h says what holds.
 */
#include "tests/fuzz/states.h"

static const char begin[] = "$xenstored-dump-format\n";

/* A permission for what is no domain, or a socket of descriptor 0, is not written as it was. */
static bool can_write(struct state_reader *reader)
{
	struct state_item item;
	bool can = true;

	CHECK(!state_reader_rewind(reader));
	while (state_reader_next(reader, &item) > 0) {
		for (size_t i = 0; item.kind == STATE_NODE && i < item.node.node.nr_perms; i++)
			can &= !item.node.node.perms[i].pad;
		can &= item.kind != STATE_CONNECTION || !item.connection.peer.socket ||
		       item.connection.peer.number;
	}
	return can;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = sizeof(begin) - 1 + size;
	char *stream = malloc(len);

	memcpy(mempcpy(stream, begin, sizeof(begin) - 1), data, size);
	states_test(stream, len, STATE_OX_DEPTH, can_write);
	free(stream);
	return 0;
}
