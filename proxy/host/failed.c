// SPDX-License-Identifier: MIT
#include "proxy/host/failed.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A full table must not be the end of the daemon. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "proxy/log.h"

#define REASON_MAX 160

struct failed {
	UT_hash_handle hh;
	uint32_t domid;
	char reason[REASON_MAX];
};

static struct failed *find(const struct failed *table, uint32_t domid)
{
	struct failed *found;

	HASH_FIND_INT(table, &domid, found);
	return found;
}

/* Return: the domain's entry, a new one if need be, or NULL without memory. */
static struct failed *entry(struct failed **table, uint32_t domid)
{
	struct failed *new = find(*table, domid);

	if (new)
		return new;
	new = calloc(1, sizeof(*new));
	if (!new)
		return NULL;
	new->domid = domid;
	HASH_ADD_INT(*table, domid, new);
	if (new->hh.tbl)
		return new;
	free(new);
	return NULL;
}

void failed_note(struct failed **table, int level, uint32_t domid, const char *fmt, ...)
{
	struct failed *failed = entry(table, domid);
	char reason[REASON_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	if (failed && !strcmp(failed->reason, reason))
		return; /* it was tried once more */
	log_domain(level, domid, "%s", reason);
	if (failed)
		memcpy(failed->reason, reason, sizeof(reason));
}

void failed_forget(struct failed **table, uint32_t domid)
{
	struct failed *failed = find(*table, domid);

	if (!failed)
		return;
	HASH_DEL(*table, failed);
	free(failed);
}

void failed_forget_all(struct failed **table)
{
	while (*table)
		failed_forget(table, (*table)->domid);
}

const char *failed_reason(const struct failed *table, uint32_t domid)
{
	const struct failed *failed = find(table, domid);

	return failed ? failed->reason : NULL;
}
