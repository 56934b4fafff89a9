// SPDX-License-Identifier: MIT
#include "proxy/session/ledger.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/*
 * A record's targets: which memory in the top three bits, and the word's offset / 4 in it. They
 * survive a restart at another address. An old arena is both rings and ledgers.
 */
#define TARGET_OLD     0u
#define TARGET_RINGS   0x20000000u
#define TARGET_LEDGERS 0x40000000u
#define TARGET_FRONT   0x80000000u
#define TARGET_MEMORY  0xe0000000u
#define TARGET_WORD(t) ((t) & ~TARGET_MEMORY)

_Static_assert(LEDGERS_SIZE / 4 <= ~TARGET_MEMORY && RINGS_SIZE / 4 <= ~TARGET_MEMORY,
	       "a word's number must leave the top bits");

static bool is_old(const struct ledgers *ledgers)
{
	return ledgers->version == LEDGER_VERSION_OLD;
}

void ledger_format(struct ledger *ledger, const struct ledgers *ledgers, uint32_t map_gen)
{
	memset((uint8_t *)ledger + sizeof(ledger->attach), 0,
	       sizeof(*ledger) - sizeof(ledger->attach));
	if (!is_old(ledgers))
		ledger->of.rings = ledgers_rings(ledgers);
	ledger->map_gen = map_gen;
	atomic_init(&ledger->epoch, 1);
	__atomic_store_n(&ledger->version, ledgers->version, __ATOMIC_RELEASE);
}

bool ledger_current(const struct ledger *ledger, const struct ledgers *ledgers, uint32_t map_gen)
{
	if (!ledger->version || ledger->map_gen != map_gen)
		return false;
	return is_old(ledgers) || ledger->of.rings == ledgers_rings(ledgers);
}

const char *ledger_fault(const struct ledger *ledger)
{
	return ledger->more.map_gen == ledger->map_gen ? ledger->more.fault : "";
}

struct ledger_more *ledger_more(struct ledger *ledger)
{
	if (ledger->more.map_gen != ledger->map_gen) {
		memset(&ledger->more, 0, sizeof(ledger->more));
		ledger->more.map_gen = ledger->map_gen;
	}
	return &ledger->more;
}

void ledger_blame(struct ledger *ledger, const char *fault)
{
	struct ledger_more *more = ledger_more(ledger);
	size_t len = strnlen(fault, LEDGER_FAULT_MAX - 1);

	memcpy(more->fault, fault, len);
	more->fault[len] = 0;
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
	uintptr_t at = (uintptr_t)word, front = (uintptr_t)place->front_page;
	uintptr_t ledgers = (uintptr_t)place->ledgers->arena.base;
	bool old = is_old(place->ledgers);

	if (front && at - front < ARENA_PAGE)
		return TARGET_FRONT | (uint32_t)((at - front) / 4);
	if (at - ledgers < place->ledgers->arena.size)
		return (old ? TARGET_OLD : TARGET_LEDGERS) | (uint32_t)((at - ledgers) / 4);
	return TARGET_RINGS | (uint32_t)((at - (uintptr_t)place->rings->arena.base) / 4);
}

static bool is_within(const void *word, const void *start, uint64_t size)
{
	return start && (uintptr_t)word - (uintptr_t)start < size;
}

/* Whether a session with this ledger may have a word there: nobody else's ledger or ring. */
static bool is_own(const struct ledger_place *place, const void *word)
{
	const struct ledgers *ledgers = place->ledgers;

	return is_within(word, place->ledger, ARENA_PAGE) ||
	       is_within(word, place->back_page, ARENA_PAGE) ||
	       is_within(word, ledgers->arena.base + ledgers->extent_off,
			 (uint64_t)ledgers->extents * ARENA_PAGE);
}

/* NULL for a target that cannot be: the record was not written by us. */
static ledger_word *target_word(const struct ledger_place *place, uint32_t target)
{
	uint64_t off = (uint64_t)TARGET_WORD(target) * 4;
	uint8_t *base;

	switch (target & TARGET_MEMORY) {
	case TARGET_FRONT:
		if (!place->front_page || off >= sizeof(*place->front_page))
			return NULL;
		return (ledger_word *)((uint8_t *)place->front_page + off);
	case TARGET_RINGS:
		if (!place->rings)
			return NULL;
		base = place->rings->arena.base;
		break;
	case TARGET_LEDGERS:
	case TARGET_OLD:
		if (is_old(place->ledgers) != ((target & TARGET_MEMORY) == TARGET_OLD))
			return NULL;
		base = place->ledgers->arena.base;
		break;
	default:
		return NULL;
	}
	return is_own(place, base + off) ? (ledger_word *)(base + off) : NULL;
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
	if (!commit->n)
		return;
	record_write(commit);
	/*
	 * Release: who sees a new index also sees the octets it covers, and the record is complete
	 * before the first word changes. A killed process leaves a prefix of these stores.
	 */
	for (uint32_t i = 0; i < commit->n; i++)
		atomic_store_explicit(commit->change[i].word, commit->change[i].after,
				      memory_order_release);
	atomic_store_explicit(&commit->place->ledger->record.count, 0, memory_order_release);
	commit->n = 0;
}

static bool is_front(const struct ledger_record *record, uint32_t i)
{
	return (record->word[i].target & TARGET_MEMORY) == TARGET_FRONT;
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

	if (place->ledger->version != place->ledgers->version)
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
