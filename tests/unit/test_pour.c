// SPDX-License-Identifier: MIT
/* The store is told to a xenstored that has nothing, and that may end over a node. */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/mend/pour.h"
#include "proxy/mirror/mirror.h"

#define NODES 40

struct bed {
	struct daemon daemon;
	struct mirror *mirror;
	struct pour *pour;
	int fd; /* xenstored's end; -1: it has ended */
	char said[NODES * 200];
	const char *ends_over, *refuses;
};

static void add(struct bed *bed, const char *path, const char *value, const struct tree_perm *perms,
		uint32_t nr)
{
	const struct tree_content content = { .perms = perms,
					      .nr_perms = nr,
					      .value = (const uint8_t *)value,
					      .value_len = (uint32_t)strlen(value) };
	const char *name = strrchr(path, '/') + 1;
	size_t above = name - 1 == path ? 1 : (size_t)(name - 1 - path);
	uint32_t node, parent = tree_look_up(bed->mirror->tree, path, above, NULL);

	mirror_begin(bed->mirror);
	mirror_end(bed->mirror,
		   tree_add(bed->mirror->tree, parent, name, strlen(name), &content, &node));
}

static int setup(void **state)
{
	static const struct tree_perm own[] = { { .letter = 'n', .domid = 7 },
						{ .letter = 'r', .domid = 8 } };
	static const struct tree_perm past[] = {
		{ .letter = 'n', .domid = 9, .flags = TREE_PERM_STALE },
		{ .letter = 'r', .domid = 9, .flags = TREE_PERM_STALE },
		{ .letter = 'w', .flags = TREE_PERM_ODD },
		{ .letter = 'b', .domid = 3 },
	};
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->fd = -1;
	bed->daemon.base = event_base_new();
	assert_int_equal(mirror_make(&bed->mirror, 77, RINGS_FLAVOUR_C, 64ULL << 20), 0);
	add(bed, "/a", "", own, 1);
	add(bed, "/a/x", "1", own, 2);
	add(bed, "/a/x/below", "2", own, 1);
	add(bed, "/b", "3", past, 4);
	assert_int_equal(pour_new(&bed->pour, &bed->daemon), 0);
	*state = bed;
	return 0;
}

static void end_xenstored(struct bed *bed)
{
	if (bed->fd >= 0)
		close(bed->fd);
	bed->fd = -1;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	end_xenstored(bed);
	pour_free(bed->pour);
	mirror_free(bed->mirror);
	event_base_free(bed->daemon.base);
	free(bed);
	return 0;
}

static bool is(const struct message *msg, const char *path)
{
	return path && msg->hdr.type == XS_WRITE && !strcmp((const char *)msg->payload, path);
}

/* "W path=value" or "P path perm perm" */
static void note(struct bed *bed, const struct message *msg)
{
	const char *path = (const char *)msg->payload, *p = path + strlen(path) + 1;
	const char *end = path + msg->hdr.len;
	char *to = bed->said + strlen(bed->said);

	to += sprintf(to, "%c %s", msg->hdr.type == XS_WRITE ? 'W' : 'P', path);
	if (msg->hdr.type == XS_WRITE)
		sprintf(to, "=%.*s\n", (int)(end - p), p);
	for (; msg->hdr.type != XS_WRITE && p < end; p += strlen(p) + 1)
		to += sprintf(to, " %s%s", p, p + strlen(p) + 1 == end ? "\n" : "");
}

/* Return: whether there was a request. */
static bool answer_one(struct bed *bed)
{
	struct message msg;

	if (bed->fd < 0 || recv(bed->fd, &msg.hdr, sizeof(msg.hdr), MSG_DONTWAIT) <= 0)
		return false;
	assert_int_equal(recv(bed->fd, msg.payload, msg.hdr.len, 0), msg.hdr.len);
	if (is(&msg, bed->ends_over)) {
		end_xenstored(bed);
		return false;
	}
	note(bed, &msg);
	message_set_text(&msg, "OK", 3);
	if (bed->refuses && strstr(bed->said, bed->refuses)) {
		bed->refuses = NULL;
		message_set_error(&msg, EINVAL);
	}
	assert_int_equal(send(bed->fd, &msg, message_size(&msg.hdr), 0), message_size(&msg.hdr));
	return true;
}

static void pour_all(struct bed *bed)
{
	int fds[2];

	*bed->said = '\0';
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	bed->fd = fds[1];
	assert_int_equal(pour_begin(bed->pour, bed->mirror, fds[0]), 0);
	while (pour_is_under_way(bed->pour) && !pour_is_done(bed->pour)) {
		answer_one(bed);
		event_base_loop(bed->daemon.base, EVLOOP_NONBLOCK);
	}
}

#define A     "W /a=\nP /a n7\n"
#define X     "W /a/x=1\nP /a/x n7 r8\n"
#define BELOW "W /a/x/below=2\nP /a/x/below n7\n"
/* What is of domains that are no more counts for nobody. */
#define B "W /b=3\nP /b n0 b3\n"

static void all_nodes(void **state)
{
	struct bed *bed = *state;

	pour_all(bed);
	assert_true(pour_is_done(bed->pour));
	assert_string_equal(bed->said, A X BELOW B);
}

static void one_is_refused(void **state)
{
	struct bed *bed = *state;

	bed->refuses = "W /a/x=";
	pour_all(bed);
	assert_true(pour_is_done(bed->pour));
	assert_string_equal(bed->said, A X BELOW B);
}

static void die(struct bed *bed)
{
	pour_all(bed);
	assert_false(pour_is_done(bed->pour));
	pour_end(bed->pour, true);
}

/* Which one it is is sure only if no other one is under way, and it is the same one again. */
static void one_ends_it(void **state)
{
	struct bed *bed = *state;

	bed->ends_over = "/a/x";
	die(bed);
	die(bed);
	die(bed);
	assert_string_equal(bed->said, A);
	pour_all(bed);
	assert_true(pour_is_done(bed->pour));
	assert_string_equal(bed->said, A B);
}

/* What has ended for another reason leaves nothing out. */
static void it_was_not_that(void **state)
{
	struct bed *bed = *state;

	bed->ends_over = "/b";
	die(bed);
	die(bed);
	bed->ends_over = "/a/x";
	die(bed);
	bed->ends_over = NULL;
	pour_all(bed);
	assert_string_equal(bed->said, A X BELOW B);
	pour_end(bed->pour, true);
	pour_all(bed);
	assert_string_equal(bed->said, A X BELOW B);
}

static void nothing_to_tell(void **state)
{
	struct bed *bed = *state;
	uint32_t node;

	mirror_begin(bed->mirror);
	while ((node = tree_first(bed->mirror->tree, TREE_ROOT)) != TREE_NONE)
		assert_int_equal(tree_remove(bed->mirror->tree, node), 0);
	mirror_end(bed->mirror, 0);
	pour_all(bed);
	assert_true(pour_is_done(bed->pour));
	assert_string_equal(bed->said, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(all_nodes),       TEST(one_is_refused),  TEST(one_ends_it),
		TEST(it_was_not_that), TEST(nothing_to_tell),
	};

	return cmocka_run_group_tests_name("pour", tests, NULL, NULL);
}
