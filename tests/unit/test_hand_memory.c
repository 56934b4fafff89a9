// SPDX-License-Identifier: MIT
/*
 * Memory ends at each of the places where a session that is handed something, or hands it out, asks
 * for some: it says so, and gives back what it has taken.
 */
#include "tests/unit/hand_bed.h"

/* --- modules whose memory ends after so much; -1: never */

static int allowed = -1;

static bool lacks(void)
{
	if (allowed > 0)
		allowed--;
	else if (!allowed)
		return true;
	return false;
}

#define pool_alloc(pool)       (lacks() ? 0 : pool_alloc(pool))
#define pool_alloc_vital(pool) (lacks() ? 0 : pool_alloc_vital(pool))
#include "proxy/session/account.c"
#undef pool_alloc
#undef pool_alloc_vital
#define calloc(n, size) (lacks() ? NULL : calloc(n, size))
#define malloc(size)	(lacks() ? NULL : malloc(size))
#include "proxy/session/watch.c"
#undef calloc
#undef malloc
#define open_memstream(octets, len) (lacks() ? NULL : open_memstream(octets, len))
#define fclose(file)		    (fclose(file) || lacks() ? EOF : 0)
#include "proxy/session/hand.c"
#undef open_memstream
#undef fclose

/* A request with a page, a fifo of some, watches of a table that has to grow. */
static struct parcel parcel;
static struct spelt spelt;

static struct conns_view much(void)
{
	static struct message request = { .hdr = { .type = XS_WRITE, .len = 500 } };
	struct conns_view view;
	char path[32];

	parcel.len = spelt.len = spelt.count = 0;
	parcel_fill(&parcel, 20000);
	for (uint32_t i = 0; i < 200; i++) {
		sprintf(path, "data/%u", i);
		spelt_add(&spelt, path, "some token that is not short", "");
	}
	view = spelt_view(&spelt);
	view.in = (const uint8_t *)&request;
	view.record.in_len = 400;
	view.out = parcel.octets;
	view.record.out_len = parcel.len;
	return view;
}

static void it_is_handed_much(void **state)
{
	const struct conns_view view = much();
	int n, err = -ENOMEM;

	for (n = 0; err; n++) {
		struct rig *rig = *state;

		allowed = n;
		err = hand_in(rig->s, &view);
		assert_true(!err || err == -ENOMEM);
		allowed = -1;
		/* Which looks whether there is any page that nobody has given back. */
		open_again(state);
	}
	print_message("%d places\n", n);
	assert_true(n > 200);
}

static void it_hands_out_much(void **state)
{
	const struct conns_view view = much();
	struct rig *rig = *state;
	struct handed record;

	assert_int_equal(hand_in(rig->s, &view), 0);
	for (allowed = 0; allowed < 2; allowed++) {
		int n = allowed;

		assert_int_equal(hand_out(rig->s, stderr, &handed_like), -ENOMEM);
		allowed = n;
	}
	allowed = -1;
	record = handed_by(rig->s);
	assert_int_equal(record.view.record.in_len, 400);
	free(record.octets);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_handed_much, hand_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(it_hands_out_much, hand_setup, rig_teardown),
	};

	return cmocka_run_group_tests_name("hand, without memory", tests, NULL, NULL);
}
