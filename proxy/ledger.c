// SPDX-License-Identifier: MIT
#include "proxy/ledger.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/*
 * A record's targets: words of the arena by their offset / 4, words of the guest's page by their
 * offset / 4 with the top bit set. Both survive a restart at another address.
 */
#define TARGET_FRONT 0x80000000u

_Static_assert(ARENA_SIZE / 4 < TARGET_FRONT, "an arena word's number must leave the top bit");

void ledger_format(struct ledger *ledger, uint32_t map_gen)
{
	memset((uint8_t *)ledger + sizeof(ledger->attach), 0,
	       sizeof(*ledger) - sizeof(ledger->attach));
	ledger->version = LEDGER_VERSION;
	ledger->map_gen = map_gen;
	atomic_init(&ledger->epoch, 1);
}

uint32_t ledger_foreign(const struct arena *arena)
{
	ARENA_EACH(arena_header(arena)->mapped, domid) {
		const struct ledger *ledger =
			(const struct ledger *)(arena->base + arena_ledger_off(domid));

		if (ledger_current(ledger, atomic_load(&ledger->attach.map_gen)) &&
		    ledger->version != LEDGER_VERSION)
			return ledger->version;
	}
	return 0;
}

void commit_begin(struct commit *commit, const struct ledger_place *place)
{
	commit->place = place;
	commit->n = 0;
}

void commit_move(struct commit *commit, ledger_word *word, uint32_t before, uint32_t after)
{
	for (uint32_t i = 0; i < commit->n; i++) {
		if (commit->change[i].word == word) {
			commit->change[i].after = after;
			return;
		}
	}
	/* Steps are small by construction: the longest one changes a dozen words. */
	if (commit->n == LEDGER_COMMIT_WORDS)
		__builtin_trap();
	commit->change[commit->n].word = word;
	commit->change[commit->n].before = before;
	commit->change[commit->n].after = after;
	commit->n++;
}

void commit_set(struct commit *commit, ledger_word *word, uint32_t after)
{
	commit_move(commit, word, word_get(word), after);
}

uint32_t commit_peek(const struct commit *commit, const ledger_word *word)
{
	for (uint32_t i = 0; i < commit->n; i++)
		if (commit->change[i].word == word)
			return commit->change[i].after;
	return word_get(word);
}

static uint32_t target_of(const struct ledger_place *place, const ledger_word *word)
{
	uintptr_t page = (uintptr_t)place->front_page, at = (uintptr_t)word;

	if (page && at - page < ARENA_PAGE)
		return TARGET_FRONT | (uint32_t)((at - page) / 4);
	return (uint32_t)((at - (uintptr_t)place->arena->base) / 4);
}

/* NULL for a target that cannot be: the record was not written by us. */
static ledger_word *target_word(const struct ledger_place *place, uint32_t target)
{
	uint64_t off = (uint64_t)(target & ~TARGET_FRONT) * 4;

	if (target & TARGET_FRONT) {
		if (!place->front_page || off >= sizeof(*place->front_page))
			return NULL;
		return (ledger_word *)((uint8_t *)place->front_page + off);
	}
	if (off >= ARENA_SIZE)
		return NULL;
	return (ledger_word *)(place->arena->base + off);
}

static void record_write(const struct commit *commit)
{
	struct ledger_record *record = &commit->place->ledger->record;

	for (uint32_t i = 0; i < commit->n; i++) {
		record->word[i].target = target_of(commit->place, commit->change[i].word);
		record->word[i].before = commit->change[i].before;
		record->word[i].after = commit->change[i].after;
	}
	atomic_store_explicit(&record->count, commit->n, memory_order_release);
}

void commit_end(struct commit *commit)
{
	bool durable = commit->place->arena && commit->n;

	if (durable)
		record_write(commit);
	/*
	 * Release: who sees a new index also sees the octets it covers, and the record is complete
	 * before the first word changes. A killed process leaves a prefix of these stores.
	 */
	for (uint32_t i = 0; i < commit->n; i++)
		atomic_store_explicit(commit->change[i].word, commit->change[i].after,
				      memory_order_release);
	if (durable)
		atomic_store_explicit(&commit->place->ledger->record.count, 0,
				      memory_order_release);
	commit->n = 0;
}

static bool is_front(const struct ledger_record *record, uint32_t i)
{
	return record->word[i].target & TARGET_FRONT;
}

/*
 * How many of a record's stores were made. They are made in order, so what lies before one that was
 * made was made too, and the other side may have moved on from it since. Only words that the guest
 * cannot write are believed.
 */
static uint32_t stores_made(const struct ledger_place *place, uint32_t count)
{
	const struct ledger_record *record = &place->ledger->record;

	for (uint32_t i = count; i > 0; i--) {
		ledger_word *word = target_word(place, record->word[i - 1].target);

		if (word && !is_front(record, i - 1) &&
		    record->word[i - 1].before != record->word[i - 1].after &&
		    word_get(word) == record->word[i - 1].after)
			return i;
	}
	return 0;
}

int ledger_recover(const struct ledger_place *place)
{
	struct ledger_record *record = &place->ledger->record;
	uint32_t count = atomic_load_explicit(&record->count, memory_order_acquire);
	int ret = 0;

	if (place->ledger->version != LEDGER_VERSION)
		return -EPROTONOSUPPORT;
	if (count > LEDGER_COMMIT_WORDS)
		return -ESTALE;

	for (uint32_t i = stores_made(place, count); i < count; i++) {
		ledger_word *word = target_word(place, record->word[i].target);

		/* A word of its own page that the guest has overwritten costs it its own stream. */
		if (word && word_get(word) == record->word[i].before)
			atomic_store_explicit(word, record->word[i].after, memory_order_release);
		else if (!word || (!is_front(record, i) && word_get(word) != record->word[i].after))
			ret = -ESTALE;
	}
	atomic_store_explicit(&record->count, 0, memory_order_release);
	return ret;
}
