// SPDX-License-Identifier: MIT
/*
 * test_migrate_remote - the toolstack requests: how they are spelt, lists that come in pages or
 * change while they are read, and answers that make no sense.
 */
#include "tests/unit/test_migrate_server.h"

#include "migration/remote.h"
#include "protocol/message.h"

/* A request that is expected, and the answer to it. */
struct step {
	uint32_t type;
	const char *want;
	size_t want_len;
	const char *answer;
	size_t answer_len; /* 0: @answer names an error */
};

#define STRING(text) text, sizeof(text)

struct script {
	const struct step *steps;
	size_t nr;
	size_t done;
};

static void play_script(int fd, void *arg)
{
	struct script *script = arg;
	struct request req;

	for (; script->done < script->nr && server_get(fd, &req); script->done++) {
		const struct step *step = &script->steps[script->done];

		if (req.hdr.type != step->type || req.hdr.len != step->want_len ||
		    memcmp(req.payload, step->want, step->want_len))
			break;
		if (step->answer_len)
			server_put(fd, req.hdr.type, req.hdr.req_id, step->answer,
				   step->answer_len);
		else
			server_fail(fd, &req, step->answer);
	}
}

/* Starts "struct server server" and "struct wire *wire" over @steps, and ends them. */
#define SCRIPT(...)                                                            \
	static const struct step steps[] = { __VA_ARGS__ };                    \
	struct script script = { steps, sizeof(steps) / sizeof(steps[0]), 0 }; \
	struct server server;                                                  \
	struct wire *wire = server_start(&server, play_script, &script)

#define SCRIPT_END()                \
	server_stop(&server, wire); \
	assert_int_equal(script.done, script.nr)

static void test_simple(void **state)
{
	static const char pairs[] = "control/shutdown\0tok\0@releaseDomain\0";

	SCRIPT({ MESSAGE_QUIESCE, STRING("7"), STRING("OK") },
	       { MESSAGE_QUIESCE, STRING("7"), "EBUSY", 0 },
	       { MESSAGE_UNQUIESCE, STRING("32751"), STRING("OK") },
	       { MESSAGE_HOLD, STRING("7"), "EEXIST", 0 },
	       { MESSAGE_RESET_DOMAIN, STRING("7"), STRING("OK") },
	       { MESSAGE_START_DOMAIN_TRANSACTION, STRING("7\0004294967295"), STRING("OK") },
	       { MESSAGE_ADD_DOMAIN_WATCHES, "7\0control/shutdown\0tok\0@releaseDomain\0",
		 sizeof("7\0control/shutdown\0tok\0@releaseDomain\0"), STRING("OK") });

	(void)state;
	assert_int_equal(remote_quiesce(wire, 7), 0);
	assert_int_equal(remote_quiesce(wire, 7), -EBUSY);
	assert_int_equal(remote_unquiesce(wire, 32751), 0);
	assert_int_equal(remote_hold(wire, 7), -EEXIST);
	assert_int_equal(remote_reset(wire, 7), 0);
	assert_int_equal(remote_start_transaction(wire, 7, UINT32_MAX), 0);
	assert_int_equal(remote_add_watches(wire, 7, pairs, sizeof(pairs)), 0);
	assert_int_equal(remote_watches_max(7), XENSTORE_PAYLOAD_MAX - 2);
	assert_int_equal(remote_watches_max(32751), XENSTORE_PAYLOAD_MAX - 6);
	SCRIPT_END();
}

static void test_state(void **state)
{
	enum remote_state got;

	SCRIPT({ MESSAGE_GET_DOMAIN_STATE, STRING("7"), STRING("running") },
	       { MESSAGE_GET_DOMAIN_STATE, STRING("7"), STRING("quiesced") },
	       { MESSAGE_GET_DOMAIN_STATE, STRING("7"), STRING("held") },
	       { MESSAGE_GET_DOMAIN_STATE, STRING("7"), STRING("ended") },
	       { MESSAGE_GET_DOMAIN_STATE, STRING("7"), "ENOENT", 0 },
	       { MESSAGE_GET_DOMAIN_STATE, STRING("7"), STRING("dancing") },
	       { MESSAGE_GET_DOMAIN_STATE, STRING("7"), "running", strlen("running") });

	(void)state;
	for (int want = REMOTE_RUNNING; want <= REMOTE_ENDED; want++) {
		assert_int_equal(remote_get_state(wire, 7, &got), 0);
		assert_int_equal(got, want);
	}
	assert_int_equal(remote_get_state(wire, 7, &got), -ENOENT);
	assert_int_equal(remote_get_state(wire, 7, &got), -EPROTO);
	assert_int_equal(remote_get_state(wire, 7, &got), -EPROTO);
	SCRIPT_END();
}

/* --- lists */

static void assert_watch(const struct remote_watch *watch, const char *path, const char *token,
			 const char *depth)
{
	assert_string_equal(watch->path, path);
	assert_string_equal(watch->token, token);
	if (depth)
		assert_string_equal(watch->depth, depth);
	else
		assert_null(watch->depth);
}

static void test_pages(void **state)
{
	struct remote_watches watches;

	SCRIPT({ MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), STRING("5\0a\0one\0b\0") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0002"), STRING("5\0c\0three") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0003"), STRING("5") });

	(void)state;
	assert_int_equal(remote_get_watches(wire, 7, &watches), 0);
	assert_int_equal(watches.nr, 3);
	assert_watch(&watches.list[0], "a", "one", NULL);
	assert_watch(&watches.list[1], "b", "", NULL);
	assert_watch(&watches.list[2], "c", "three", NULL);
	remote_watches_free(&watches);
	SCRIPT_END();
}

static void test_no_watches(void **state)
{
	struct remote_watches watches;

	SCRIPT({ MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), STRING("0") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("8\0000"), "ENOENT", 0 });

	(void)state;
	assert_int_equal(remote_get_watches(wire, 7, &watches), 0);
	assert_int_equal(watches.nr, 0);
	remote_watches_free(&watches);
	assert_int_equal(remote_get_watches(wire, 8, &watches), -ENOENT);
	SCRIPT_END();
}

/* The list changes between two pages: once, then it stands still. */
static void test_changing(void **state)
{
	struct remote_watches watches;

	SCRIPT({ MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), STRING("5\0a\0one") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0001"), STRING("6\0b\0two") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), STRING("6\0b\0two") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0001"), STRING("6") });

	(void)state;
	assert_int_equal(remote_get_watches(wire, 7, &watches), 0);
	assert_int_equal(watches.nr, 1);
	assert_watch(&watches.list[0], "b", "two", NULL);
	remote_watches_free(&watches);
	SCRIPT_END();
}

static void play_restless(int fd, void *arg)
{
	struct request req;
	char payload[32];

	(void)arg;
	for (unsigned int gencnt = 0; server_get(fd, &req); gencnt++) {
		int len = snprintf(payload, sizeof(payload), "%u%ca%cone", gencnt, 0, 0) + 1;

		server_put(fd, req.hdr.type, req.hdr.req_id, payload, (size_t)len);
	}
}

static void test_restless(void **state)
{
	struct remote_watches watches;
	struct server server;
	struct wire *wire = server_start(&server, play_restless, NULL);

	(void)state;
	assert_int_equal(remote_get_watches(wire, 7, &watches), -ESTALE);
	assert_null(watches.list);
	server_stop(&server, wire);
}

/* A pair with an empty path gives the depth of the watch that follows. */
static void test_depth(void **state)
{
	struct remote_watches watches;

	SCRIPT({ MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), STRING("5\0a\0one\0\0002\0b\0two") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0002"), STRING("5\0c\0three") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0003"), STRING("5") });

	(void)state;
	assert_int_equal(remote_get_watches(wire, 7, &watches), 0);
	assert_int_equal(watches.nr, 3);
	assert_watch(&watches.list[0], "a", "one", NULL);
	assert_watch(&watches.list[1], "b", "two", "2");
	assert_watch(&watches.list[2], "c", "three", NULL);
	remote_watches_free(&watches);
	SCRIPT_END();
}

static void test_watch_nonsense(void **state)
{
	struct remote_watches watches;

	SCRIPT({ MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), "5", 1 },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), STRING("5\0a") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), STRING("5\0a\0b\0c") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), STRING("5\0\0002") },
	       { MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), STRING("12345678901\0a\0b") });

	(void)state;
	for (size_t i = 0; i < script.nr; i++)
		assert_int_equal(remote_get_watches(wire, 7, &watches), -EPROTO);
	SCRIPT_END();
}

static void test_transactions(void **state)
{
	struct remote_transactions transactions;

	SCRIPT({ MESSAGE_GET_DOMAIN_TRANSACTIONS, STRING("7"), STRING("3\0004294967295\0001") },
	       { MESSAGE_GET_DOMAIN_TRANSACTIONS, STRING("7"), "ENOENT", 0 },
	       { MESSAGE_GET_DOMAIN_TRANSACTIONS, STRING("7"), STRING("3\0x") },
	       { MESSAGE_GET_DOMAIN_TRANSACTIONS, STRING("7"), STRING("0") },
	       { MESSAGE_GET_DOMAIN_TRANSACTIONS, STRING("7"), STRING("4294967296") },
	       { MESSAGE_GET_DOMAIN_TRANSACTIONS, STRING("7"), "3", 1 });

	(void)state;
	assert_int_equal(remote_get_transactions(wire, 7, &transactions), 0);
	assert_int_equal(transactions.nr, 3);
	assert_int_equal(transactions.ids[0], 3);
	assert_int_equal(transactions.ids[1], UINT32_MAX);
	assert_int_equal(transactions.ids[2], 1);
	free(transactions.ids);
	assert_int_equal(remote_get_transactions(wire, 7, &transactions), -ENOENT);
	for (int i = 0; i < 4; i++)
		assert_int_equal(remote_get_transactions(wire, 7, &transactions), -EPROTO);
	SCRIPT_END();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),	     cmocka_unit_test(test_state),
		cmocka_unit_test(test_pages),	     cmocka_unit_test(test_no_watches),
		cmocka_unit_test(test_changing),     cmocka_unit_test(test_restless),
		cmocka_unit_test(test_depth),	     cmocka_unit_test(test_watch_nonsense),
		cmocka_unit_test(test_transactions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
