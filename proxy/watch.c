// SPDX-License-Identifier: MIT
#include "proxy/watch.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A full table must be an error of one request, not the end of the daemon. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Every idle guest has a table, of about eight watches. */
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS      8U
#define HASH_INITIAL_NUM_BUCKETS_LOG2 3U

#include "proxy/message.h"
#include "proxy/pending.h"

/* Compact when more than this, and more than half of the log, is dead. */
#define COMPACT_FLOOR 1024u

/* A guest that always has a request under way must not let its log grow without bound. */
#define CLOGGED 32768u

/* Exists while confirmed or while an intent refers to it. */
struct watch {
	UT_hash_handle hh;
	struct watch *prev, *next; /* in order of registration; only while confirmed */
	uint32_t pos;		   /* the live record, or 0 */
	uint32_t order;		   /* of registration */
	uint32_t intents;
	char key[];
};

void watches_init(struct watches *set, struct ledger *ledger, struct pool *pool,
		  uint32_t base_domid)
{
	memset(set, 0, sizeof(*set));
	watchlog_init(&set->log, ledger, pool);
	set->base_domid = base_domid;
}

static void table_clear(struct watches *set)
{
	struct watch *watch, *tmp;

	HASH_ITER(hh, set->table, watch, tmp) {
		HASH_DEL(set->table, watch);
		free(watch);
	}
	set->list = set->last = set->cursor = NULL;
	set->count = set->intents = set->live = 0;
}

void watches_drop(struct watches *set)
{
	table_clear(set);
}

void watches_fini(struct watches *set)
{
	table_clear(set);
	watchlog_fini(&set->log);
}

void watches_end(struct watches *set, const struct ledger_place *place)
{
	struct ledger *ledger = set->log.ledger;
	struct watchlog_chain chain;
	struct commit commit;

	commit_begin(&commit, place);
	commit_set(&commit, &ledger->epoch, ledger_next_epoch(ledger));
	commit_set(&commit, &ledger->watch_gen, word_get(&ledger->watch_gen) + 1);
	chain = watchlog_reset(&set->log, &commit);
	commit_end(&commit);
	watchlog_release(&set->log, chain);
	set->log.used = 0;
	table_clear(set);
}

/*
 * Split a payload as the daemons do: path and token, each terminated; the C daemon ignores what
 * follows unterminated, and takes a third string as depth where it knows depth.
 *
 * Return: the octets to keep, or 0 when upstream will refuse it.
 */
static uint32_t split(const char *payload, uint32_t len, uint32_t *depth)
{
	uint32_t at = 0, strings = 0, end = 0;

	while (at < len && strings < 3) {
		const char *nul = memchr(payload + at, 0, len - at);

		if (!nul)
			break;
		at = (uint32_t)(nul - payload) + 1;
		end = at;
		strings++;
	}
	*depth = strings == 3;
	return strings >= 2 ? end : 0;
}

/* The path that relative ones of this connection start at; returns its length. */
static uint32_t base_path(const struct watches *set, char *path)
{
	return (uint32_t)sprintf(path, "/local/domain/%u/", set->base_domid);
}

/* The key of "path NUL token NUL...": canonical path, NUL, token. Returns its length. */
static uint32_t make_key(const struct watches *set, const char *text, char *key)
{
	size_t path_len = strlen(text), token_len = strlen(text + path_len + 1), n = 0;

	if (text[0] != '/' && text[0] != '@')
		n = base_path(set, key);
	memcpy(key + n, text, path_len + 1);
	n += path_len + 1;
	memcpy(key + n, text + path_len + 1, token_len);
	return (uint32_t)(n + token_len);
}

#define KEY_MAX (MESSAGE_WATCH_MAX + sizeof("/local/domain/4294967295/"))

/* The table's entry for a text, made if need be; NULL without memory. */
static struct watch *entry_get(struct watches *set, const char *text)
{
	char key[KEY_MAX];
	uint32_t keylen = make_key(set, text, key);
	struct watch *watch;

	HASH_FIND(hh, set->table, key, keylen, watch);
	if (watch)
		return watch;
	watch = calloc(1, offsetof(struct watch, key) + keylen);
	if (!watch)
		return NULL;
	memcpy(watch->key, key, keylen);
	HASH_ADD_KEYPTR(hh, set->table, watch->key, keylen, watch);
	if (!watch->hh.tbl) {
		free(watch);
		return NULL;
	}
	return watch;
}

static void entry_put(struct watches *set, struct watch *watch)
{
	if (watch->pos || watch->intents)
		return;
	HASH_DEL(set->table, watch);
	free(watch);
}

static struct watch *entry_of_record(struct watches *set, uint32_t pos)
{
	char key[KEY_MAX];
	uint32_t keylen = make_key(set, watchlog_at(&set->log, pos)->text, key);
	struct watch *watch;

	HASH_FIND(hh, set->table, key, keylen, watch);
	return watch;
}

static void list_append(struct watches *set, struct watch *watch)
{
	set->live += watchlog_size(&set->log, watch->pos);
	watch->order = set->next_order++;
	watch->prev = set->last;
	watch->next = NULL;
	if (set->last)
		set->last->next = watch;
	else
		set->list = watch;
	set->last = watch;
	set->count++;
}

static void list_remove(struct watches *set, struct watch *watch)
{
	set->live -= watchlog_size(&set->log, watch->pos);
	*(watch->prev ? &watch->prev->next : &set->list) = watch->next;
	*(watch->next ? &watch->next->prev : &set->last) = watch->prev;
	set->count--;
	if (watch == set->cursor)
		set->cursor = watch->next;
	else if (set->cursor && (int32_t)(watch->order - set->cursor->order) < 0)
		set->cursor_index--;
}

int watch_intend(struct watches *set, struct commit *commit, const uint8_t *payload, uint32_t len,
		 uint32_t batch, uint32_t *pos)
{
	uint32_t depth, keep = split((const char *)payload, len, &depth);
	struct watch *watch;

	*pos = 0;
	if (len > MESSAGE_WATCH_MAX)
		return -E2BIG;
	if (!keep)
		return -EINVAL;

	watch = entry_get(set, (const char *)payload);
	if (!watch)
		return -ENOMEM;
	*pos = watchlog_append(&set->log, commit, payload, keep, depth, batch);
	if (!*pos) {
		entry_put(set, watch);
		return -ENOMEM;
	}
	watch->intents++;
	set->intents++;
	return 0;
}

int watch_intend_removal(struct watches *set, struct commit *commit, const uint8_t *payload,
			 uint32_t len, uint32_t *pos)
{
	char base[sizeof("/local/domain/4294967295/")];
	uint32_t n = base_path(set, base);

	/* The same watch, spelt as the record has room for. */
	if (len > MESSAGE_WATCH_MAX && !memcmp(payload, base, n) && payload[n]) {
		payload += n;
		len -= n;
	}
	*pos = 0;
	/* Longer than any that there can be. */
	return len > MESSAGE_WATCH_MAX ? -ENOENT : watch_intend(set, commit, payload, len, 0, pos);
}

static void bump_gencnt(struct watches *set, struct commit *commit)
{
	ledger_word *gen = &set->log.ledger->watch_gen;

	commit_set(commit, gen, word_get(gen) + 1);
}

/* Its record dies with @commit. */
static void unlist(struct watches *set, struct commit *commit, struct watch *watch)
{
	list_remove(set, watch);
	commit_set(commit, &watchlog_at(&set->log, watch->pos)->live, 0);
	watchlog_undo(&set->log, commit, watch->pos);
	watch->pos = 0;
}

void watch_added(struct watches *set, struct commit *commit, uint32_t pos)
{
	struct watch *watch = entry_of_record(set, pos);

	watch->intents--;
	set->intents--;
	/* No daemon says OK to one that is there; who does so has it once nevertheless. */
	if (watch->pos)
		unlist(set, commit, watch);
	watch->pos = pos;
	list_append(set, watch);
	commit_set(commit, &watchlog_at(&set->log, pos)->live, word_get(&set->log.ledger->epoch));
	bump_gencnt(set, commit);
}

void watch_removed(struct watches *set, struct commit *commit, uint32_t pos)
{
	struct watch *watch = entry_of_record(set, pos);

	watch->intents--;
	set->intents--;
	watchlog_undo(&set->log, commit, pos);
	if (watch->pos) {
		unlist(set, commit, watch);
		bump_gencnt(set, commit);
	}
	entry_put(set, watch);
}

void watch_refused(struct watches *set, struct commit *commit, uint32_t pos)
{
	struct watch *watch = entry_of_record(set, pos);

	watch->intents--;
	set->intents--;
	watchlog_undo(&set->log, commit, pos);
	entry_put(set, watch);
}

void watches_forget(struct watches *set)
{
	struct watch *watch, *tmp;

	HASH_ITER(hh, set->table, watch, tmp) {
		if (watch->pos)
			list_remove(set, watch);
		watch->pos = 0;
		entry_put(set, watch);
	}
}

static void record_moved(void *arg, uint32_t from, uint32_t to)
{
	struct watches *set = arg;
	struct watch *watch = entry_of_record(set, from);

	if (watch)
		watch->pos = to;
}

bool watches_clogged(const struct watches *set)
{
	uint32_t dead = set->log.used - set->live;

	return set->intents && dead >= CLOGGED && dead >= set->live;
}

void watches_compact(struct watches *set, const struct ledger_place *place)
{
	uint32_t dead = set->log.used - set->live;

	if (set->intents || dead < COMPACT_FLOOR || dead < set->live)
		return;
	/* Without memory the log stays as it is, and this is tried again at the next change. */
	watchlog_compact(&set->log, place, record_moved, set);
}

/* As watch_intend() wrote it: path and token, and a depth where there is one, each terminated. */
static bool is_sane(const struct watch_record *record)
{
	uint32_t strings = 0;

	for (uint32_t i = 0; i < record->len; i++)
		strings += !record->text[i];
	return record->len <= MESSAGE_WATCH_MAX && !record->text[record->len - 1] &&
	       record->depth <= 1 && strings == 2u + record->depth;
}

static int recover_record(struct watches *set, uint32_t pos)
{
	struct watch_record *record = watchlog_at(&set->log, pos);
	struct watch *watch;

	if (word_get(&record->live) != word_get(&set->log.ledger->epoch))
		return 0;
	if (!is_sane(record))
		return -EINVAL;
	watch = entry_get(set, record->text);
	if (!watch)
		return -ENOMEM;
	/* Nobody has one twice (watch_added()). */
	if (watch->pos)
		return -EINVAL;
	watch->pos = pos;
	list_append(set, watch);
	return 0;
}

static int recover_intents(struct watches *set)
{
	PENDING_EACH(set->log.ledger, slot)
	{
		const struct ledger_pending *pending = &set->log.ledger->pending[slot];
		struct watch *watch;

		if (!pending_is_intent(pending))
			continue;
		if (!is_sane(watchlog_at(&set->log, pending->ref)))
			return -EINVAL;
		watch = entry_get(set, watchlog_at(&set->log, pending->ref)->text);
		if (!watch)
			return -ENOMEM;
		watch->intents++;
		set->intents++;
	}
	return 0;
}

int watches_recover(struct watches *set)
{
	int err = 0;

	for (uint32_t pos = watchlog_next(&set->log, 0); pos && !err;
	     pos = watchlog_next(&set->log, pos))
		err = recover_record(set, pos);
	return err ? err : recover_intents(set);
}

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
