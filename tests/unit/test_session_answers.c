// SPDX-License-Identifier: MIT
/*
 * Requests that xsproxy answers itself, between those that it relays: in order, never inside of
 * another message, on dom0's ring, not for guests; and what becomes of an answer when the process
 * dies.
 */
#include "tests/unit/session_rig.h"

#include "proxy/toolstack/op.h"

/* Compiled into the test, so that it can pretend that the bridge is there. */
#include "proxy/host/upstream.c"

static int setup_guest(void **state)
{
	static struct rig rig;

	rig_open(&rig, 7, 0u - 300);
	*state = &rig;
	return 0;
}

static int setup_dom0(void **state)
{
	static struct rig rig;

	rig_open(&rig, 0, 0u - 300);
	rig.daemon.upstream->memory = rig.proxy;
	rig.daemon.upstream->ready = true;
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	rig->daemon.upstream->memory = (struct memory)MEMORY_NULL;
	rig->daemon.upstream->ready = false;
	rig_close(rig);
	return 0;
}

/* --- who may ask, and the order of answers */

static void guests_may_not_ask(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	GUEST_SENDS(rig, MESSAGE_QUIESCE, 2, 0, "8");
	GUEST_SENDS(rig, XS_READ, 3, 0, "y");
	rig_run(rig);
	id = STORED_GETS(rig, XS_READ, 0, "x");
	assert_guest_idle(rig);
	STORED_SENDS(rig, XS_READ, id, 0, "1");
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 1, 0, "1");
	GUEST_GETS(rig, XS_ERROR, 2, 0, "EACCES");
	STORED_GETS(rig, XS_READ, 0, "y");
	for (uint32_t type = MESSAGE_QUIESCE; type < MESSAGE_OURS_END; type++) {
		struct rig *fresh = rig;

		teardown((void **)&fresh);
		setup_guest((void **)&fresh);
		GUEST_SENDS(fresh, type, 2, 5, "8");
		rig_run(fresh);
		GUEST_GETS(fresh, XS_ERROR, 2, 5, "EACCES");
		assert_stored_idle(fresh);
	}
	/* CONTROL is upstream's business for guests, whatever it says. */
	GUEST_SENDS(rig, XS_CONTROL, 4, 0,
		    "quiesce\0"
		    "8");
	rig_run(rig);
	STORED_GETS(rig, XS_CONTROL, 0,
		    "quiesce\0"
		    "8");
}

/* Without the bridge nobody knows which domains there are. */
static void dom0_must_wait_for_the_bridge(void **state)
{
	struct rig *rig = *state;

	rig->daemon.upstream->ready = false;
	GUEST_SENDS(rig, MESSAGE_QUIESCE, 1, 0, "8");
	rig_run(rig);
	GUEST_GETS(rig, XS_ERROR, 1, 0, "EAGAIN");
}

static void dom0_may_ask(void **state)
{
	struct rig *rig = *state;

	GUEST_SENDS(rig, MESSAGE_QUIESCE, 1, 0, "8");
	GUEST_SENDS(rig, MESSAGE_QUIESCE, 2, 0, "0");
	GUEST_SENDS(rig, MESSAGE_GET_DOMAIN_WATCHES, 3, 0,
		    "8\0"
		    "0");
	GUEST_SENDS(rig, MESSAGE_GET_DOMAIN_TRANSACTIONS, 4, 0, "x");
	GUEST_SENDS(rig, XS_CONTROL, 5, 0,
		    "quiesce\0"
		    "8");
	GUEST_SENDS(rig, XS_CONTROL, 6, 0, "live-update\0-s");
	rig_run(rig);
	GUEST_GETS(rig, XS_ERROR, 1, 0, "ENOENT");
	GUEST_GETS(rig, XS_ERROR, 2, 0, "EINVAL");
	GUEST_GETS(rig, XS_ERROR, 3, 0, "ENOENT");
	GUEST_GETS(rig, XS_ERROR, 4, 0, "EINVAL");
	GUEST_GETS(rig, XS_ERROR, 5, 0, "ENOENT");
	GUEST_GETS(rig, XS_ERROR, 6, 0, "EINVAL");
	assert_stored_idle(rig);
	assert_true(session_drained(rig->s));
}

/* A request that is larger than the ring, and is ours. */
static void a_large_request_of_ours(void **state)
{
	static uint8_t payload[3000];
	struct rig *rig = *state;
	struct message msg = make_message(MESSAGE_ADD_DOMAIN_WATCHES, 9, 0, payload, 3000);

	memcpy(msg.payload, "8", 2);
	for (uint32_t n = 0; n < message_size(&msg.hdr); rig_run(rig))
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
	GUEST_GETS(rig, XS_ERROR, 9, 0, "ENOENT");
	assert_int_equal(word_get(&rig->s->ledger->up_page), 0);
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

/* An answer while a large reply is half here must neither be put into it nor destroy it. */
static void answers_do_not_cut_a_reply_in_two(void **state)
{
	static uint8_t payload[3000];
	struct rig *rig = *state;
	struct message reply, got;
	uint32_t n, m = 0;

	for (uint32_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 11);
	GUEST_SENDS(rig, XS_DIRECTORY, 1, 0, "x");
	rig_run(rig);
	reply = make_message(XS_DIRECTORY, STORED_GETS(rig, XS_DIRECTORY, 0, "x"), 0, payload,
			     sizeof(payload));
	n = queue_put(&rig->stored_out, &reply, 700);
	n += queue_put(&rig->stored_out, (uint8_t *)&reply + n, message_size(&reply.hdr) - n);
	GUEST_SENDS(rig, MESSAGE_QUIESCE, 2, 0, "8");
	rig_run(rig);
	while (n < message_size(&reply.hdr)) {
		n += queue_put(&rig->stored_out, (uint8_t *)&reply + n,
			       message_size(&reply.hdr) - n);
		rig_run(rig);
	}
	for (; m < message_size(&reply.hdr); rig_run(rig))
		m += queue_get(&rig->guest_in, (uint8_t *)&got + m, message_size(&reply.hdr) - m);
	assert_message(&got, XS_DIRECTORY, 0, payload, sizeof(payload));
	assert_int_equal(got.hdr.req_id, 1);
	/* A guest is told EACCES once what it asked before is answered, dom0 at once. */
	queue_get_message(&rig->guest_in, &got);
	assert_int_equal(got.hdr.req_id, 2);
	assert_string_equal((char *)got.payload, rig->domid ? "EACCES" : "ENOENT");
	assert_true(session_drained(rig->s));
}

static void answers_do_not_cut_an_event_in_two(void **state)
{
	static uint8_t payload[2000];
	struct rig *rig = *state;
	struct message event = make_message(XS_WATCH_EVENT, 0, 0, payload, sizeof(payload)), got;
	uint32_t n, m = 0;

	n = queue_put(&rig->stored_out, &event, 1024);
	rig_run(rig);
	assert_int_not_equal(word_get(&rig->s->ledger->fifo_fill), 0);
	GUEST_SENDS(rig, MESSAGE_QUIESCE, 2, 0, "8");
	rig_run(rig);
	queue_put(&rig->stored_out, (uint8_t *)&event + n, message_size(&event.hdr) - n);
	rig_run(rig);
	for (; m < message_size(&event.hdr); rig_run(rig))
		m += queue_get(&rig->guest_in, (uint8_t *)&got + m, message_size(&event.hdr) - m);
	assert_message(&got, XS_WATCH_EVENT, 0, payload, sizeof(payload));
	rig_run(rig);
	queue_get_message(&rig->guest_in, &got);
	assert_int_equal(got.hdr.req_id, 2);
	assert_int_equal(got.hdr.type, XS_ERROR);
}

/* A QUIESCE on dom0's ring that was waiting when the process died: the asker must try again. */
static void unanswered_requests_get_eagain(void **state)
{
	struct rig *rig = *state;
	struct xsd_sockmsg hdr = { .type = MESSAGE_QUIESCE, .req_id = 5, .tx_id = 6 };
	struct commit commit;
	int slot = pending_slot(rig->s->ledger);

	pending_fill(rig->s->ledger, slot, &rig->s->seq, &hdr, PENDING_ANSWER);
	commit_begin(&commit, &rig->s->place);
	pending_take(rig->s->ledger, &commit, slot);
	commit_end(&commit);
	rig_restart(rig);
	rig_run(rig);
	GUEST_GETS(rig, XS_ERROR, 5, 6, "EAGAIN");
	assert_true(session_drained(rig->s));
	rig_restart(rig);
	rig_run(rig);
	assert_guest_idle(rig);
}

/* The same, but there was no room for it when the next process began. */
static void eagain_waits_for_its_turn(void **state)
{
	static uint8_t payload[2000];
	struct rig *rig = *state;
	struct xsd_sockmsg hdr = { .type = MESSAGE_QUIESCE, .req_id = 5 };
	struct message event = make_message(XS_WATCH_EVENT, 0, 0, payload, sizeof(payload)), got;
	struct commit commit;
	uint32_t m = 0;
	int slot;

	queue_put(&rig->stored_out, &event, 1024);
	rig_run(rig);
	slot = pending_slot(rig->s->ledger);
	pending_fill(rig->s->ledger, slot, &rig->s->seq, &hdr, PENDING_ANSWER);
	commit_begin(&commit, &rig->s->place);
	pending_take(rig->s->ledger, &commit, slot);
	commit_end(&commit);
	rig_restart(rig);
	rig_run(rig);
	queue_put(&rig->stored_out, (uint8_t *)&event + 1024, message_size(&event.hdr) - 1024);
	rig_run(rig);
	for (; m < message_size(&event.hdr); rig_run(rig))
		m += queue_get(&rig->guest_in, (uint8_t *)&got + m, message_size(&event.hdr) - m);
	assert_message(&got, XS_WATCH_EVENT, 0, payload, sizeof(payload));
	rig_run(rig);
	GUEST_GETS(rig, XS_ERROR, 5, 0, "EAGAIN");
}

/*
 * What is left of a request when its answer waits for room: with the asker it goes, also one that
 * had something injected.
 */
static void an_answer_that_waits_goes_with_its_asker(void **state)
{
	static uint8_t payload[2000];
	struct rig *rig = *state;
	struct xsd_sockmsg hdr = { .type = MESSAGE_START_DOMAIN_TRANSACTION, .req_id = 5 };
	struct message event = make_message(XS_WATCH_EVENT, 0, 0, payload, sizeof(payload)), got;
	struct asker asker = { .session = rig->s, .slot = pending_slot(rig->s->ledger) };
	struct commit commit;
	struct op *op;

	pending_fill(rig->s->ledger, asker.slot, &rig->s->seq, &hdr, PENDING_ANSWER);
	commit_begin(&commit, &rig->s->place);
	pending_take(rig->s->ledger, &commit, asker.slot);
	commit_end(&commit);
	assert_int_equal(op_new(&op, &rig->daemon, OP_START, &asker, rig->s, false), 0);
	op->transaction = 3;
	rig_run(rig);
	queue_get_message(&rig->stored_in, &got);
	assert_int_equal(got.hdr.type, XS_TRANSACTION_START);
	queue_put(&rig->stored_out, &event, 1024);
	rig_run(rig);
	op_finish(op, EBUSY); /* as at its deadline */
	assert_true(op->done);
	rig->guest->connection = XENSTORE_RECONNECT;
	rig_run(rig);
	assert_int_equal(session_state(rig->s), LEDGER_RESET);
	assert_true(TAILQ_EMPTY(&rig->daemon.ops));
}

int main(void)
{
#define GUEST(name) cmocka_unit_test_setup_teardown(name, setup_guest, teardown)
#define DOM0(name)                                                \
	{                                                         \
#name " (dom0)", name, setup_dom0, teardown, NULL \
	}
	static const struct CMUnitTest tests[] = {
		GUEST(guests_may_not_ask),
		DOM0(dom0_may_ask),
		DOM0(dom0_must_wait_for_the_bridge),
		DOM0(a_large_request_of_ours),
		GUEST(answers_do_not_cut_a_reply_in_two),
		DOM0(answers_do_not_cut_a_reply_in_two),
		GUEST(answers_do_not_cut_an_event_in_two),
		DOM0(answers_do_not_cut_an_event_in_two),
		DOM0(unanswered_requests_get_eagain),
		DOM0(eagain_waits_for_its_turn),
		DOM0(an_answer_that_waits_goes_with_its_asker),
	};

	return cmocka_run_group_tests_name("session, answers of ours", tests, NULL, NULL);
}
