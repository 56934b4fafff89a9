// SPDX-License-Identifier: MIT
/*
 * pathset - see pathset.h.
 */
#include "migration/pathset.h"

#include "migration/format/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t pathset_parent(const char *path, size_t len)
{
	size_t parent = state_path_parent(path, len);

	return parent ? parent : len;
}

static bool pathset_has(const struct pathset *set, const char *path, size_t len)
{
	const struct pathset *element;

	HASH_FIND(hh, set, path, len, element);
	return element;
}

int pathset_add(struct pathset **set, const char *path, size_t len)
{
	struct pathset *element;

	if (pathset_has(*set, path, len))
		return 0;
	element = calloc(1, sizeof(*element) + len + 1);
	if (!element)
		return -ENOMEM;
	element->len = len;
	memcpy(element->path, path, len);
	HASH_ADD_KEYPTR(hh, *set, element->path, len, element);
	if (!element->hh.tbl) {
		free(element);
		return -ENOMEM;
	}
	return 0;
}

size_t pathset_cover(const struct pathset *set, const char *path, size_t len)
{
	while (!pathset_has(set, path, len)) {
		size_t parent = pathset_parent(path, len);

		if (parent == len)
			return 0;
		len = parent;
	}
	return len;
}

void pathset_clear(struct pathset **set)
{
	struct pathset *element, *next;

	HASH_ITER(hh, *set, element, next) {
		HASH_DEL(*set, element);
		free(element);
	}
}
