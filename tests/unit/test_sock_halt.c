// SPDX-License-Identifier: MIT
/* A socket that moves no octets in one direction, or in both, and moves them again. */
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/host/sock.h"

#define START (0u - 2000)

struct bed {
	struct event_base *base;
	struct sock sock;
	struct ledger_sock words;
	uint8_t in[SOCK_QUEUE], out[SOCK_QUEUE];
	int far;
	int moved;
};

static void moved(void *owner)
{
	((struct bed *)owner)->moved++;
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	int fds[2];

	bed->base = event_base_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	bed->words.in_prod = bed->words.in_cons = bed->words.out_prod = bed->words.out_cons = START;
	bed->far = fds[1];
	bed->sock.words = &bed->words;
	bed->sock.in = bed->in;
	bed->sock.out = bed->out;
	bed->sock.moved = moved;
	bed->sock.owner = bed;
	assert_int_equal(sock_open(&bed->sock, bed->base, fds[0]), 0);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	sock_close(&bed->sock);
	if (bed->far >= 0)
		close(bed->far);
	event_base_free(bed->base);
	free(bed);
	return 0;
}

/* What libevent has to say, until it has nothing more. */
static void live(struct bed *bed)
{
	int before;

	do {
		before = bed->moved;
		assert_true(event_base_loop(bed->base, EVLOOP_NONBLOCK) >= 0);
	} while (bed->moved != before);
}

static void far_says(struct bed *bed, uint32_t len)
{
	static const uint8_t octets[SOCK_QUEUE];

	assert_int_equal(send(bed->far, octets, len, MSG_NOSIGNAL), len);
	live(bed);
}

static uint32_t far_hears(struct bed *bed)
{
	static uint8_t octets[1 << 20];
	ssize_t n = recv(bed->far, octets, sizeof(octets), MSG_DONTWAIT);

	live(bed);
	return n > 0 ? (uint32_t)n : 0;
}

static uint32_t came(const struct bed *bed)
{
	return word_get(&bed->words.in_prod) - START;
}

/* As the end of a session's turn, in which it has produced @len octets. */
static void session_says(struct bed *bed, uint32_t len)
{
	struct endpoint end = sock_endpoint(&bed->sock);

	atomic_store(end.out.prod, atomic_load(end.out.prod) + len);
	end.kick(end.owner);
	live(bed);
}

static void nothing_is_read(void **state)
{
	struct bed *bed = *state;

	far_says(bed, 10);
	assert_int_equal(came(bed), 10);
	sock_halt(&bed->sock, SOCK_UNREAD);
	far_says(bed, 20);
	/* What is said to it goes, and does not make it listen. */
	session_says(bed, 7);
	assert_int_equal(far_hears(bed), 7);
	assert_int_equal(came(bed), 10);
	sock_halt(&bed->sock, SOCK_MOVES);
	live(bed);
	assert_int_equal(came(bed), 30);
}

static void nothing_moves(void **state)
{
	struct bed *bed = *state;

	sock_halt(&bed->sock, SOCK_HALTED);
	far_says(bed, 20);
	session_says(bed, 7);
	assert_int_equal(far_hears(bed), 0);
	assert_int_equal(came(bed), 0);
	assert_false(sock_flushed(&bed->sock));
	sock_halt(&bed->sock, SOCK_MOVES);
	live(bed);
	assert_int_equal(far_hears(bed), 7);
	assert_int_equal(came(bed), 20);
	assert_true(sock_flushed(&bed->sock));
}

/* What waits for room with the kernel waits on, though there is some. */
static void what_waits_to_be_written_waits(void **state)
{
	struct bed *bed = *state;
	uint32_t said = 0, heard = 0, cons, n;

	for (; sock_flushed(&bed->sock); said += 1000)
		session_says(bed, 1000);
	sock_halt(&bed->sock, SOCK_HALTED);
	cons = word_get(&bed->words.out_cons);
	while ((n = far_hears(bed)))
		heard += n;
	assert_int_equal(word_get(&bed->words.out_cons), cons);
	assert_int_equal(heard, cons - START);
	assert_true(heard < said);
	sock_halt(&bed->sock, SOCK_UNREAD);
	live(bed);
	while ((n = far_hears(bed)))
		heard += n;
	assert_int_equal(heard, said);
	assert_true(sock_flushed(&bed->sock));
}

static void its_end_waits_too(void **state)
{
	struct bed *bed = *state;

	sock_halt(&bed->sock, SOCK_HALTED);
	far_says(bed, 5);
	close(bed->far);
	bed->far = -1;
	live(bed);
	assert_int_equal(bed->moved, 0);
	assert_false(bed->sock.eof);
	sock_halt(&bed->sock, SOCK_MOVES);
	live(bed);
	assert_int_equal(came(bed), 5);
	assert_true(bed->sock.eof);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(nothing_is_read),
		TEST(nothing_moves),
		TEST(what_waits_to_be_written_waits),
		TEST(its_end_waits_too),
	};

	return cmocka_run_group_tests_name("sock, halted", tests, NULL, NULL);
}
