/* SPDX-License-Identifier: MIT */
/*
 * confine_bed - policies and nodes for the tests of migration/confine.
 */
#ifndef XSPROXY_TESTS_UNIT_CONFINE_BED_H
#define XSPROXY_TESTS_UNIT_CONFINE_BED_H

#include "tests/unit/golden/records.h"

#include <errno.h>
#include <stdio.h>

#include "migration/confine.h"

/* A policy for @domid with @maps ("OLD=NEW OLD=NEW") and @root, each of which may be NULL. */
static inline struct confine *policy(uint16_t domid, const char *maps, const char *root)
{
	char *copy = strdup(maps ? maps : ""), *rest = copy, *word;
	struct confine *confine;
	struct confine_map map;

	assert_non_null(copy);
	assert_int_equal(confine_new(&confine, domid), 0);
	while ((word = strsep(&rest, " ")))
		if (*word) {
			assert_int_equal(confine_map_parse(&map, word), 0);
			assert_int_equal(confine_add_map(confine, &map), 0);
		}
	if (root)
		assert_int_equal(confine_add_root(confine, root), 0);
	free(copy);
	return confine;
}

static inline struct record node_at(const char *path)
{
	static const struct record_perm owner[] = { { .letter = 'n' } };

	return (struct record){ .kind = RECORD_NODE,
				.node = { path, strlen(path), owner, 1, "/local/domain/5", 15 } };
}

#endif
