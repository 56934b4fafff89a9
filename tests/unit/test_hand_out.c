// SPDX-License-Identifier: MIT
/*
 * What a ring's session has is handed out, and to another one, which goes on with the same guest as
 * if nothing had happened.
 */
#include "tests/unit/hand_bed.h"

#include "proxy/session/ledger.h"

/* --- one that has all there can be */

#define EVENTS 12

static const char half[] = "data/xyz";

/* Watches, a request in part, a full ring with a message in part, and others behind it. */
static void live(struct rig *rig, uint32_t cut)
{
	struct message msg = make_message(XS_READ, 9, 0, half, sizeof(half));
	char text[200] = "data/x";

	register_texts(rig);
	for (uint32_t i = 0; i < EVENTS; i++) {
		sprintf(text, "data/%u", i);
		stored_sends(rig, XS_WATCH_EVENT, 0, 0, text, sizeof(text));
		rig_run(rig);
	}
	queue_put(&rig->guest_out, &msg, cut);
	rig_run(rig);
	rig->daemon.paused = true;
	rig_run(rig);
}

static void takes_all(struct rig *rig)
{
	char text[200] = "data/x";

	rig_run(rig);
	for (uint32_t i = 0; i < EVENTS; i++) {
		static struct message got;

		sprintf(text, "data/%u", i);
		drain(rig, &rig->guest_in, &got, MESSAGE_HEADER + sizeof(text), 100);
		assert_message(&got, XS_WATCH_EVENT, 0, text, sizeof(text));
	}
}

/* The guest reads all that there is, and sends the rest of its request. */
static void goes_on(struct rig *rig, uint32_t cut)
{
	const struct message msg = make_message(XS_READ, 9, 0, half, sizeof(half));

	rig->daemon.paused = false;
	takes_all(rig);
	guest_ends(rig, &msg, cut);
	assert_guest_idle(rig);
}

/* The guest's page stays, and xenstored has told its successor what it had. */
static void move(struct rig *to, const struct rig *from, const struct handed *record)
{
	rig_open(to, 7, 0);
	memcpy(to->guest, from->guest, sizeof(*to->guest));
	to->daemon.paused = true;
	hand(to, &record->view);
}

static void round_trip(void **state)
{
	static const uint32_t cuts[] = { 0, 1, 15, 16, 17, 24 };

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct rig *rig = *state, other;
		struct handed record;

		live(rig, cuts[i]);
		record = handed_by(rig->s);
		assert_int_equal(record.view.record.in_len, cuts[i]);
		assert_int_equal(record.view.record.nr_watches, ANEW_TEXTS);
		assert_true(record.view.record.out_rest > 0);
		assert_int_equal(record.view.record.out_len + XENSTORE_RING_SIZE, EVENTS * 216);
		move(&other, rig, &record);
		assert_has(other.s, &record);
		goes_on(&other, cuts[i]);
		rig_close(&other);
		open_again(state);
	}
}

/* Nothing of the session changes by it: if nothing comes of it, that one goes on. */
static void it_stays_as_it_was(void **state)
{
	struct rig *rig = *state;
	struct ledger before;
	struct handed record;
	xs_page page;

	live(rig, 20);
	memcpy(&before, rig->s->ledger, sizeof(before));
	memcpy(&page, rig->guest, sizeof(page));
	record = handed_by(rig->s);
	assert_memory_equal(&before, rig->s->ledger, sizeof(before));
	assert_memory_equal(&page, rig->guest, sizeof(page));
	rig_restart(rig);
	assert_has(rig->s, &record);
	goes_on(rig, 20);
}

/* More than a page, and more than a ring takes. */
static void a_long_request(void **state)
{
	static struct message msg;
	struct rig *rig = *state, other;
	struct handed record;

	msg.hdr = (struct xsd_sockmsg){ XS_WRITE, 4, 0, 4000 };
	fill(msg.payload, 4000, 1);
	for (uint32_t n = 0; n < 3500;) {
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, 3500 - n);
		rig_run(rig);
	}
	rig->daemon.paused = true;
	record = handed_by(rig->s);
	assert_int_equal(record.view.record.in_len, 3500);
	assert_memory_equal(record.view.in, &msg, 3500);
	move(&other, rig, &record);
	assert_has(other.s, &record);
	other.daemon.paused = false;
	guest_ends(&other, &msg, 3500);
	rig_close(&other);
}

/* Taken whole, but there was no slot for it. */
static void a_whole_request(void **state)
{
	static struct message msg;
	struct rig *rig = *state, other;
	uint32_t ids[LEDGER_PENDING], n = 0;
	struct handed record;

	msg.hdr = (struct xsd_sockmsg){ XS_WRITE, 4, 0, 2000 };
	fill(msg.payload, 2000, 1);
	for (uint32_t i = 0; i < LEDGER_PENDING; i++) {
		GUEST_SENDS(rig, XS_READ, i, 0, "x");
		rig_run(rig);
		ids[i] = STORED_GETS(rig, XS_READ, 0, "x");
	}
	while (n < message_size(&msg.hdr)) {
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
		rig_run(rig);
	}
	rig->daemon.paused = true;
	for (uint32_t i = 0; i < LEDGER_PENDING; i++) {
		assert_int_equal(handed_try(rig->s), -EBUSY);
		STORED_SENDS(rig, XS_READ, ids[i], 0, "y");
		rig_run(rig);
	}
	assert_true(hand_waits(rig->s));
	record = handed_by(rig->s);
	assert_int_equal(record.view.record.in_len, message_size(&msg.hdr));
	assert_int_equal(record.view.record.out_len, LEDGER_PENDING * 18);
	move(&other, rig, &record);
	assert_has(other.s, &record);
	other.daemon.paused = false;
	rig_run(&other);
	for (uint32_t i = 0; i < LEDGER_PENDING; i++)
		GUEST_GETS(&other, XS_READ, i, 0, "y");
	guest_ends(&other, &msg, n);
	assert_false(hand_waits(other.s));
	rig_close(&other);
}

/* Of one that goes up in pieces all is taken, and it goes on its way; in a ring none waits. */
static void what_goes_up_does_not_wait(void **state)
{
	static struct message msg;
	struct rig *rig = *state;
	uint32_t n = 0;

	msg.hdr = (struct xsd_sockmsg){ XS_WRITE, 4, 0, 2000 };
	while (n < message_size(&msg.hdr)) {
		assert_false(hand_waits(rig->s));
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
		rig_run(rig);
	}
	assert_true(word_get(&rig->s->ledger->up_sent) > 0);
	assert_false(hand_waits(rig->s));
	rig->daemon.paused = true;
	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	rig_run(rig);
	assert_false(hand_waits(rig->s));
}

/* What is there in part becomes whole, what waits is taken, and no other request is. */
static void an_ebb(void **state)
{
	const struct message msg = make_message(XS_READ, 9, 0, half, sizeof(half));
	struct rig *rig = *state;

	assert_true(hand_is_clear(rig->s));
	live(rig, 17);
	assert_false(hand_is_clear(rig->s));
	rig->daemon.ebbs = true;
	takes_all(rig);
	assert_false(hand_is_clear(rig->s));
	guest_ends(rig, &msg, 17);
	assert_true(hand_is_clear(rig->s));
	GUEST_SENDS(rig, XS_READ, 10, 0, "data/x");
	rig_run(rig);
	assert_stored_idle(rig);
	assert_true(hand_is_clear(rig->s));
	rig->daemon.paused = rig->daemon.ebbs = false;
	session_ready(rig->s);
	rig_run(rig);
	(void)STORED_GETS(rig, XS_READ, 0, "data/x");
}

static void nothing_at_all(void **state)
{
	struct rig *rig = *state;
	struct handed record = handed_by(rig->s);

	assert_int_equal(record.len, sizeof(struct conns_record));
	hand(rig, &record.view);
	assert_has(rig->s, &record);
	register_texts(rig);
	session_fail(rig->s, XENSTORE_ERROR_PROTO, "for a test");
	rig_run(rig);
	assert_int_equal(handed_try(rig->s), -EBUSY);
	answer_reset(rig);
	record = handed_by(rig->s);
	assert_int_equal(record.len, sizeof(struct conns_record));
	free(record.octets);
}

/* --- not now */

static void what_is_not_at_rest(void **state)
{
	struct rig *rig = *state;
	struct commit commit;
	uint32_t id;

	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	rig_run(rig);
	assert_int_equal(handed_try(rig->s), -EBUSY);
	id = STORED_GETS(rig, XS_READ, 0, "x");
	assert_int_equal(handed_try(rig->s), -EBUSY);
	STORED_SENDS(rig, XS_READ, id, 0, "y");
	assert_int_equal(handed_try(rig->s), -EBUSY);
	rig_run(rig);
	assert_int_equal(handed_try(rig->s), 0);
	GUEST_GETS(rig, XS_READ, 1, 0, "y");

	/* One of ours, which nobody would answer then. */
	pending_fill(rig->s->ledger, 0, &rig->s->seq, &(struct xsd_sockmsg){ .type = XS_READ },
		     PENDING_ANSWER);
	commit_begin(&commit, &rig->s->place);
	pending_take(rig->s->ledger, &commit, 0);
	commit_end(&commit);
	assert_true(renew_rests(rig->s));
	assert_int_equal(handed_try(rig->s), -EBUSY);
	commit_begin(&commit, &rig->s->place);
	pending_drop(rig->s->ledger, &commit, 0);
	commit_end(&commit);
	assert_int_equal(handed_try(rig->s), 0);
}

static void a_file_that_takes_nothing(void **state)
{
	struct rig *rig = *state;
	FILE *full = fopen("/dev/full", "w");

	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	assert_int_equal(hand_out(rig->s, full, &handed_like), -EIO);
	fclose(full);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		HAND_TEST(round_trip),
		HAND_TEST(it_stays_as_it_was),
		HAND_TEST(a_long_request),
		HAND_TEST(a_whole_request),
		cmocka_unit_test_setup_teardown(what_goes_up_does_not_wait, hand_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(an_ebb, hand_setup, rig_teardown),
		HAND_TEST(nothing_at_all),
		cmocka_unit_test_setup_teardown(what_is_not_at_rest, hand_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_file_that_takes_nothing, hand_setup,
						rig_teardown),
	};

	return cmocka_run_group_tests_name("hand, out", tests, NULL, NULL);
}
