// SPDX-License-Identifier: MIT
/*
 * watch_anew - the confirmed watches of a connection, as another xenstored is told of them
 * (renew.c): one after the other, under way, there or lost, and their first events.
 */
#include "proxy/session/watch.h"
#include "proxy/session/watch_entry.h"

struct watch *watches_first(const struct watches *set)
{
	return set->list;
}

uint32_t watch_octets(const struct watches *set, const struct watch *watch)
{
	return watchlog_at(&set->log, watch->pos)->len;
}

uint32_t watch_record(const struct watch *watch)
{
	return watch->pos;
}

struct watch *watch_asked(struct watches *set, struct watch *watch)
{
	watch->intents++;
	set->intents++;
	return watch->next;
}

void watch_renewed(struct watches *set, struct commit *commit, uint32_t pos, bool there, bool first)
{
	struct watch *watch = watch_find(set, watchlog_at(&set->log, pos)->text);

	watch->intents--;
	set->intents--;
	watch->first &= first;
	if (!there && watch->pos) {
		watch_unlist(set, commit, watch);
		watches_changed(set, commit);
	}
	watch_put(set, watch);
}

struct watch *watch_first_of(const struct watches *set, const char *text)
{
	struct watch *watch = watch_find(set, text);

	return watch && watch->first ? watch : NULL;
}

void watch_had_first(struct watch *watch)
{
	watch->first = false;
}

static void set_first(const struct watches *set, bool first)
{
	for (struct watch *watch = set->list; watch; watch = watch->next)
		watch->first = first;
}

void watches_unseen(const struct watches *set)
{
	set_first(set, true);
}

void watches_seen(const struct watches *set)
{
	set_first(set, false);
}
