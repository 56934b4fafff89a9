// SPDX-License-Identifier: MIT
/*
 * What a session leaves in the page of its guest when it ends: whole messages, however full the
 * ring was, unless the guest has begun to read the one that is there in part.
 */
#include "proxy/session/part.h"
#include "tests/unit/session_rig.h"

#define PAYLOAD 180u
#define SIZE	(MESSAGE_HEADER + PAYLOAD)
#define FIRST	(0u - 600) /* the indexes' first value; they pass 2^32 */

static const uint8_t payload[3000];

/* The ring has @filled octets that are not read, then an event comes, as far as there is room. */
static void fill_ring(struct rig *rig, uint32_t filled, uint32_t len)
{
	rig_open(rig, 7, FIRST);
	atomic_store(rig->guest_in.prod, FIRST + filled);
	stored_sends(rig, XS_WATCH_EVENT, 0, 0, payload, len);
	rig_run(rig);
}

static void end_session(struct rig *rig)
{
	part_take_back(rig->s);
}

static uint32_t in_page(const struct rig *rig)
{
	return atomic_load(rig->guest_in.prod) - FIRST;
}

/* Where the last whole message ends. */
static uint32_t boundary(uint32_t filled, uint32_t size)
{
	return filled + size <= XENSTORE_RING_SIZE ? filled + size : filled;
}

static bool is_part(uint32_t filled)
{
	return filled < XENSTORE_RING_SIZE && filled + SIZE > XENSTORE_RING_SIZE;
}

static void all_fillings(void **state)
{
	uint32_t parts = 0;
	struct rig rig;

	(void)state;
	for (uint32_t filled = 0; filled <= XENSTORE_RING_SIZE; filled++) {
		fill_ring(&rig, filled, PAYLOAD);
		parts += is_part(filled);
		if (is_part(filled))
			assert_int_equal(in_page(&rig), XENSTORE_RING_SIZE);
		end_session(&rig);
		assert_int_equal(in_page(&rig), boundary(filled, SIZE));
		rig_close(&rig);
	}
	assert_int_equal(parts, SIZE - 1);
}

/* It is in the ledger, so it does not matter which xsproxyd has begun the message. */
static void all_fillings_after_a_restart(void **state)
{
	struct rig rig;

	(void)state;
	for (uint32_t filled = XENSTORE_RING_SIZE - SIZE; filled <= XENSTORE_RING_SIZE; filled++) {
		fill_ring(&rig, filled, PAYLOAD);
		rig_restart(&rig);
		end_session(&rig);
		assert_int_equal(in_page(&rig), boundary(filled, SIZE));
		rig_close(&rig);
	}
}

/* The guest's own indexes are broken, or it says too much: the part stays until the end. */
static void all_fillings_of_who_breaks_the_protocol(void **state)
{
	struct rig rig;

	(void)state;
	for (uint32_t filled = XENSTORE_RING_SIZE - SIZE; filled <= XENSTORE_RING_SIZE; filled++) {
		fill_ring(&rig, filled, PAYLOAD);
		atomic_store(rig.guest_out.prod, FIRST + 5000);
		rig_run(&rig);
		assert_int_equal(session_state(rig.s), LEDGER_ENDED);
		if (filled & 1)
			rig_restart(&rig);
		end_session(&rig);
		assert_int_equal(in_page(&rig), boundary(filled, SIZE));
		rig_close(&rig);
	}
}

/* Whatever it has read before: only who has begun that message keeps it. */
static void all_that_may_be_read(void **state)
{
	const uint32_t filled = 1000;
	struct rig rig;

	(void)state;
	for (uint32_t read = 0; read <= XENSTORE_RING_SIZE; read++) {
		fill_ring(&rig, filled, PAYLOAD);
		atomic_store(rig.guest_in.cons, FIRST + read);
		end_session(&rig);
		assert_int_equal(in_page(&rig), read <= filled ? filled : XENSTORE_RING_SIZE);
		rig_close(&rig);
	}
}

/* A session that goes on, on the same page, delivers the rest. */
static void the_rest_comes_after_upstream_has_reset_its_ring(void **state)
{
	uint8_t octets[XENSTORE_RING_SIZE];
	struct rig rig;

	(void)state;
	fill_ring(&rig, 1000, PAYLOAD);
	session_upstream_reset(rig.s);
	rig.s->await_back = false;
	assert_int_equal(queue_get(&rig.guest_in, octets, 1000), 1000);
	rig_run(&rig);
	guest_gets(&rig, XS_WATCH_EVENT, 0, 0, payload, PAYLOAD);
	end_session(&rig);
	assert_int_equal(in_page(&rig), 1000 + SIZE);
	rig_close(&rig);
}

/* Its beginning was read long ago. */
static void a_message_larger_than_the_ring_stays(void **state)
{
	uint8_t octets[XENSTORE_RING_SIZE];
	struct rig rig;
	uint32_t n = 0;

	(void)state;
	rig_open(&rig, 7, FIRST);
	for (struct message msg = make_message(XS_WATCH_EVENT, 0, 0, payload, sizeof(payload));
	     n < message_size(&msg.hdr);) {
		n += queue_put(&rig.stored_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
		rig_run(&rig);
	}
	assert_int_equal(in_page(&rig), XENSTORE_RING_SIZE);
	if (!rig.s->fifo.part_is_event)
		fail_msg("it is not there in part");
	assert_int_equal(queue_get(&rig.guest_in, octets, 10), 10);
	rig_run(&rig);
	end_session(&rig);
	assert_int_equal(in_page(&rig), XENSTORE_RING_SIZE + 10);
	rig_close(&rig);
}

static bool keep(void *arg, const struct message *msg)
{
	(void)arg;
	(void)msg;
	return false;
}

/* What waits behind it is dropped; the ring is as it was. */
static void it_is_known_after_events_were_dropped(void **state)
{
	struct rig rig;

	(void)state;
	fill_ring(&rig, 1000, PAYLOAD);
	stored_sends(&rig, XS_WATCH_EVENT, 0, 0, payload, 50);
	rig_run(&rig);
	assert_int_equal(fifo_filter(&rig.s->fifo, &rig.s->place, keep, NULL), 0);
	assert_int_equal(fifo_used(&rig.s->fifo), SIZE - 24);
	rig_restart(&rig);
	end_session(&rig);
	assert_int_equal(in_page(&rig), 1000);
	rig_close(&rig);
}

/* An xsproxyd that did not note it: nobody knows where it begins. */
static void what_nobody_knows_stays(void **state)
{
	struct rig rig;

	(void)state;
	fill_ring(&rig, 1000, PAYLOAD);
	atomic_store(&rig.s->ledger->more.part_end, 12345);
	end_session(&rig);
	assert_int_equal(in_page(&rig), XENSTORE_RING_SIZE);
	rig_close(&rig);
}

/* hvmloader sets the indexes to 0 without a word. */
static void a_page_that_was_zeroed_stays(void **state)
{
	struct rig rig;

	(void)state;
	fill_ring(&rig, 1000, PAYLOAD);
	atomic_store(rig.guest_in.prod, 0);
	atomic_store(rig.guest_in.cons, 0);
	end_session(&rig);
	assert_int_equal(atomic_load(rig.guest_in.prod), 0);
	rig_close(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_fillings),
		cmocka_unit_test(all_fillings_after_a_restart),
		cmocka_unit_test(all_fillings_of_who_breaks_the_protocol),
		cmocka_unit_test(all_that_may_be_read),
		cmocka_unit_test(the_rest_comes_after_upstream_has_reset_its_ring),
		cmocka_unit_test(a_message_larger_than_the_ring_stays),
		cmocka_unit_test(it_is_known_after_events_were_dropped),
		cmocka_unit_test(what_nobody_knows_stays),
		cmocka_unit_test(a_page_that_was_zeroed_stays),
	};

	return cmocka_run_group_tests_name("part", tests, NULL, NULL);
}
