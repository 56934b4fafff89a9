// SPDX-License-Identifier: MIT
/*
 * One wrong word, anywhere in what a session leaves behind: the next process takes the session over
 * or starts it afresh, serves another one, and never crashes, hangs, or touches what is not its
 * own.
 *
 * Every word of the ledger and of the extents that it uses is tried with values that a bug or a
 * stray store could leave. Under ASan and UBSan this sees each step too far.
 */
#include "proxy/session/afresh.h"
#include "tests/unit/session_anew.h"

#define EXTENTS 12u /* more are not in use */
#define TURNS	20

/* All that the session left: its ledger and its extents. */
struct image {
	uint32_t words[1 + EXTENTS][ARENA_PAGE / 4];
};

static uint32_t *page_at(struct rig *rig, uint32_t i)
{
	const struct ledgers *ledgers = &rig->proxy.ledgers;

	if (!i)
		return (uint32_t *)ledgers_ledger(ledgers, rig->domid);
	return (uint32_t *)(ledgers->arena.base + ledgers_extent_off(ledgers, i));
}

static void image_take(struct image *image, struct rig *rig)
{
	for (uint32_t i = 0; i <= EXTENTS; i++)
		memcpy(image->words[i], page_at(rig, i), ARENA_PAGE);
}

static void image_put(const struct image *image, struct rig *rig)
{
	for (uint32_t i = 0; i <= EXTENTS; i++)
		memcpy(page_at(rig, i), image->words[i], ARENA_PAGE);
}

/* A session with something of everything: watches, transactions, requests and messages in part. */
static void live(struct rig *rig)
{
	uint8_t large[3000];
	char watch[600];

	for (uint32_t i = 0; i < 6; i++) {
		uint32_t n = (uint32_t)sprintf(watch, "data/%u", i) + 1;

		memset(watch + n, 't', 500);
		watch[n + 500] = 0;
		rig_exchange(rig, XS_WATCH, 0, watch, n + 501, XS_WATCH, "OK");
	}
	for (uint32_t i = 1; i < 20; i++) {
		char id[8];

		sprintf(id, "%u", i);
		rig_exchange(rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, id);
	}
	GUEST_SENDS(rig, XS_WATCH, 1, 0, "more\0token");
	GUEST_SENDS(rig, XS_UNWATCH, 2, 0, "more\0token");
	GUEST_SENDS(rig, XS_TRANSACTION_START, 3, 0, "");
	GUEST_SENDS(rig, XS_TRANSACTION_END, 4, 5, "F");
	rig_run(rig);
	/* Its ring is full of what it does not read. */
	for (uint32_t i = 0; i < 4; i++) {
		fill(large, 900, i);
		stored_sends(rig, XS_WATCH_EVENT, 0, 0, large, 900);
		rig_run(rig);
	}
	/* Half a message from upstream, half a request of the guest. */
	fill(large, sizeof(large), 9);
	stored_sends(rig, XS_WATCH_EVENT, 0, 0, large, 100);
	{
		struct message half = make_message(XS_WATCH_EVENT, 0, 0, large, sizeof(large));

		queue_put(&rig->stored_out, &half, 700);
		half.hdr.type = XS_WRITE;
		queue_put(&rig->guest_out, &half, 900);
	}
	rig_run(rig);
}

/* One that is made anew: answers to come, a watch that is there in part, half a request. */
static void live_anew(struct rig *rig)
{
	static struct anew before, after;
	uint8_t octets[20] = { XS_READ };
	char text[32];

	for (uint32_t i = 1; i < 20; i++) {
		sprintf(text, "%u", i);
		open_as(rig, text);
		before.tx[before.txs++] = i;
	}
	register_texts(rig);
	register_large(rig, 'c');
	register_large(rig, 'd');
	part(rig, &before);
	renew_forget(rig->s);
	queue_put(&rig->guest_out, octets, sizeof(octets));
	anew_begins(&after, rig);
	renew_begin(rig->s, true);
	rig_turn(rig);
	/* Half of the large one is there, and what was asked before it is being answered. */
	queue_get(&rig->stored_in, octets, sizeof(octets));
	STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "data\0rel");
	assert_int_not_equal(word_get(&rig->s->ledger->more.renew_sent), 0);
}

static bool is_written_by_bridge_or_guest(const struct rig *rig)
{
	return rig->guest->req_prod - rig->guest->req_cons > XENSTORE_RING_SIZE;
}

/* As in RETURN; then the daemon ends, too. */
static void go_on_anew(struct rig *rig)
{
	rig->daemon.paused = true;
	renew_expect(rig->s);
	rig_turn(rig);
	renew_begin(rig->s, true);
	rig_turn(rig);
	renew_forget(rig->s);
	renew_begin(rig->s, true);
}

/* The next process: whatever it makes of it, it lives. */
static void take_over(struct rig *rig, bool anew)
{
	struct session_params params = rig_params(rig);
	int err = session_new(&rig->s, &params, true);

	if (err) {
		assert_true(err == -EINVAL || err == -EBUSY || err == -ESTALE ||
			    err == -EPROTONOSUPPORT);
		assert_null(rig->s);
		if (err == -EPROTONOSUPPORT)
			return;
		assert_int_equal(session_afresh(&rig->s, &params, err), 0);
	}
	toolstack_recover(rig->s);
	if (anew)
		go_on_anew(rig);
	for (uint32_t i = 0; i < TURNS; i++)
		rig_turn(rig);
	assert_false(is_written_by_bridge_or_guest(rig));
	session_free(rig->s, false);
	rig->s = NULL;
}

struct world {
	struct rig rig;
	struct image image;
	xs_page guest, back;
	bool anew;
};

static void try_word(struct world *w, uint32_t page, uint32_t word, uint32_t value)
{
	image_put(&w->image, &w->rig);
	*w->rig.guest = w->guest;
	*w->rig.back = w->back;
	page_at(&w->rig, page)[word] = value;
	assert_int_equal(pool_new_shared(&w->rig.pool, &w->rig.proxy.ledgers), 0);
	take_over(&w->rig, w->anew);
	w->rig.pool = pool_free(w->rig.pool);
}

static void try_page(struct world *w, uint32_t page)
{
	static const uint32_t values[] = { 0,	   1,	       2,	   31,	      77,
					   0x1000, 0x7fffffff, 0x80000000, UINT32_MAX };

	for (uint32_t word = 0; word < ARENA_PAGE / 4; word++) {
		uint32_t is = w->image.words[page][word];

		for (uint32_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
			try_word(w, page, word, values[i]);
		try_word(w, page, word, is + 1);
		try_word(w, page, word, is - 1);
		try_word(w, page, word, is + 0x10000);
		try_word(w, page, word, is ^ 0x100);
	}
}

static void begin(struct world *w, void (*lives)(struct rig *rig), bool quiet)
{
	rig_open(&w->rig, 7, 0u - 700);
	lives(&w->rig);
	w->anew = lives == live_anew;
	if (quiet)
		session_quiet(w->rig.s);
	rig_die(&w->rig);
	image_take(&w->image, &w->rig);
	w->guest = *w->rig.guest;
	w->back = *w->rig.back;
}

static void end(struct world *w)
{
	assert_int_equal(pool_new_shared(&w->rig.pool, &w->rig.proxy.ledgers), 0);
	rig_close(&w->rig);
}

static void any_word_of_the_ledger(void **state)
{
	static struct world w;

	(void)state;
	begin(&w, live, false);
	try_page(&w, 0);
	end(&w);
}

static void any_word_of_a_quiet_ledger(void **state)
{
	static struct world w;

	(void)state;
	begin(&w, live, true);
	try_page(&w, 0);
	end(&w);
}

static void any_word_of_its_extents(void **state)
{
	static struct world w;
	uint32_t used = 0;

	(void)state;
	begin(&w, live, false);
	for (uint32_t page = 1; page <= EXTENTS; page++) {
		bool empty = true;

		for (uint32_t i = 0; i < ARENA_PAGE / 4; i++)
			empty = empty && !w.image.words[page][i];
		if (empty)
			continue;
		used++;
		try_page(&w, page);
	}
	/* A log, a page of transactions, a directory and its pages, half a request. */
	assert_in_range(used, 5, EXTENTS - 1);
	end(&w);
}

static void any_word_of_one_that_is_made_anew(void **state)
{
	static struct world w;

	(void)state;
	begin(&w, live_anew, false);
	try_page(&w, 0);
	end(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_word_of_the_ledger),
		cmocka_unit_test(any_word_of_a_quiet_ledger),
		cmocka_unit_test(any_word_of_its_extents),
		cmocka_unit_test(any_word_of_one_that_is_made_anew),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
