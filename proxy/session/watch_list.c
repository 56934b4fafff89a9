// SPDX-License-Identifier: MIT
/*
 * watch_list - looking at a connection's confirmed watches: one after the other, and what each is.
 */
#include <string.h>

#include "proxy/session/watch.h"
#include "proxy/session/watch_entry.h"

const struct watch *watches_from(struct watches *set, uint32_t index)
{
	struct watch *watch = set->list;
	uint32_t at = 0;

	if (set->cursor && set->cursor_index <= index) {
		watch = set->cursor;
		at = set->cursor_index;
	}
	for (; watch && at < index; at++)
		watch = watch->next;
	if (watch) {
		set->cursor = watch;
		set->cursor_index = index;
	}
	return watch;
}

const struct watch *watch_next(const struct watch *watch)
{
	return watch->next;
}

/* The third string of a record that has one. */
static const char *depth_of(const struct watch_record *record)
{
	const char *token = record->text + strlen(record->text) + 1;

	return token + strlen(token) + 1;
}

const char *watch_text(const struct watches *set, const struct watch *watch, uint32_t *len)
{
	const struct watch_record *record = watchlog_at(&set->log, watch->pos);

	*len = record->len;
	if (record->depth)
		*len -= (uint32_t)strlen(depth_of(record)) + 1;
	return record->text;
}

const char *watch_depth(const struct watches *set, const struct watch *watch)
{
	const struct watch_record *record = watchlog_at(&set->log, watch->pos);

	return record->depth ? depth_of(record) : NULL;
}

uint32_t watch_batch(const struct watches *set, const struct watch *watch)
{
	return watchlog_at(&set->log, watch->pos)->batch;
}

/* Whether a watch of @path fires for a change at @event (the spelling of both is the same kind). */
static bool covers(const char *path, const char *event)
{
	size_t n = strlen(path);

	if (!strcmp(path, "/"))
		return event[0] == '/';
	return !strncmp(path, event, n) && (!event[n] || event[n] == '/');
}

bool watches_explain(struct watches *set, const char *path, const char *token, uint32_t batch)
{
	for (struct watch *watch = set->list; watch; watch = watch->next) {
		const struct watch_record *record = watchlog_at(&set->log, watch->pos);
		const char *own_token = record->text + strlen(record->text) + 1;

		if (record->batch != batch && !strcmp(own_token, token) &&
		    covers(record->text, path))
			return true;
	}
	return false;
}
