// SPDX-License-Identifier: MIT
#include "proxy/session/watch.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/session/watch_entry.h"

/* Every idle guest has a table, of about eight watches. */
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS      8U
#define HASH_INITIAL_NUM_BUCKETS_LOG2 3U

#include "protocol/message.h"
#include "proxy/session/pending.h"
#include "proxy/util.h"

/* Dead octets that are worth no work; and the same as a share of the log. */
#define TIDY_FLOOR 1024u
#define TIDY_SHARE 32

/* A guest that always has a request under way must not let its log grow without bound. */
#define CLOGGED 32768u

void watches_init(struct watches *set, struct ledger *ledger, struct account *account,
		  uint32_t base_domid)
{
	memset(set, 0, sizeof(*set));
	watchlog_init(&set->log, ledger, account);
	set->base_domid = base_domid;
	set->most = UINT32_MAX;
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
	set->tidying = set->short_of_pages = false;
	set->tidy_at = 0;
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

/* The key of "path NUL token NUL...": canonical path, NUL, token. Return: its length. */
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

#define KEY_MAX (XENSTORE_PAYLOAD_MAX + sizeof("/local/domain/4294967295/"))

struct watch *watch_find(const struct watches *set, const char *text)
{
	char key[KEY_MAX];
	uint32_t keylen = make_key(set, text, key);
	struct watch *watch;

	HASH_FIND(hh, set->table, key, keylen, watch);
	return watch;
}

/* The table's entry for a text, made if need be; NULL without memory. */
static struct watch *entry_get(struct watches *set, const char *text)
{
	struct watch *watch = watch_find(set, text);
	char key[KEY_MAX];
	uint32_t keylen;

	if (watch)
		return watch;
	keylen = make_key(set, text, key);
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

void watch_put(struct watches *set, struct watch *watch)
{
	if (watch->pos || watch->intents)
		return;
	HASH_DEL(set->table, watch);
	free(watch);
}

static struct watch *entry_of_record(const struct watches *set, uint32_t pos)
{
	return watch_find(set, watchlog_at(&set->log, pos)->text);
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
	set->died += watchlog_size(&set->log, watch->pos);
	*(watch->prev ? &watch->prev->next : &set->list) = watch->next;
	*(watch->next ? &watch->next->prev : &set->last) = watch->prev;
	set->count--;
	if (watch == set->cursor)
		set->cursor = watch->next;
	else if (set->cursor && (int32_t)(watch->order - set->cursor->order) < 0)
		set->cursor_index--;
}

static bool is_full(const struct watches *set)
{
	const struct ledger *ledger = set->log.ledger;
	uint32_t n = set->count;

	/* Of the intents only WATCH requests count; looking at them is seldom needed. */
	if (n + set->intents < set->most)
		return false;
	PENDING_EACH(ledger, slot)
	n += ledger->pending[slot].type == XS_WATCH && pending_is_intent(&ledger->pending[slot]);
	return n >= set->most;
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
	if (is_full(set))
		return -EDQUOT;

	watch = entry_get(set, (const char *)payload);
	if (!watch)
		return -ENOMEM;
	*pos = watchlog_append(&set->log, commit, payload, keep, depth, batch);
	if (!*pos) {
		watch_put(set, watch);
		set->short_of_pages = true;
		return set->log.pages >= set->log.most ? -ENOBUFS : -ENOMEM;
	}
	watch->intents++;
	set->intents++;
	return 0;
}

/* A record that stays as long as @watch exists: the live one, or one that is under way. */
static uint32_t record_of(const struct watches *set, const struct watch *watch)
{
	const struct ledger *ledger = set->log.ledger;

	if (watch->pos)
		return watch->pos;
	PENDING_EACH(ledger, slot)
	{
		const struct ledger_pending *pending = &ledger->pending[slot];

		if (pending_is_intent(pending) && entry_of_record(set, pending->ref) == watch)
			return pending->ref;
	}
	return 0;
}

int watch_intend_removal(struct watches *set, struct commit *commit, const uint8_t *payload,
			 uint32_t len, uint32_t *pos)
{
	uint32_t depth, keep = split((const char *)payload, len, &depth);
	struct watch *watch;

	*pos = 0;
	if (!keep)
		return -EINVAL;
	watch = watch_find(set, (const char *)payload);
	/* Longer than any that there can be. */
	if (!watch && len > MESSAGE_WATCH_MAX)
		return -ENOENT;
	/* xsproxy 0.1 may come back, and would drop a record that it finds referred to. */
	if (watch && set->log.ledger->version == LEDGER_VERSION_OLD && keep <= MESSAGE_WATCH_MAX)
		*pos = watchlog_append(&set->log, commit, payload, keep, depth, 0);
	if (watch && !*pos)
		*pos = record_of(set, watch);
	if (*pos) {
		watch->intents++;
		set->intents++;
	}
	return 0;
}

void watches_changed(struct watches *set, struct commit *commit)
{
	ledger_word *gen = &set->log.ledger->watch_gen;

	commit_set(commit, gen, word_get(gen) + 1);
}

/* The record at @pos is of no more use, unless another request under way refers to it. */
static void drop_record(struct watches *set, struct commit *commit, const struct watch *watch,
			uint32_t pos)
{
	if (!watch->intents && pos != watch->pos)
		watchlog_undo(&set->log, commit, pos);
}

void watch_unlist(struct watches *set, struct commit *commit, struct watch *watch)
{
	uint32_t pos = watch->pos;

	list_remove(set, watch);
	commit_set(commit, &watchlog_at(&set->log, pos)->live, 0);
	watch->pos = 0;
	drop_record(set, commit, watch, pos);
}

/* The entry of a request that has been answered. */
static struct watch *resolve(struct watches *set, uint32_t pos)
{
	struct watch *watch = entry_of_record(set, pos);

	watch->intents--;
	set->intents--;
	return watch;
}

void watch_added(struct watches *set, struct commit *commit, uint32_t pos)
{
	struct watch *watch = resolve(set, pos);

	/* No daemon says OK to one that is there; who does so has it once nevertheless. */
	if (watch->pos)
		watch_unlist(set, commit, watch);
	watch->pos = pos;
	list_append(set, watch);
	commit_set(commit, &watchlog_at(&set->log, pos)->live, word_get(&set->log.ledger->epoch));
	watches_changed(set, commit);
}

void watch_removed(struct watches *set, struct commit *commit, uint32_t pos)
{
	struct watch *watch = resolve(set, pos);

	drop_record(set, commit, watch, pos);
	if (watch->pos) {
		watch_unlist(set, commit, watch);
		watches_changed(set, commit);
	}
	watch_put(set, watch);
}

void watch_refused(struct watches *set, struct commit *commit, uint32_t pos)
{
	struct watch *watch = resolve(set, pos);

	drop_record(set, commit, watch, pos);
	watch_put(set, watch);
}

void watches_forget(struct watches *set)
{
	struct watch *watch, *tmp;

	HASH_ITER(hh, set->table, watch, tmp) {
		if (watch->pos)
			list_remove(set, watch);
		watch->pos = 0;
		watch_put(set, watch);
	}
}

static void record_moved(void *arg, uint32_t from, uint32_t to)
{
	struct watches *set = arg;
	struct watch *watch = entry_of_record(set, from);

	if (watch)
		watch->pos = to;
}

static uint32_t dead(const struct watches *set)
{
	return set->log.used - set->live;
}

bool watches_clogged(const struct watches *set)
{
	return set->intents && dead(set) >= CLOGGED && dead(set) / 2 >= set->live;
}

/* Whether there is so much to gain that going through all of the log is worth it. */
static bool worth_tidying(const struct watches *set)
{
	/* What requests under way refer to is in the way. */
	uint32_t in_the_way = set->intents ? 2 * POOL_PAGE : 0;
	bool is_short = set->short_of_pages || set->log.pages >= set->log.most;

	if (dead(set) < set->tidy_at)
		return false;
	return dead(set) >= set->live + in_the_way ||
	       (is_short && dead(set) >= POOL_PAGE && dead(set) >= set->log.used / TIDY_SHARE);
}

bool watches_make_room(const struct watches *set)
{
	return set->short_of_pages && dead(set) >= TIDY_FLOOR &&
	       (set->tidying || worth_tidying(set));
}

bool watches_tidy(struct watches *set, const struct ledger_place *place)
{
	if (dead(set) < TIDY_FLOOR && !set->tidying)
		return false;
	if (!set->intents && dead(set) >= set->live &&
	    watchlog_home(&set->log, place, set->live, record_moved, set)) {
		set->tidying = false;
		set->tidy_at = 0;
		return false;
	}
	if (!set->tidying) {
		set->tidying = worth_tidying(set);
		set->died = 0;
	}
	if (!set->tidying)
		return false;
	if (watchlog_tidy(&set->log, place, record_moved, set) == -EAGAIN)
		return true;
	/*
	 * All has been looked at, or there is no memory: not again before there is more to gain, so
	 * that the work is in proportion to what has been asked for since. What has died meanwhile
	 * may be where it had been looked at, and is to be gained.
	 */
	set->tidying = set->short_of_pages = false;
	set->tidy_at = dead(set) - min_u32(dead(set), set->died) +
		       max_u32(set->log.used / TIDY_SHARE, TIDY_FLOOR);
	return false;
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
