// SPDX-License-Identifier: MIT
/* What xenstored was told for as long as it runs: which of it the next one is told, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"

static _Alignas(64) uint8_t header[LEDGERS_HEADER_SIZE];
static struct memory memory_there = { .ledgers.arena.base = header };
static bool is_connected;

static const struct memory *fake_memory(const struct upstream *up)
{
	(void)up;
	return is_connected ? &memory_there : NULL;
}

#define upstream_memory fake_memory
#include "proxy/host/lasting.c"

static struct daemon c_daemon;
static char told[1 << 18];

static int setup(void **state)
{
	(void)state;
	memset(header, 0, sizeof(header));
	is_connected = true;
	memory_there.old = false;
	c_daemon.flavour = RINGS_FLAVOUR_C;
	return 0;
}

static void note(uint32_t type, const char *payload, uint32_t len)
{
	struct message msg = { .hdr = { .type = type, .len = len } };

	memcpy(msg.payload, payload, len);
	lasting_note(&c_daemon, &msg);
}

/* A string literal, its last NUL included. */
#define NOTE(type, text) note(type, text, sizeof(text))

static int tell(void *arg, uint32_t type, const char *payload, uint32_t len)
{
	char *to = told + strlen(told);

	to += sprintf(to, "%s ", message_name(type));
	for (uint32_t i = 0; i < len; i++)
		if (payload[i])
			*to++ = payload[i];
		else
			*to++ = i + 1 < len ? ' ' : '\n';
	*to = '\0';
	return *(const int *)arg;
}

static const char *all_told(void)
{
	int goes_on = 0;

	told[0] = '\0';
	assert_int_equal(lasting_each(&c_daemon, tell, &goes_on), 0);
	return told;
}

/* In the order in which each was said last. */
static void the_last_of_each(void **state)
{
	int stops = 3;

	(void)state;
	NOTE(XS_CONTROL, "quota\0set\0watches\00050");
	NOTE(XS_CONTROL, "log\0on");
	NOTE(MESSAGE_SET_QUOTA, "nodes\000900");
	NOTE(MESSAGE_SET_QUOTA, "7\0nodes\000800");
	NOTE(MESSAGE_SET_FEATURE, "7\0006");
	NOTE(XS_CONTROL, "quota\0set\0watches\00040");
	NOTE(XS_CONTROL, "quota\0set\0nodes\00030");
	NOTE(MESSAGE_SET_QUOTA, "nodes\000901");
	NOTE(MESSAGE_SET_FEATURE, "7\0002");
	assert_string_equal(all_told(),
			    "CONTROL log on\nSET_QUOTA 7 nodes 800\nCONTROL quota set watches 40\n"
			    "CONTROL quota set nodes 30\nSET_QUOTA nodes 901\nSET_FEATURE 7 2\n");
	told[0] = '\0';
	assert_int_equal(lasting_each(&c_daemon, tell, &stops), 3);
	assert_string_equal(told, "CONTROL log on\n");
}

static void what_changes_nothing(void **state)
{
	(void)state;
	NOTE(XS_CONTROL, "quota");
	NOTE(XS_CONTROL, "quota\0007");
	NOTE(XS_CONTROL, "quota\0max\0-r");
	NOTE(XS_CONTROL, "check");
	NOTE(XS_CONTROL, "a\0b\0c\0d\0e");
	NOTE(XS_WRITE, "/a\0value");
	note(XS_CONTROL, "log\0on", 6); /* not terminated */
	note(MESSAGE_SET_QUOTA, "", 0);
	assert_string_equal(all_told(), "");
	c_daemon.flavour = RINGS_FLAVOUR_OCAML;
	NOTE(XS_CONTROL, "log\0on");
	c_daemon.flavour = RINGS_FLAVOUR_C;
	assert_string_equal(all_told(), "");
}

static bool is_below_8(void *arg, uint32_t domid)
{
	(void)arg;
	return domid < 8;
}

/* The next one of that number has what all have. */
static void domains_that_end(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		NOTE(MESSAGE_SET_FEATURE, "7\0006");
		NOTE(MESSAGE_SET_QUOTA, "7\0nodes\000800");
		NOTE(MESSAGE_SET_QUOTA, "70\0nodes\000800");
		NOTE(MESSAGE_SET_QUOTA, "7\000800"); /* a quota with that name */
		NOTE(MESSAGE_SET_FEATURE, "7");	     /* of all */
		NOTE(XS_CONTROL, "quota\0007\0nodes\0009");
		NOTE(XS_CONTROL, "log\0on");
		lasting_domain_gone(&c_daemon, 7);
		assert_string_equal(all_told(), "SET_QUOTA 70 nodes 800\nSET_QUOTA 7 800\n"
						"SET_FEATURE 7\nCONTROL log on\n");
	}
	lasting_only(&c_daemon, is_below_8, NULL);
	assert_string_equal(all_told(), "SET_QUOTA 7 800\nSET_FEATURE 7\nCONTROL log on\n");
}

static void no_room(void **state)
{
	char text[64];
	int i = 0;

	(void)state;
	for (; i < 2000; i++) {
		int len = sprintf(text, "%d%cnodes%c900", i, 0, 0);

		note(MESSAGE_SET_QUOTA, text, (uint32_t)len + 1);
	}
	i = 0;
	all_told();
	for (const char *line = told; *line; line = strchr(line, '\n') + 1)
		i++;
	assert_in_range(i, 400, 600);
	lasting_domain_gone(&c_daemon, 0);
	NOTE(XS_CONTROL, "log\0on");
	assert_non_null(strstr(all_told(), "CONTROL log on\n"));
}

/* Whatever lies there: nothing is read or written elsewhere. */
static void any_octets(void **state)
{
	struct ledgers_lasting *lasting = ledgers_lasting(&memory_there.ledgers);
	uint8_t *behind = (uint8_t *)(lasting + 1);
	unsigned int seed = 1;
	int found = 0;

	(void)state;
	for (int i = 0; i < 500; i++) {
		for (size_t k = 0; k < sizeof(lasting->records); k++)
			lasting->records[k] =
				(char)(rand_r(&seed) % 3 ? 0 : '0' + rand_r(&seed) % 10);
		*behind = 0xa5;
		atomic_store(&lasting->used, rand_r(&seed) % 2 ? sizeof(lasting->records)
							       : (uint32_t)rand_r(&seed) % 9000);
		found += *all_told() != '\0';
		lasting_domain_gone(&c_daemon, (uint32_t)rand_r(&seed) % 10);
		assert_int_equal(*behind, 0xa5);
	}
	assert_true(found > 50);
}

static void without_memory(void **state)
{
	(void)state;
	memory_there.old = true;
	NOTE(XS_CONTROL, "log\0on");
	assert_string_equal(all_told(), "");
	memory_there.old = false;
	is_connected = false;
	NOTE(XS_CONTROL, "log\0on");
	lasting_domain_gone(&c_daemon, 7);
	assert_string_equal(all_told(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_last_of_each, setup),
		cmocka_unit_test_setup(what_changes_nothing, setup),
		cmocka_unit_test_setup(domains_that_end, setup),
		cmocka_unit_test_setup(no_room, setup),
		cmocka_unit_test_setup(any_octets, setup),
		cmocka_unit_test_setup(without_memory, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
