// SPDX-License-Identifier: MIT
/*
 * ring_ref - see ring_ref.h.
 */
#include "starter/ring_ref.h"

#include <string.h>

#include "migration/format/record.h"
#include "starter/exchange_plan.h"

#define BEFORE "/local/domain/"
#define AFTER  "/store/ring-ref"

/* Decimal, nothing else, @len octets. Return: false if it is not, or does not fit. */
static bool parse(const char *text, size_t len, uint64_t *value)
{
	*value = 0;
	for (size_t i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(text[i] - '0'), value))
			return false;
	return len;
}

bool ring_ref_read(const struct record_node *node, uint32_t *domid, uint64_t *gfn)
{
	size_t before = strlen(BEFORE), after = strlen(AFTER);
	uint64_t number;

	if (node->path_len <= before + after || memcmp(node->path, BEFORE, before) ||
	    memcmp(node->path + node->path_len - after, AFTER, after) ||
	    !parse(node->path + before, node->path_len - before - after, &number) ||
	    number >= EXCHANGE_DOMIDS || node->path[before] == '0' ||
	    !parse(node->value, node->value_len, gfn))
		return false;
	*domid = (uint32_t)number;
	return true;
}
