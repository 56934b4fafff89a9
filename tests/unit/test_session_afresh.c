// SPDX-License-Identifier: MIT
/*
 * A session whose ledger turns out to be broken is started afresh: the guest's ring is reset, and
 * on the back ring, which is a stream, what had been begun comes to an end first.
 */
#include "tests/unit/session_rig.h"

#include "proxy/session/afresh.h"

#define DOMID 7
#define LARGE 2000 /* octets of payload: more than a ring */

/* --- xenstored and the guest octet by octet */

static void stored_reads(struct rig *rig, void *octets, uint32_t len)
{
	for (uint32_t n = 0, got; n < len; n += got) {
		got = queue_get(&rig->stored_in, (uint8_t *)octets + n, len - n);
		if (!got)
			rig_run(rig);
		assert_true(got || queue_used(&rig->stored_in));
	}
}

static void stored_writes(struct rig *rig, const void *octets, uint32_t len)
{
	for (uint32_t n = 0, put; n < len; n += put) {
		put = queue_put(&rig->stored_out, (const uint8_t *)octets + n, len - n);
		rig_run(rig);
		assert_true(put || queue_used(&rig->stored_out) < XENSTORE_RING_SIZE);
	}
}

static struct message large(uint32_t type, uint32_t req_id)
{
	struct message msg = { .hdr = { .type = type, .req_id = req_id, .len = LARGE } };

	for (uint32_t i = 0; i < LARGE; i++)
		msg.payload[i] = (uint8_t)(i % 251 + 1);
	memcpy(msg.payload, "path", 5);
	return msg;
}

static void guest_writes(struct rig *rig, const struct message *msg)
{
	uint32_t size = message_size(&msg->hdr), n = 0;

	while (n < size) {
		n += queue_put(&rig->guest_out, (const uint8_t *)msg + n, size - n);
		rig_run(rig);
	}
}

/* --- the end of one process and the next one's beginning */

/* It names an extent that does not exist. */
static void break_ledger(struct rig *rig)
{
	rig->s->ledger->tx_page[0] = POOL_SHARED;
}

static void start_afresh(struct rig *rig)
{
	struct session_params params;

	rig_die(rig);
	assert_int_equal(rig_revive(rig), -EINVAL);
	params = rig_params(rig);
	assert_int_equal(session_afresh(&rig->s, &params, -EINVAL), 0);
}

/* Whose an extent is that nobody gave back is not known after this, so they are not counted. */
static void close_rig(struct rig *rig)
{
	session_free(rig->s, true);
	rig->s = NULL;
	rig_close(rig);
}

/* The guest has an empty ring, and is served; nothing is left of before. */
static void assert_reset(struct rig *rig)
{
	struct message msg;

	stored_reads(rig, &msg.hdr, MESSAGE_HEADER);
	assert_int_equal(msg.hdr.type, XS_RESET_WATCHES);
	assert_int_equal(msg.hdr.len, 1);
	stored_reads(rig, msg.payload, 1);
	STORED_SENDS(rig, XS_RESET_WATCHES, msg.hdr.req_id, 0, "OK");
	rig_run(rig);
	assert_stored_idle(rig);
	assert_int_equal(session_state(rig->s), LEDGER_RUN);
	assert_int_equal(rig->guest->rsp_prod | rig->guest->rsp_cons, 0);
	assert_int_equal(rig->guest->req_prod | rig->guest->req_cons, 0);
	rig_exchange(rig, XS_READ, 3, "x", 2, XS_READ, "y");
}

static void nothing_had_begun(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, DOMID, 0);
	break_ledger(&rig);
	start_afresh(&rig);
	rig_run(&rig);
	assert_reset(&rig);
	close_rig(&rig);
}

/* --- a request of which upstream has the beginning */

/* Its header, and what it is followed by, as xenstored gets it; it is answered. */
static void stored_takes_large(struct rig *rig, const uint8_t *rest, uint32_t known)
{
	struct message asked = large(XS_WRITE, 5), got;

	stored_reads(rig, &got, MESSAGE_HEADER + LARGE);
	assert_int_equal(got.hdr.type, XS_WRITE);
	assert_int_equal(got.hdr.len, LARGE);
	assert_memory_equal(got.payload, asked.payload, known);
	assert_memory_equal(got.payload + known, rest + known, LARGE - known);
	STORED_SENDS(rig, XS_WRITE, got.hdr.req_id, 0, "OK");
	rig_run(rig);
}

static void begin_request(struct rig *rig)
{
	struct message msg = large(XS_WRITE, 5);

	rig_open(rig, DOMID, 0u - 100);
	guest_writes(rig, &msg);
	assert_int_equal(word_get(&rig->s->ledger->up_sent), XENSTORE_RING_SIZE);
	break_ledger(rig);
}

static void a_request_ends(void **state)
{
	struct message msg = large(XS_WRITE, 5);
	struct rig rig;

	(void)state;
	begin_request(&rig);
	start_afresh(&rig);
	stored_takes_large(&rig, msg.payload, LARGE);
	assert_reset(&rig);
	close_rig(&rig);
}

/* Another session says that the extent is its own: what is not known is zero. */
static void a_request_ends_without_its_extent(void **state)
{
	static const uint8_t zeroes[LARGE];
	struct session_params params;
	struct rig rig;
	uint32_t page;

	(void)state;
	begin_request(&rig);
	page = word_get(&rig.s->ledger->up_page);
	rig_die(&rig);
	assert_int_equal(rig_revive(&rig), -EINVAL);
	assert_int_equal(pool_claim(rig.pool, page), 0);
	params = rig_params(&rig);
	assert_int_equal(session_afresh(&rig.s, &params, -EINVAL), 0);
	stored_takes_large(&rig, zeroes, XENSTORE_RING_SIZE - MESSAGE_HEADER);
	assert_reset(&rig);
	pool_release(rig.pool, page);
	close_rig(&rig);
}

/* --- a reply of which we have the beginning */

static void a_reply_ends(void **state)
{
	struct message msg = large(XS_READ, 0);
	struct rig rig;

	(void)state;
	rig_open(&rig, DOMID, 0u - 100);
	GUEST_SENDS(&rig, XS_READ, 5, 0, "path");
	rig_run(&rig);
	msg.hdr.req_id = STORED_GETS(&rig, XS_READ, 0, "path");
	stored_writes(&rig, &msg, 1500);
	assert_int_equal(word_get(&rig.s->ledger->fifo_fill), 1500);
	break_ledger(&rig);
	start_afresh(&rig);
	stored_writes(&rig, (uint8_t *)&msg + 1500, MESSAGE_HEADER + LARGE - 1500);
	assert_reset(&rig);
	close_rig(&rig);
}

/* --- the C daemon has begun anew meanwhile */

static void what_upstream_forgot_does_not_end(void **state)
{
	struct rig rig;

	(void)state;
	begin_request(&rig);
	atomic_store(&rig.s->attach->bind_gen, rig.s->ledger->bind_gen + 2);
	rig.back->req_cons = rig.back->req_prod = rig.back->rsp_cons = rig.back->rsp_prod = 0;
	start_afresh(&rig);
	rig_run(&rig);
	assert_reset(&rig);
	close_rig(&rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_had_begun),
		cmocka_unit_test(a_request_ends),
		cmocka_unit_test(a_request_ends_without_its_extent),
		cmocka_unit_test(a_reply_ends),
		cmocka_unit_test(what_upstream_forgot_does_not_end),
	};

	return cmocka_run_group_tests_name("session, started afresh", tests, NULL, NULL);
}
