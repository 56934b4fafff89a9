// SPDX-License-Identifier: MIT
/*
 * What a guest can end xenstored with stays here, by default: which messages those are, whom it is
 * about, what is left to xenstored, and that it is counted.
 */
#include <errno.h>

#include "tests/unit/session_rig.h"

#include "proxy/observe/tap.h"
#include "proxy/session/guard.h"

#define S(text) text, sizeof(text) - 1

static const struct {
	uint32_t type;
	const char *payload;
	uint32_t len;
	int says;
} cases[] = {
	{ XS_READ, S("a\0"), 0 },
	{ XS_READ, S("\0"), 0 },
	{ XS_READ, S(""), -EBADMSG },
	{ XS_READ, S("a"), -EBADMSG },
	{ XS_READ, S("a\0b"), -EBADMSG },
	{ XS_READ, S("a\0b\0"), -EBADMSG },
	{ XS_DIRECTORY, S("a"), -EBADMSG },
	{ XS_GET_PERMS, S("a"), -EBADMSG },
	{ XS_MKDIR, S("a"), -EBADMSG },
	{ XS_RM, S("a"), -EBADMSG },
	{ XS_GET_DOMAIN_PATH, S("7"), -EBADMSG },
	/* Others have several strings, or octets of any kind. */
	{ XS_WRITE, S("a"), 0 },
	{ XS_WRITE, S("a\0b"), 0 },
	{ XS_SET_PERMS, S("a\0n7\0x"), 0 },
	{ XS_DIRECTORY_PART,
	  S("a\0"
	    "0\0x"),
	  0 },
	{ XS_TRANSACTION_START, S("x"), 0 },
	{ XS_RESET_WATCHES, S(""), 0 },
	{ 4711, S("x"), 0 },
	/* XSA-481 */
	{ XS_READ, S("/local/domain/\0"), -EBADMSG },
	{ XS_WRITE, S("/local/domain/\0x"), -EBADMSG },
	{ XS_WATCH, S("/local/domain/\0t\0"), -EBADMSG },
	{ XS_UNWATCH, S("/local/domain/\0t\0"), -EBADMSG },
	{ XS_SET_PERMS, S("/local/domain/\0n7\0"), -EBADMSG },
	{ XS_DIRECTORY_PART,
	  S("/local/domain/\0"
	    "0\0"),
	  -EBADMSG },
	{ XS_READ, S("/local/domain\0"), 0 },
	{ XS_READ, S("/local/domain/7\0"), 0 },
	{ XS_WRITE, S("x\0/local/domain/\0"), 0 },
};

static int ask(struct rig *rig, size_t i, uint32_t tx)
{
	struct message msg = make_message(cases[i].type, 1, tx, cases[i].payload, cases[i].len);
	struct message unified;

	return guard_form(rig->s, &msg, &unified);
}

static void which_messages(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (ask(rig, i, 0) != cases[i].says)
			fail_msg("case %zu: not %d", i, cases[i].says);
}

/* By the option, and from dom0. In a transaction that is not open nothing is. */
static void what_is_left_to_xenstored(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig->daemon.config.guard_malformed = CONFIG_PASS;
		assert_int_equal(ask(rig, i, 0), 0);
		rig->daemon.config.guard_malformed = CONFIG_REFUSE;
		rig->s->privileged = true;
		assert_int_equal(ask(rig, i, 0), 0);
		rig->s->privileged = false;
		assert_int_equal(ask(rig, i, 99), cases[i].says);
	}
}

/* What ends a C daemon of 4.22, and only if a toolstack says it. */
static void permissions_for_all_domains(void **state)
{
	static const struct {
		const char *payload;
		uint32_t len;
		int says;
	} perms[] = {
		{ S("a\0n7\0r32757\0"), -EBADMSG },
		{ S("a\0n7\0b0x7ff5\0"), -EBADMSG },
		{ S("a\0r077765\0"), -EBADMSG },
		{ S("a\0n7\0r32756\0"), 0 },
		{ S("a32757\0n7\0"), 0 },
		{ S("a\0n7\0r32757"), 0 },
		{ S("a\0"), 0 },
		{ S(""), 0 },
	};
	struct rig *rig = *state;
	struct message unified;

	for (size_t i = 0; i < sizeof(perms) / sizeof(perms[0]); i++) {
		struct message msg =
			make_message(XS_SET_PERMS, 1, 0, perms[i].payload, perms[i].len);

		rig->daemon.flavour = RINGS_FLAVOUR_C;
		rig->s->socket = rig->s->privileged = true;
		rig->daemon.features = 14;
		assert_int_equal(guard_form(rig->s, &msg, &unified), perms[i].says);
		rig->daemon.config.guard_malformed = CONFIG_PASS;
		assert_int_equal(guard_form(rig->s, &msg, &unified), 0);
		rig->daemon.config.guard_malformed = CONFIG_REFUSE;
		rig->daemon.features = 6;
		assert_int_equal(guard_form(rig->s, &msg, &unified), 0);
		rig->daemon.features = 14;
		rig->s->socket = rig->s->privileged = false;
		assert_int_equal(guard_form(rig->s, &msg, &unified), 0);
	}
}

static void refused_in_order_and_counted(void **state)
{
	struct rig *rig = *state;
	struct taps *taps;
	uint32_t id;

	assert_int_equal(taps_new(&taps, NULL, &rig->daemon.config), 0);
	rig->s->tap = tap_new(taps, &rig->s->source, false);
	GUEST_SENDS(rig, XS_READ, 1, 0, "a");
	guest_sends(rig, XS_READ, 2, 0, "a", 1);
	guest_sends(rig, XS_UNWATCH, 3, 0, "a", 1);
	rig_run(rig);
	id = STORED_GETS(rig, XS_READ, 0, "a");
	assert_stored_idle(rig);
	assert_guest_idle(rig);
	assert_int_equal(taps_malformed(taps)[XS_READ], 0);
	STORED_SENDS(rig, XS_READ, id, 0, "b");
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 1, 0, "b");
	GUEST_GETS(rig, XS_ERROR, 2, 0, "EINVAL");
	GUEST_GETS(rig, XS_ERROR, 3, 0, "EINVAL");
	assert_stored_idle(rig);
	assert_int_equal(taps_malformed(taps)[XS_READ], 1);
	assert_int_equal(taps_malformed(taps)[XS_UNWATCH], 1);
	rig->s->tap = tap_free(rig->s->tap);
	taps_free(taps);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(which_messages),
		TEST(what_is_left_to_xenstored),
		TEST(permissions_for_all_domains),
		TEST(refused_in_order_and_counted),
	};

	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
