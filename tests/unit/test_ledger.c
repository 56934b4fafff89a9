// SPDX-License-Identifier: MIT
/*
 * A commit happens at one instant: whichever store the process dies at, recovery leaves all of its
 * words as before or all as after, in another process too, where memory and page are mapped
 * elsewhere.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/kill_point.h"

#define DOMID  7
#define EXTENT 5
#define WORDS  6
#define STORES (WORDS + 2) /* the record's count, the words, the count again */

/* One view of the shared memory: that of the process that dies, or of the one that recovers. */
struct view {
	struct rings rings;
	struct ledgers ledgers;
	struct xenstore_domain_interface *page;
	struct ledger_place place;
};

struct bed {
	int page_fd;
	struct view old, new;
};

static void view_open(struct view *view, int page_fd)
{
	view->page = mmap(NULL, ARENA_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
	assert_ptr_not_equal(view->page, MAP_FAILED);
	view->place = (struct ledger_place){
		.ledger = ledgers_ledger(&view->ledgers, DOMID),
		.rings = &view->rings,
		.ledgers = &view->ledgers,
		.front_page = view->page,
		.back_page = rings_ring(&view->rings, DOMID),
	};
}

static void reserve(const struct ledgers *ledgers, uint64_t off)
{
	assert_int_equal(arena_reserve(&ledgers->arena, off, ARENA_PAGE), 0);
}

static int setup(void **state)
{
	static struct bed bed;
	struct rings *rings = &bed.old.rings;
	struct ledgers *ledgers = &bed.old.ledgers;

	assert_int_equal(rings_create(rings, RINGS_FLAVOUR_C), 0);
	assert_int_equal(rings_reserve(rings, DOMID), 0);
	assert_int_equal(ledgers_create(ledgers, rings_header(rings)->id), 0);
	reserve(ledgers, ledgers_ledger_off(ledgers, DOMID));
	reserve(ledgers, ledgers_extent_off(ledgers, EXTENT));
	assert_int_equal(rings_open(&bed.new.rings, dup(rings->arena.fd)), 0);
	assert_int_equal(ledgers_open(&bed.new.ledgers, dup(ledgers->arena.fd)), 0);
	assert_ptr_not_equal(bed.new.rings.arena.base, rings->arena.base);
	assert_ptr_not_equal(bed.new.ledgers.arena.base, ledgers->arena.base);

	bed.page_fd = memfd_create("page", MFD_CLOEXEC);
	assert_int_equal(ftruncate(bed.page_fd, ARENA_PAGE), 0);
	view_open(&bed.old, bed.page_fd);
	view_open(&bed.new, bed.page_fd);
	assert_ptr_not_equal(bed.new.page, bed.old.page);
	ledger_format(bed.old.place.ledger, ledgers, 1);
	*state = &bed;
	return 0;
}

static void view_close(struct view *view)
{
	munmap(view->page, ARENA_PAGE);
	ledgers_close(&view->ledgers);
	rings_close(&view->rings);
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	view_close(&bed->old);
	view_close(&bed->new);
	close(bed->page_fd);
	return 0;
}

static ledger_word *extent_words(const struct view *view)
{
	return (ledger_word *)(view->ledgers.arena.base +
			       ledgers_extent_off(&view->ledgers, EXTENT));
}

/* Words of every kind that a commit may name: both rings, the ledger, an extent. */
static ledger_word *word_at(const struct view *view, uint32_t i)
{
	struct xenstore_domain_interface *back = view->place.back_page;
	ledger_word *words[WORDS] = {
		(ledger_word *)&back->req_prod,
		(ledger_word *)&view->page->req_cons,
		&view->place.ledger->up_fill,
		&view->place.ledger->log_tail,
		extent_words(view) + 16,
		(ledger_word *)&view->page->server_features, /* beyond the rings */
	};

	return words[i];
}

static uint32_t before(uint32_t i)
{
	return i * 100;
}

static uint32_t after(uint32_t i)
{
	return i * 100 + 24;
}

static void set_before(struct bed *bed)
{
	for (uint32_t i = 0; i < WORDS; i++)
		atomic_store(word_at(&bed->old, i), before(i));
}

static void end(void *commit)
{
	commit_end(commit);
}

static void recover(void *place)
{
	ledger_recover(place);
}

/* Die before store number @at of the commit; not at all when there are not so many. */
static void commit_and_die(struct bed *bed, long at)
{
	struct commit commit;

	set_before(bed);
	commit_begin(&commit, &bed->old.place);
	for (uint32_t i = 0; i < WORDS; i++)
		commit_move(&commit, word_at(&bed->old, i), before(i), after(i));
	assert_int_equal(die_at_store(at, end, &commit), at < STORES);
}

static void assert_words(const struct view *view, uint32_t (*value)(uint32_t i))
{
	for (uint32_t i = 0; i < WORDS; i++)
		assert_int_equal(word_get(word_at(view, i)), value(i));
}

static void all_or_nothing_at_every_store(void **state)
{
	struct bed *bed = *state;

	for (long at = 0; at <= STORES; at++) {
		commit_and_die(bed, at);
		assert_int_equal(word_get(&bed->old.place.ledger->record.count),
				 at >= 1 && at < STORES ? WORDS : 0);
		for (uint32_t i = 0; i < WORDS; i++)
			assert_int_equal(word_get(word_at(&bed->old, i)),
					 at > i + 1 ? after(i) : before(i));
		assert_int_equal(ledger_recover(&bed->new.place), 0);
		assert_words(&bed->new, at ? after : before);
		assert_int_equal(word_get(&bed->new.place.ledger->record.count), 0);
	}
}

/* The process that recovers may be killed as well. */
static void recovery_can_die_at_every_store(void **state)
{
	struct bed *bed = *state;

	for (long at = 1; at < STORES; at++) {
		for (long again = 0; again < STORES; again++) {
			commit_and_die(bed, at);
			die_at_store(again, recover, &bed->new.place);
			assert_int_equal(ledger_recover(&bed->old.place), 0);
			assert_words(&bed->old, after);
		}
	}
}

static void recovery_is_done_once(void **state)
{
	struct bed *bed = *state;

	commit_and_die(bed, 3);
	assert_int_equal(ledger_recover(&bed->new.place), 0);
	set_before(bed);
	assert_int_equal(ledger_recover(&bed->new.place), 0);
	assert_words(&bed->new, before);
}

/* The guest can write these at any time, so nothing is concluded from them. */
static bool is_guests(uint32_t i)
{
	return i == 1 || i == 5;
}

/* Whether a word of ours that was stored after word @i, dying at @at, tells that @i was stored. */
static bool is_vouched_for(uint32_t i, long at)
{
	for (uint32_t j = i + 1; j + 2 <= (uint32_t)at; j++)
		if (!is_guests(j))
			return true;
	return false;
}

/* What the other side did to a word after we had stored it is the other side's business. */
static void words_that_moved_on_stay(void **state)
{
	struct bed *bed = *state;

	for (long at = 3; at < STORES; at++) {
		for (uint32_t i = 0; i + 2 < (uint32_t)at; i++) {
			if (!is_vouched_for(i, at) && !is_guests(i))
				continue;
			commit_and_die(bed, at);
			atomic_store(word_at(&bed->old, i), 77777);
			assert_int_equal(ledger_recover(&bed->new.place), 0);
			for (uint32_t j = 0; j < WORDS; j++)
				assert_int_equal(word_get(word_at(&bed->new, j)),
						 j == i ? 77777 : after(j));
		}
	}
}

static void a_foreign_value_is_stale(void **state)
{
	struct bed *bed = *state;

	for (long at = 1; at < STORES - 1; at++) {
		for (uint32_t i = (uint32_t)at - 1; i < WORDS; i++) {
			commit_and_die(bed, at);
			atomic_store(word_at(&bed->old, i), 77777);
			assert_int_equal(ledger_recover(&bed->new.place),
					 is_guests(i) ? 0 : -ESTALE);
			assert_int_equal(word_get(word_at(&bed->new, i)), 77777);
			assert_int_equal(word_get(&bed->new.place.ledger->record.count), 0);
		}
	}
}

static void unknown_version_is_refused_untouched(void **state)
{
	struct bed *bed = *state;

	commit_and_die(bed, 2);
	bed->new.place.ledger->version = LEDGER_VERSION + 1;
	assert_int_equal(ledger_recover(&bed->new.place), -EPROTONOSUPPORT);
	assert_int_equal(word_get(word_at(&bed->new, 0)), after(0));
	assert_int_equal(word_get(word_at(&bed->new, 1)), before(1));
}

#define RINGS_TARGET(off)   (0x20000000u | (uint32_t)((off) / 4))
#define LEDGERS_TARGET(off) (0x40000000u | (uint32_t)((off) / 4))

static void broken_records_are_stale(void **state)
{
	static const uint32_t targets[] = {
		RINGS_TARGET(RINGS_SIZE),		/* beyond the rings */
		RINGS_TARGET((DOMID + 1) * ARENA_PAGE), /* another domain's ring */
		RINGS_TARGET(RINGS_HEADER_OFF),		/* nobody's */
		LEDGERS_TARGET(LEDGERS_SIZE),		/* beyond the ledgers */
		LEDGERS_TARGET(LEDGERS_RING_OFF + (DOMID - 1) * ARENA_PAGE), /* another's ledger */
		LEDGERS_TARGET(LEDGERS_EXTENT_OFF - 4),			     /* nobody's */
		LEDGERS_EXTENT_OFF / 4,					     /* of an old arena */
		0x60000000u,						     /* no memory of ours */
		0x80000000u | ARENA_PAGE / 4,				     /* beyond the page */
		0xffffffff,						     /* far beyond */
		0x80000000u | sizeof(struct xenstore_domain_interface) / 4,
	};
	struct bed *bed = *state;
	struct ledger_record *record = &bed->new.place.ledger->record;

	for (uint32_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		for (uint32_t at = 0; at < WORDS; at++) {
			commit_and_die(bed, 1);
			record->word[at].target = targets[i];
			assert_int_equal(ledger_recover(&bed->new.place), -ESTALE);
		}
	}
	commit_and_die(bed, 1);
	atomic_store(&record->count, LEDGER_COMMIT_WORDS + 1);
	assert_int_equal(ledger_recover(&bed->new.place), -ESTALE);
	atomic_store(&record->count, UINT32_MAX);
	assert_int_equal(ledger_recover(&bed->new.place), -ESTALE);
	assert_words(&bed->new, before);
}

static void a_page_that_is_gone_is_stale(void **state)
{
	struct bed *bed = *state;

	commit_and_die(bed, 1);
	bed->new.place.front_page = NULL;
	assert_int_equal(ledger_recover(&bed->new.place), -ESTALE);
	bed->new.place.front_page = bed->new.page;
}

/* --- commits */

static void changes_of_a_word_are_merged(void **state)
{
	struct bed *bed = *state;
	ledger_word *a = word_at(&bed->old, 2), *b = word_at(&bed->old, 3);
	const struct ledger_record *record = &bed->old.place.ledger->record;
	struct commit commit;

	atomic_store(a, 5);
	atomic_store(b, 6);
	commit_begin(&commit, &bed->old.place);
	assert_int_equal(commit_peek(&commit, a), 5);
	commit_set(&commit, a, 10);
	commit_set(&commit, b, 20);
	assert_int_equal(commit_peek(&commit, a), 10);
	commit_set(&commit, a, 11);
	commit_move(&commit, a, 99, 12);
	assert_int_equal(commit_peek(&commit, a), 12);
	assert_int_equal(commit_peek(&commit, b), 20);
	assert_int_equal(commit.n, 2);
	/* Nothing has happened yet. */
	assert_int_equal(word_get(a), 5);
	assert_int_equal(word_get(b), 6);

	assert_true(die_at_store(1, end, &commit));
	assert_int_equal(word_get(&record->count), 2);
	assert_int_equal(record->word[0].before, 5);
	assert_int_equal(record->word[0].after, 12);
	assert_int_equal(ledger_recover(&bed->old.place), 0);
	assert_int_equal(word_get(a), 12);
	assert_int_equal(word_get(b), 20);
}

static void a_commit_can_be_used_again(void **state)
{
	struct bed *bed = *state;
	struct commit commit;

	set_before(bed);
	commit_begin(&commit, &bed->old.place);
	commit_set(&commit, word_at(&bed->old, 2), 1);
	commit_end(&commit);
	commit_set(&commit, word_at(&bed->old, 3), 2);
	atomic_store(word_at(&bed->old, 2), 3);
	commit_end(&commit);
	assert_int_equal(word_get(word_at(&bed->old, 2)), 3);
	assert_int_equal(word_get(word_at(&bed->old, 3)), 2);
	commit_end(&commit);
	assert_int_equal(word_get(&bed->old.place.ledger->record.count), 0);
}

static void as_many_words_as_promised(void **state)
{
	struct bed *bed = *state;
	ledger_word *words = extent_words(&bed->old), *seen = extent_words(&bed->new);
	struct commit commit;

	commit_begin(&commit, &bed->old.place);
	for (uint32_t i = 0; i < LEDGER_COMMIT_WORDS; i++)
		commit_set(&commit, &words[i], i + 1);
	assert_true(die_at_store(4, end, &commit));
	assert_int_equal(ledger_recover(&bed->new.place), 0);
	for (uint32_t i = 0; i < LEDGER_COMMIT_WORDS; i++)
		assert_int_equal(word_get(&seen[i]), i + 1);
}

/* Overflowing a commit would be a bug of ours; it must not write beyond the record. */
static void one_word_more_stops_the_process(void **state)
{
	struct bed *bed = *state;
	int status;
	pid_t pid = fork();

	if (!pid) {
		ledger_word *words = extent_words(&bed->old);
		struct commit commit;

		signal(SIGILL, SIG_DFL);
		signal(SIGTRAP, SIG_DFL);
		commit_begin(&commit, &bed->old.place);
		for (uint32_t i = 0; i <= LEDGER_COMMIT_WORDS; i++)
			commit_set(&commit, &words[i], 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void a_fresh_ledger_has_nothing(void **state)
{
	struct bed *bed = *state;
	struct ledger *ledger = bed->old.place.ledger;

	memset((void *)ledger, 0xaa, ARENA_PAGE);
	ledger_format(ledger, &bed->old.ledgers, 42);
	assert_int_equal(ledger->version, LEDGER_VERSION);
	assert_int_equal(ledger->map_gen, 42);
	assert_true(ledger_current(ledger, &bed->old.ledgers, 42));
	assert_int_equal(word_get(&ledger->state), LEDGER_RUN);
	assert_int_not_equal(word_get(&ledger->epoch), 0);
	assert_int_equal(word_get(&ledger->pending_mask), 0);
	assert_int_equal(word_get(&ledger->record.count), 0);
	assert_string_equal(ledger_fault(ledger), "");
	for (uint32_t i = 0; i < LEDGER_TX; i++)
		assert_int_not_equal(word_get(&ledger->tx[i].live), word_get(&ledger->epoch));
	assert_int_equal(ledger_recover(&bed->old.place), 0);
}

/* Of the same domain, the same count, and another xenstored. */
static void ledgers_of_other_rings_are_not_current(void **state)
{
	struct bed *bed = *state;
	struct ledger *ledger = bed->old.place.ledger;

	assert_true(ledger_current(ledger, &bed->old.ledgers, 1));
	assert_false(ledger_current(ledger, &bed->old.ledgers, 3));
	ledger->of.rings++;
	assert_false(ledger_current(ledger, &bed->old.ledgers, 1));
}

static void faults_are_kept(void **state)
{
	struct bed *bed = *state;
	char longer[2 * LEDGER_FAULT_MAX];

	ledger_blame(bed->old.place.ledger, "it did");
	assert_string_equal(ledger_fault(bed->new.place.ledger), "it did");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	ledger_blame(bed->old.place.ledger, longer);
	assert_int_equal(strlen(ledger_fault(bed->new.place.ledger)), LEDGER_FAULT_MAX - 1);
	bed->old.place.ledger->map_gen++; /* what another mapping left */
	assert_string_equal(ledger_fault(bed->new.place.ledger), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(all_or_nothing_at_every_store),
		TEST(recovery_can_die_at_every_store),
		TEST(recovery_is_done_once),
		TEST(words_that_moved_on_stay),
		TEST(a_foreign_value_is_stale),
		TEST(unknown_version_is_refused_untouched),
		TEST(broken_records_are_stale),
		TEST(a_page_that_is_gone_is_stale),
		TEST(changes_of_a_word_are_merged),
		TEST(a_commit_can_be_used_again),
		TEST(as_many_words_as_promised),
		TEST(one_word_more_stops_the_process),
		TEST(a_fresh_ledger_has_nothing),
		TEST(ledgers_of_other_rings_are_not_current),
		TEST(faults_are_kept),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
