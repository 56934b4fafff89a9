// SPDX-License-Identifier: MIT
/*
 * The guest's and upstream's faults: they end that session, tell the guest why, take back what
 * upstream holds for it, and nothing that it does later is looked at.
 */
#include "tests/unit/session_holding.h"

#include "proxy/toolstack/op.h"

static void assert_ended(struct rig *rig, uint32_t error)
{
	uint32_t prod = rig->guest->rsp_prod, cons = rig->guest->req_cons;

	assert_int_equal(session_state(rig->s), LEDGER_ENDED);
	assert_int_equal(rig->guest->error, error);
	assert_true(rig->front_kicks > 0);
	answer_reset(rig);
	assert_int_equal(holdings(rig), 0);
	/* From now on nobody looks at what it does, and it hears nothing. */
	STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "a\0t");
	rig->guest->req_prod = rig->guest->req_cons + 100;
	rig_run(rig);
	assert_stored_idle(rig);
	assert_int_equal(rig->guest->rsp_prod, prod);
	assert_int_equal(rig->guest->req_cons, cons);
	assert_int_equal(queue_used(&rig->stored_out), 0);
	rig->guest->connection = XENSTORE_RECONNECT;
	rig_run(rig);
	assert_stored_idle(rig);
	assert_int_equal(rig->guest->connection, XENSTORE_RECONNECT);
}

static void too_long_a_request_ends_it(void **state)
{
	static const uint32_t lens[] = { XENSTORE_PAYLOAD_MAX + 1, 0x7fffffff, UINT32_MAX };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct xsd_sockmsg hdr = { .type = XS_WRITE, .len = lens[i] };

		watch(rig, "a\0t", 4);
		open_transaction(rig);
		rig->front_kicks = 0;
		/* The header comes whole, or octet by octet. */
		for (uint32_t n = 0; n < sizeof(hdr); n += i ? 1 : sizeof(hdr)) {
			queue_put(&rig->guest_out, (uint8_t *)&hdr + n, i ? 1 : sizeof(hdr));
			rig_run(rig);
		}
		assert_ended(rig, XENSTORE_ERROR_PROTO);
		rig_teardown(state);
		setup(state);
	}
}

static void broken_indexes_end_it(void **state)
{
	struct rig *rig = *state;

	for (int i = 0; i < 4; i++) {
		watch(rig, "a\0t", 4);
		rig->front_kicks = 0;
		if (i == 0)
			rig->guest->req_prod = rig->guest->req_cons + XENSTORE_RING_SIZE + 1;
		else if (i == 1)
			rig->guest->req_cons = rig->guest->req_prod + 1;
		else if (i == 2)
			rig->guest->rsp_cons = rig->guest->rsp_prod + 1;
		else
			rig->guest->rsp_prod += 0x80000000;
		rig_run(rig);
		assert_ended(rig, XENSTORE_ERROR_RINGIDX);
		rig_teardown(state);
		setup(state);
	}
}

static void its_replies_are_swallowed(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	GUEST_SENDS(rig, XS_WATCH, 1, 0, "a\0t");
	rig_run(rig);
	id = STORED_GETS(rig, XS_WATCH, 0, "a\0t");
	rig->guest->rsp_cons--;
	rig->guest->rsp_prod += XENSTORE_RING_SIZE;
	rig_run(rig);
	STORED_SENDS(rig, XS_WATCH, id, 0, "OK");
	rig_run(rig);
	assert_ended(rig, XENSTORE_ERROR_RINGIDX);
	assert_int_equal(word_get(&rig->s->ledger->pending_mask), 0);
}

static void it_stays_ended_after_a_restart(void **state)
{
	struct rig *rig = *state;

	watch(rig, "a\0t", 4);
	rig->guest->rsp_cons++;
	rig_run(rig);
	rig_restart(rig);
	rig->front_kicks = 1;
	rig_run(rig);
	assert_ended(rig, XENSTORE_ERROR_RINGIDX);
}

static void upstreams_verdict_is_passed_on(void **state)
{
	struct rig *rig = *state;

	rig->back->error = XENSTORE_ERROR_COMM;
	rig_run(rig);
	assert_int_equal(session_state(rig->s), LEDGER_ENDED);
	assert_int_equal(rig->guest->error, XENSTORE_ERROR_COMM);
}

/* Upstream gone mad must not keep us busy for ever. */
static void too_long_a_reply_ends_it(void **state)
{
	struct xsd_sockmsg hdr = { .type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1 };
	struct rig *rig = *state;

	queue_put(&rig->stored_out, &hdr, sizeof(hdr));
	rig_run(rig);
	assert_int_equal(session_state(rig->s), LEDGER_ENDED);
	assert_int_equal(rig->guest->error, XENSTORE_ERROR_COMM);
	rig_run(rig);
}

static void broken_back_indexes_are_survived(void **state)
{
	struct rig *rig = *state;

	rig->back->rsp_prod += XENSTORE_RING_SIZE + 1;
	rig_run(rig);
	rig->back->rsp_prod -= XENSTORE_RING_SIZE + 1;
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

static void messages_nobody_asked_for_are_dropped(void **state)
{
	struct rig *rig = *state;

	STORED_SENDS(rig, XS_ERROR, 0, 0, "E2BIG"); /* oxenstored: an event was too long */
	STORED_SENDS(rig, XS_READ, 12345, 0, "?");
	STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "a\0t");
	rig_run(rig);
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "a\0t");
	assert_guest_idle(rig);
	assert_int_equal(session_state(rig->s), LEDGER_RUN);
}

/* --- what the toolstack wants of a connection that ends */

static void note_error(void *arg, const struct message *msg)
{
	*(int *)arg =
		msg->hdr.type == XS_ERROR ? message_error_parse(msg->payload, msg->hdr.len) : 0;
}

static void ask_start(struct rig *rig, int *error)
{
	struct asker asker = { .slot = -1, .reply = note_error, .arg = error };
	struct op *op;

	*error = -1;
	assert_int_equal(op_new(&op, &rig->daemon, OP_START, &asker, rig->s, false), 0);
	op->transaction = 3;
}

static void no_transaction_is_started_on_it(void **state)
{
	struct rig *rig = *state;
	int error;

	ask_start(rig, &error);
	rig->guest->rsp_cons++;
	rig_run(rig);
	assert_ended(rig, XENSTORE_ERROR_RINGIDX);
	assert_int_equal(error, EBUSY);
	ask_start(rig, &error);
	rig_run(rig);
	assert_stored_idle(rig);
	assert_int_equal(error, EBUSY);
}

/* More watches than can be asked for at once: those that are left must not follow the reset. */
static void a_batch_ends_with_it(void **state)
{
	char watches[(LEDGER_PENDING + 8) * sizeof("w00\0t")];
	struct rig *rig = *state;
	uint32_t len = 0;
	int error = -1;
	struct asker asker = { .slot = -1, .reply = note_error, .arg = &error };

	for (int i = 0; i < LEDGER_PENDING + 8; i++)
		len += (uint32_t)sprintf(watches + len, "w%02d%ct", i, 0) + 1;
	assert_int_equal(batch_begin(&asker, rig->s, watches, len), 0);
	rig_run(rig);
	rig->guest->rsp_cons++;
	for (uint32_t i = 0; i < LEDGER_PENDING; i++) {
		uint32_t id = stored_gets(rig, XS_WATCH, 0, watches + i * 6, 6);

		STORED_SENDS(rig, XS_WATCH, id, 0, "OK");
	}
	rig_run(rig);
	assert_ended(rig, XENSTORE_ERROR_RINGIDX);
	assert_int_equal(error, EBUSY);
	assert_true(TAILQ_EMPTY(&rig->daemon.ops));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(too_long_a_request_ends_it),	TEST(broken_indexes_end_it),
		TEST(its_replies_are_swallowed),	TEST(it_stays_ended_after_a_restart),
		TEST(upstreams_verdict_is_passed_on),	TEST(too_long_a_reply_ends_it),
		TEST(broken_back_indexes_are_survived), TEST(messages_nobody_asked_for_are_dropped),
		TEST(no_transaction_is_started_on_it),	TEST(a_batch_ends_with_it),
	};

	return cmocka_run_group_tests_name("session, faults", tests, NULL, NULL);
}
