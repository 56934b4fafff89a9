/* SPDX-License-Identifier: MIT */
/*
 * The control socket: any octets, in pieces, then the end. Each line gets one reply, each reply is
 * a line with a JSON object, `id` is given back, and guests notice nothing but what was asked for.
 * proxy/control.c is compiled in here, so that a connection needs no listener.
 */
#include <fcntl.h>
#include <jansson.h>

#include "tests/fuzz/world.h"

#include "proxy/control.c"

#include "proxy/client.h"

#define ROUNDS	  4
#define PIECES	  16
#define REPLY_MAX (1 << 20)

uint32_t __wrap_clients_count(const struct clients *clients);

uint32_t __wrap_clients_count(const struct clients *clients)
{
	(void)clients;
	return 0;
}

static struct controls controls;
static char *replies;
static size_t replies_len;

static void read_replies(int fd)
{
	ssize_t n;

	while (replies_len < REPLY_MAX &&
	       (n = read(fd, replies + replies_len, REPLY_MAX - replies_len)) > 0)
		replies_len += (size_t)n;
}

/* Return: how many there are. */
static uint32_t judge_replies(void)
{
	uint32_t n = 0;
	size_t at = 0;

	while (at < replies_len) {
		const char *nl = memchr(replies + at, '\n', replies_len - at);
		json_t *reply, *error;
		size_t len;

		CHECK(nl);
		len = (size_t)(nl - (replies + at));
		reply = json_loadb(replies + at, len, JSON_REJECT_DUPLICATES, NULL);
		CHECK(json_is_object(reply));
		error = json_object_get(reply, "error");
		CHECK(!error == !!json_object_get(reply, "return"));
		if (error)
			CHECK(json_is_string(json_object_get(error, "class")) &&
			      json_is_string(json_object_get(error, "desc")));
		json_decref(reply);
		at += len + 1;
		n++;
	}
	return n;
}

static void run(int fd)
{
	for (int i = 0; i < ROUNDS; i++) {
		event_base_loop(world.daemon.base, EVLOOP_NONBLOCK);
		party_turn(&world.hostile);
		party_turn(&world.innocent);
		read_replies(fd);
	}
}

static uint32_t count_lines(const uint8_t *data, size_t size)
{
	uint32_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += data[i] == '\n';
	return n;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	world_init();
	/* The wait for a bridge, which there is not. */
	world.daemon.upstream = upstream_free(world.daemon.upstream);
	controls.daemon = &world.daemon;
	TAILQ_INIT(&controls.open);
	replies = malloc(REPLY_MAX);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tape tape = { data, data + size };
	size_t piece = 1u + tape_u8(&tape) * 64u + tape_left(&tape) / PIECES;
	const uint8_t *octets = tape.at, *part;
	int pair[2];
	size_t n;

	world_open(7);
	replies_len = 0;
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
	control_new(&controls, pair[0]);
	CHECK(controls.count == 1);
	while ((n = tape_take(&tape, piece, &part))) {
		if (write(pair[1], part, n) != (ssize_t)n)
			break; /* it has hung up on us, or wants its replies to be read */
		run(pair[1]);
	}
	shutdown(pair[1], SHUT_WR);
	run(pair[1]);
	CHECK(judge_replies() <= count_lines(octets, (size_t)(tape.end - octets)) + 1);
	close(pair[1]);
	run(pair[1]);
	while (controls.count)
		control_free(TAILQ_FIRST(&controls.open));

	/* Whatever was stopped goes on. */
	log_set_level(-1);
	session_resume(world.innocent.s);
	innocent_exchange(3);
	world_close();
	return 0;
}
