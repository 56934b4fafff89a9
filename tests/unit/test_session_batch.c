// SPDX-License-Identifier: MIT
/*
 * ADD_DOMAIN_WATCHES is all or nothing, also when the process dies at any store in the middle of
 * it, on a running and on a quiesced domain: afterwards we and upstream know the same watches, all
 * of the batch or none, and of the events those of the guest's own watches, each of them.
 */
#include "tests/unit/kill_point.h"
#include "tests/unit/session_rig.h"

#include "proxy/toolstack/op.h"

#define OWN "own\0t"
static const char added[] = "a\0t\0b\0t\0c\0t";

struct bed {
	struct rig rig;
	const char *refused; /* the path that upstream refuses, or NULL */
	const char *stuck;   /* the path that it does not let go, or NULL */
	char list[8];	     /* upstream's watches, a letter each, in order */
	uint32_t own_sent, own_got, others_got;
	bool done; /* the batch came to its end while we looked */
};

/* --- upstream: knows watches by the first letter of their path */

static void fire(struct bed *bed, const char *payload, uint32_t len)
{
	stored_sends(&bed->rig, XS_WATCH_EVENT, 0, 0, payload, len);
}

static void stored_watch(struct bed *bed, const struct message *msg)
{
	const char *path = (const char *)msg->payload;
	size_t n = strlen(bed->list);

	/* In the middle of it all something happens to the guest's own watch. */
	fire(bed, OWN, sizeof(OWN));
	bed->own_sent++;
	if (bed->refused && !strcmp(path, bed->refused)) {
		STORED_SENDS(&bed->rig, XS_ERROR, msg->hdr.req_id, 0, "E2BIG");
		return;
	}
	assert_null(strchr(bed->list, path[0]));
	bed->list[n] = path[0];
	bed->list[n + 1] = 0;
	STORED_SENDS(&bed->rig, XS_WATCH, msg->hdr.req_id, 0, "OK");
	fire(bed, path, msg->hdr.len);
}

static void stored_unwatch(struct bed *bed, const struct message *msg)
{
	char *at = strchr(bed->list, msg->payload[0]);

	assert_non_null(at);
	if (bed->stuck && msg->payload[0] == (uint8_t)bed->stuck[0]) {
		STORED_SENDS(&bed->rig, XS_ERROR, msg->hdr.req_id, 0, "EIO");
		return;
	}
	memmove(at, at + 1, strlen(at));
	STORED_SENDS(&bed->rig, XS_UNWATCH, msg->hdr.req_id, 0, "OK");
}

static bool stored_serves(struct bed *bed)
{
	struct message msg;

	if (!queue_used(&bed->rig.stored_in))
		return false;
	queue_get_message(&bed->rig.stored_in, &msg);
	if (msg.hdr.type == XS_WATCH)
		stored_watch(bed, &msg);
	else if (msg.hdr.type == XS_UNWATCH)
		stored_unwatch(bed, &msg);
	else
		STORED_SENDS(&bed->rig, msg.hdr.type, msg.hdr.req_id, 0, "y");
	return true;
}

static void guest_reads(struct bed *bed)
{
	struct message msg;

	while (queue_used(&bed->rig.guest_in)) {
		queue_get_message(&bed->rig.guest_in, &msg);
		assert_int_equal(msg.hdr.type, XS_WATCH_EVENT);
		if (msg.payload[0] == 'o')
			bed->own_got++;
		else
			bed->others_got++;
	}
}

/* --- the batch */

static void open_bed(struct bed *bed, bool quiet, const char *refused)
{
	*bed = (struct bed){ .refused = refused };
	rig_open(&bed->rig, 7, 0u - 300);
	GUEST_SENDS(&bed->rig, XS_WATCH, 77, 0, OWN);
	rig_run(&bed->rig);
	assert_true(stored_serves(bed));
	rig_run(&bed->rig);
	/* The event, the answer, and the watch's own first event. */
	GUEST_GETS(&bed->rig, XS_WATCH_EVENT, 0, 0, OWN);
	GUEST_GETS(&bed->rig, XS_WATCH, 77, 0, "OK");
	GUEST_GETS(&bed->rig, XS_WATCH_EVENT, 0, 0, OWN);
	bed->own_sent = 0;
	if (quiet)
		session_quiet(bed->rig.s);
}

static void serve(void *arg)
{
	struct bed *bed = arg;

	for (rig_run(&bed->rig); stored_serves(bed); rig_run(&bed->rig))
		guest_reads(bed);
	bed->done = TAILQ_EMPTY(&bed->rig.daemon.ops);
}

static void add_watches(void *arg)
{
	struct bed *bed = arg;

	assert_int_equal(batch_begin(&ASKER_NOBODY, bed->rig.s, added, sizeof(added)), 0);
	serve(bed);
}

static void assert_outcome(struct bed *bed, bool quiet)
{
	struct watches *set = &bed->rig.s->watches;
	const struct watch *watch = watches_from(set, 0);
	bool all = !strcmp(bed->list, "oabc");
	uint32_t len;

	assert_true(TAILQ_EMPTY(&bed->rig.daemon.ops));
	assert_int_equal(word_get(&bed->rig.s->ledger->batch), 0);
	if (quiet) {
		assert_int_equal(bed->own_got + bed->others_got, 0);
		session_resume(bed->rig.s);
	}
	rig_run(&bed->rig);
	guest_reads(bed);
	if (!all)
		assert_string_equal(bed->list, "o");
	assert_int_equal(set->count, strlen(bed->list));
	for (size_t i = 0; bed->list[i]; i++, watch = watch_next(watch))
		assert_int_equal(watch_text(set, watch, &len)[0], bed->list[i]);
	/* Those that wait while it stands still are there once. */
	assert_int_equal(bed->own_got, quiet && bed->own_sent ? 1 : bed->own_sent);
	assert_int_equal(bed->others_got, all ? 3 : 0);
	rig_exchange(&bed->rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

static void all_or_nothing(bool quiet, const char *refused)
{
	struct bed bed;

	open_bed(&bed, quiet, refused);
	add_watches(&bed);
	assert_true(bed.done);
	assert_string_equal(bed.list, refused ? "o" : "oabc");
	assert_outcome(&bed, quiet);
	rig_close(&bed.rig);
}

static void a_batch_adds_all(void **state)
{
	(void)state;
	all_or_nothing(false, NULL);
	all_or_nothing(true, NULL);
}

static void a_batch_that_fails_leaves_nothing(void **state)
{
	(void)state;
	for (int quiet = 0; quiet < 2; quiet++) {
		all_or_nothing(quiet, "a");
		all_or_nothing(quiet, "b");
		all_or_nothing(quiet, "c");
	}
}

/* It is not asked for ever, the others are taken back, and what is tracked is what upstream has. */
static void a_watch_that_upstream_does_not_let_go(void **state)
{
	struct bed bed;
	uint32_t len;

	(void)state;
	for (int quiet = 0; quiet < 2; quiet++) {
		for (const char *stuck = "ab"; *stuck; stuck++) {
			struct watches *set;

			open_bed(&bed, quiet, "c");
			bed.stuck = stuck;
			add_watches(&bed);
			assert_true(bed.done);
			assert_int_equal(word_get(&bed.rig.s->ledger->batch), 0);
			assert_int_equal(strlen(bed.list), 2);
			assert_int_equal(bed.list[1], *stuck);
			set = &bed.rig.s->watches;
			assert_int_equal(set->count, 2);
			assert_int_equal(watch_text(set, watches_from(set, 1), &len)[0], *stuck);
			session_resume(bed.rig.s);
			rig_run(&bed.rig);
			guest_reads(&bed);
			rig_exchange(&bed.rig, XS_READ, 0, "x", 2, XS_READ, "y");
			rig_close(&bed.rig);
		}
	}
}

/* Nothing of the guest's is taken while it runs, and its own watches are no obstacle. */
static void the_guest_waits(void **state)
{
	struct bed bed;

	(void)state;
	open_bed(&bed, false, NULL);
	assert_int_equal(batch_begin(&ASKER_NOBODY, bed.rig.s, added, sizeof(added)), 0);
	rig_run(&bed.rig);
	GUEST_SENDS(&bed.rig, XS_READ, 9, 0, "x");
	rig_run(&bed.rig);
	for (int i = 0; i < 3; i++) {
		uint32_t id = stored_gets(&bed.rig, XS_WATCH, 0, added + 4 * i, 4);

		STORED_SENDS(&bed.rig, XS_WATCH, id, 0, "OK");
	}
	assert_stored_idle(&bed.rig);
	rig_run(&bed.rig);
	STORED_GETS(&bed.rig, XS_READ, 0, "x");
	rig_close(&bed.rig);
}

static int answer = -1; /* what the asker of the batch was told: 0 or an errno */

static void told(void *arg, const struct message *msg)
{
	(void)arg;
	answer = msg->hdr.type == XS_ERROR ? message_error_parse(msg->payload, msg->hdr.len) : 0;
}

/* Upstream takes @n watches of the batch, one after the other. */
static void add_some(struct bed *bed, int n)
{
	static const struct asker asker = { .slot = -1, .reply = told };

	answer = -1;
	assert_int_equal(batch_begin(&asker, bed->rig.s, added, sizeof(added)), 0);
	rig_run(&bed->rig);
	while (n--)
		assert_true(stored_serves(bed));
}

/* Nobody is told OK when upstream has been told to forget the watches. */
static void the_guest_reconnects_in_the_middle(void **state)
{
	struct bed bed;
	uint32_t id;

	(void)state;
	for (int taken = 0; taken <= 3; taken++) {
		open_bed(&bed, false, NULL);
		add_some(&bed, taken);
		bed.rig.guest->connection = XENSTORE_RECONNECT;
		rig_run(&bed.rig);
		/* Those that are under way are answered before. */
		while (strlen(bed.list) < 4)
			assert_true(stored_serves(&bed));
		id = STORED_GETS(&bed.rig, XS_RESET_WATCHES, 0, "");
		assert_stored_idle(&bed.rig);
		bed.list[0] = 0;
		STORED_SENDS(&bed.rig, XS_RESET_WATCHES, id, 0, "OK");
		rig_run(&bed.rig);
		assert_int_equal(answer, EAGAIN);
		assert_int_equal(word_get(&bed.rig.s->ledger->batch), 0);
		assert_stored_idle(&bed.rig);
		assert_int_equal(bed.rig.s->watches.count, 0);
		rig_exchange(&bed.rig, XS_READ, 0, "x", 2, XS_READ, "y");
		/* Asked again, it can be. */
		add_some(&bed, 3);
		rig_run(&bed.rig);
		assert_int_equal(answer, 0);
		assert_string_equal(bed.list, "abc");
		rig_close(&bed.rig);
	}
}

/*
 * An INTRODUCE waits until what is under way is answered; then the C daemon forgets the watches and
 * zeroes the back ring.
 */
static void the_c_daemon_forgets_in_the_middle(void **state)
{
	static const struct asker asker = { .slot = -1, .reply = told };
	static char large[3][600];
	struct bed bed;
	xs_page *back;

	(void)state;
	for (int i = 0; i < 3; i++)
		snprintf(large[i], sizeof(large[i]), "%0*d", (int)sizeof(large[i]) - 2, 0);
	for (int i = 0; i < 3; i++)
		large[i][0] = (char)('a' + i);
	open_bed(&bed, false, NULL);
	back = bed.rig.back;
	answer = -1;
	assert_int_equal(batch_begin(&asker, bed.rig.s, large[0], sizeof(large)), 0);
	rig_run(&bed.rig);
	bed.rig.s->drain.settle++;
	assert_true(stored_serves(&bed));
	rig_run(&bed.rig);
	assert_stored_idle(&bed.rig);
	assert_true(session_settled(bed.rig.s));
	session_upstream_reset(bed.rig.s);
	bed.list[0] = 0;
	back->req_prod = back->req_cons = back->rsp_prod = back->rsp_cons = 0;
	bed.rig.s->drain.settle--;
	serve(&bed);
	assert_int_equal(answer, EAGAIN);
	assert_string_equal(bed.list, "");
	assert_int_equal(bed.rig.s->watches.count, 0);
	rig_close(&bed.rig);
}

/* Return: whether it died at its store number @at. */
static bool death_at(long at, bool quiet, const char *refused)
{
	struct bed bed;
	bool died;

	open_bed(&bed, quiet, refused);
	died = die_at_store(at, add_watches, &bed);
	if (died)
		rig_restart(&bed.rig);
	serve(&bed);
	assert_outcome(&bed, quiet);
	rig_close(&bed.rig);
	return died;
}

static void death_at_each_store(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		long at = 0;

		while (death_at(at, i & 1, i & 2 ? "c" : NULL))
			at++;
		assert_true(at > 60);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_adds_all),
		cmocka_unit_test(a_batch_that_fails_leaves_nothing),
		cmocka_unit_test(a_watch_that_upstream_does_not_let_go),
		cmocka_unit_test(the_guest_waits),
		cmocka_unit_test(the_guest_reconnects_in_the_middle),
		cmocka_unit_test(the_c_daemon_forgets_in_the_middle),
		cmocka_unit_test(death_at_each_store),
	};

	return cmocka_run_group_tests_name("session, ADD_DOMAIN_WATCHES", tests, NULL, NULL);
}
