// SPDX-License-Identifier: MIT
/*
 * stress - a guest that checks every answer while xsproxyd is killed under it.
 *
 *	xsstress DIR DOMID SEED [COUNT PAUSE]
 *
 * Runs until SIGTERM, then finishes its round. With COUNT there are so many guests from DOMID on, a
 * process each, and a pause of up to PAUSE ms after each round. Each kind of round fails if a
 *request is lost, done twice, answered twice or out of order, or if an event is lost, doubled or
 *torn: requests that cannot be done twice with the same answer (WATCH, UNWATCH, RM of what exists,
 *TRANSACTION_END), contents read back octet by octet, events counted by unique tokens. Prints
 *"ready" after its first round, at the end the rounds of each kind, and ends with 0; or says what
 *went wrong and ends with 1.
 *
 * Started by tests/e2e/test_kill.py and tests/soak/soak.py.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#include "tests/sim/guest.h"

#define WAIT_MS	 30000
#define PIPELINE 8

struct guest {
	struct xsguest *xs;
	uint32_t domid;
	unsigned int seed;
	uint32_t req_id;
	uint32_t counter; /* what data/counter holds */
	uint32_t token;	  /* unique */
	bool crashes;	  /* XSSTRESS_CRASHES: xenstored crashes, too */
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void __attribute__((format(printf, 2, 3), noreturn))
fail(const struct guest *g, const char *fmt, ...)
{
	va_list args;

	printf("domain %u: ", g->domid);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	exit(1);
}

static uint32_t pick(struct guest *g, uint32_t n)
{
	return (uint32_t)rand_r(&g->seed) % n;
}

/* A request whose reply must carry its own ids; leaves the reply in @msg. */
static void ask(struct guest *g, uint32_t type, uint32_t tx, const void *payload, uint32_t len,
		struct xsguest_msg *msg)
{
	uint32_t id = g->req_id++;
	int err = xsguest_request(g->xs, type, id, tx, payload, len, msg, WAIT_MS);

	if (err)
		fail(g, "type %u: no reply: %s", type, strerror(-err));
	if (msg->req_id != id)
		fail(g, "type %u: reply %u to request %u", type, msg->req_id, id);
}

static void ask_ok(struct guest *g, uint32_t type, uint32_t tx, const void *payload, uint32_t len,
		   struct xsguest_msg *msg)
{
	ask(g, type, tx, payload, len, msg);
	if (msg->type != type)
		fail(g, "type %u: answered %u %s", type, msg->type, msg->payload);
}

static uint32_t make_write(char *to, const char *path, const char *value)
{
	uint32_t n = (uint32_t)strlen(path) + 1;

	memcpy(to, path, n);
	memcpy(to + n, value, strlen(value));
	return n + (uint32_t)strlen(value);
}

/*
 * When xenstored has crashed each watch has its first event once more, in place of what may be
 * lost: so all that have come are thrown away, but each must be one of ours.
 */
static void drop_events(struct guest *g)
{
	struct xsguest_msg msg;

	while (!xsguest_recv_event(g->xs, &msg, 0))
		if (strncmp(msg.payload, "data/w", 6) ||
		    strcmp(msg.payload + 6, msg.payload + strlen(msg.payload) + 2))
			fail(g, "an event that nobody asked for: %s", msg.payload);
}

/* No event may be left over, and none may have come that nobody asked for. */
static void no_events(struct guest *g)
{
	struct xsguest_msg msg;

	if (g->crashes) {
		drop_events(g);
		return;
	}
	if (!xsguest_recv_event(g->xs, &msg, 0))
		fail(g, "an event too many: %s %s", msg.payload,
		     msg.payload + strlen(msg.payload) + 1);
}

static void count(struct guest *g)
{
	char payload[64], value[16];
	struct xsguest_msg msg;

	snprintf(value, sizeof(value), "%u", ++g->counter);
	ask_ok(g, XS_WRITE, 0, payload, make_write(payload, "data/counter", value), &msg);
	ask_ok(g, XS_READ, 0, "data/counter", 13, &msg);
	if (strcmp(msg.payload, value))
		fail(g, "counter is %s, not %s", msg.payload, value);
}

/* Longer than the ring, in both directions. */
static void large(struct guest *g)
{
	char payload[4096], value[2000];
	uint32_t len = 900 + pick(g, 1050);
	struct xsguest_msg msg;

	for (uint32_t i = 0; i < len; i++)
		value[i] = (char)('a' + pick(g, 26));
	value[len] = 0;
	ask_ok(g, XS_WRITE, 0, payload, make_write(payload, "data/large", value), &msg);
	ask_ok(g, XS_READ, 0, "data/large", 11, &msg);
	if (msg.len != len || memcmp(msg.payload, value, len))
		fail(g, "%u octets came back torn", len);
}

/* RM of what exists cannot be done twice with the same answer. */
static void create_and_remove(struct guest *g)
{
	struct xsguest_msg msg;
	char path[32];
	uint32_t len = (uint32_t)snprintf(path, sizeof(path), "data/new%u", g->token++) + 1;

	ask_ok(g, XS_MKDIR, 0, path, len, &msg);
	ask_ok(g, XS_RM, 0, path, len, &msg);
	ask(g, XS_READ, 0, path, len, &msg);
	if (msg.type != XS_ERROR || strcmp(msg.payload, "ENOENT"))
		fail(g, "a removed node still answers");
}

static void expect_event(struct guest *g, const char *payload, uint32_t len)
{
	struct xsguest_msg msg;

	do
		if (xsguest_recv_event(g->xs, &msg, WAIT_MS))
			fail(g, "an event is lost: %s", payload);
	while (g->crashes && memcmp(msg.payload, payload, len));
	if (msg.len != len || memcmp(msg.payload, payload, len))
		fail(g, "an event of %s: %s %s", payload, msg.payload,
		     msg.payload + strlen(msg.payload) + 1);
}

/*
 * Two events with this token: the watch's first and the write's. No more, no less. The first one is
 * awaited, for the C daemon drops an event that equals one which it has not delivered yet.
 */
static void watch(struct guest *g)
{
	char payload[64], path[32], token[16], write[64];
	struct xsguest_msg msg;
	uint32_t len;

	snprintf(path, sizeof(path), "data/w%u", g->token);
	snprintf(token, sizeof(token), "t%u", g->token++);
	len = make_write(payload, path, token) + 1;
	payload[len - 1] = 0;
	ask_ok(g, XS_WATCH, 0, payload, len, &msg);
	expect_event(g, payload, len);
	if (g->crashes)
		drop_events(g);
	ask_ok(g, XS_WRITE, 0, write, make_write(write, path, "x"), &msg);
	expect_event(g, payload, len);
	ask_ok(g, XS_UNWATCH, 0, payload, len, &msg);
	ask_ok(g, XS_RM, 0, path, (uint32_t)strlen(path) + 1, &msg);
	no_events(g);
}

static void transaction(struct guest *g)
{
	char payload[64], value[16];
	struct xsguest_msg msg;
	uint32_t tx;

	snprintf(value, sizeof(value), "%u", g->counter + 1);
	ask_ok(g, XS_TRANSACTION_START, 0, "", 1, &msg);
	tx = (uint32_t)strtoul(msg.payload, NULL, 10);
	ask_ok(g, XS_WRITE, tx, payload, make_write(payload, "data/counter", value), &msg);
	ask(g, XS_TRANSACTION_END, tx, pick(g, 4) ? "T" : "F", 2, &msg);
	if (msg.type == XS_ERROR && strcmp(msg.payload, "EAGAIN"))
		fail(g, "the end of transaction %u: %s", tx, msg.payload);
	ask(g, XS_READ, tx, "data/counter", 13, &msg);
	if (msg.type != XS_ERROR)
		fail(g, "transaction %u is still open", tx);
	ask_ok(g, XS_READ, 0, "data/counter", 13, &msg);
	g->counter = (uint32_t)strtoul(msg.payload, NULL, 10);
}

static void pipelined(struct guest *g)
{
	struct xsguest_msg msg;
	uint32_t first = g->req_id;
	char value[16];

	snprintf(value, sizeof(value), "%u", g->counter);
	for (uint32_t i = 0; i < PIPELINE; i++)
		if (xsguest_send_request(g->xs, XS_READ, g->req_id++, 0, "data/counter", 13,
					 WAIT_MS))
			fail(g, "cannot send");
	for (uint32_t i = 0; i < PIPELINE; i++) {
		if (xsguest_recv_reply(g->xs, &msg, WAIT_MS))
			fail(g, "reply %u of %u is lost", i, PIPELINE);
		if (msg.req_id != first + i || strcmp(msg.payload, value))
			fail(g, "reply %u has id %u and says %s", i, msg.req_id, msg.payload);
	}
}

static void (*const rounds[])(struct guest *g) = { count, large,       create_and_remove,
						   watch, transaction, pipelined };

#define ROUNDS (sizeof(rounds) / sizeof(rounds[0]))

static void run(const char *dir, uint32_t domid, unsigned int seed, uint32_t pause_ms)
{
	struct guest g = { .req_id = 1,
			   .domid = domid,
			   .seed = seed,
			   .crashes = getenv("XSSTRESS_CRASHES") != NULL };
	uint64_t done[ROUNDS] = { 0 };
	int err = xsguest_open(dir, domid, &g.xs);

	if (err)
		fail(&g, "cannot open it: %s", strerror(-err));
	count(&g);
	printf("ready\n");
	fflush(stdout);
	do {
		uint32_t kind = pick(&g, ROUNDS);

		rounds[kind](&g);
		done[kind]++;
		if (pause_ms && !stop)
			usleep(pick(&g, pause_ms * 1000));
	} while (!stop);
	no_events(&g);
	xsguest_close(g.xs);
	for (size_t i = 0; i < ROUNDS; i++)
		printf("%llu ", (unsigned long long)done[i]);
	printf("\n");
	fflush(stdout);
}

/* Children end with the signal that this process gets, or with this process. */
static int run_many(const char *dir, uint32_t first, unsigned int seed, uint32_t nr,
		    uint32_t pause_ms)
{
	int status, failed = 0;
	sigset_t term, before;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	for (uint32_t i = 0; i < nr; i++) {
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			sigprocmask(SIG_SETMASK, &before, NULL);
			run(dir, first + i, seed + i, pause_ms);
			_exit(0);
		}
	}
	sigwaitinfo(&term, NULL);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(&status) > 0)
		failed |= status;
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct sigaction term = { .sa_handler = on_term };
	uint32_t domid;
	unsigned int seed;

	if (argc != 4 && argc != 6) {
		fprintf(stderr, "usage: xsstress DIR DOMID SEED [COUNT PAUSE]\n");
		return 2;
	}
	domid = (uint32_t)atoi(argv[2]);
	seed = (unsigned int)atoi(argv[3]);
	sigaction(SIGTERM, &term, NULL);
	if (argc == 6)
		return run_many(argv[1], domid, seed, (uint32_t)atoi(argv[4]),
				(uint32_t)atoi(argv[5]));
	run(argv[1], domid, seed, 0);
	return 0;
}
