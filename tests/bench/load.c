// SPDX-License-Identifier: MIT
/*
 * load - closed-loop guests for `make bench`: one process a guest, as guests are.
 *
 *	xsload DIR FIRST COUNT OP SECONDS DEPTH
 *
 * Guests FIRST ... FIRST + COUNT - 1 of the machine in DIR each keep DEPTH requests of kind OP
 *under way for SECONDS. Prints one line of JSON: requests, seconds, p50 and p99 in microseconds,
 *and the events that guests got a request. What OP needs in the store has been written by bench.py.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#include "protocol/clock.h"
#include "tests/bench/times.h"
#include "tests/sim/guest.h"

#define WAIT_MS	  20000
#define DEPTH_MAX 32

struct result {
	uint64_t wakeups;
	struct times times;
	int failed;
};

struct operation {
	const char *name;
	uint32_t type;
	const char *payload;
	uint32_t len;
};

#define OP(name, type, text)                       \
	{                                          \
		name, type, text, sizeof(text) - 1 \
	}

static const struct operation operations[] = {
	OP("read", XS_READ, "data/small\0"),	       OP("write", XS_WRITE, "data/written\0value"),
	OP("directory", XS_DIRECTORY, "data/many\0"),  OP("read4000", XS_READ, "data/large\0"),
	OP("transaction", XS_TRANSACTION_START, "\0"), OP("events", 0, ""),
	OP("paced", XS_READ, "data/small\0"),
};

/* Wait for the reply to anything; counts the wake-ups. */
static int reply(struct xsguest *g, struct xsguest_msg *msg)
{
	return xsguest_recv_reply(g, msg, WAIT_MS);
}

/* Start, read, write, end; EAGAIN at the end is an answer too. */
static int transaction(struct xsguest *g)
{
	struct xsguest_msg msg;
	uint32_t tx;

	if (xsguest_request(g, XS_TRANSACTION_START, 1, 0, "", 1, &msg, WAIT_MS) ||
	    msg.type == XS_ERROR)
		return -EIO;
	tx = (uint32_t)strtoul(msg.payload, NULL, 10);
	if (xsguest_request(g, XS_READ, 2, tx, "data/small", 11, &msg, WAIT_MS) ||
	    xsguest_request(g, XS_WRITE, 3, tx, "data/written\0v", 14, &msg, WAIT_MS) ||
	    xsguest_request(g, XS_TRANSACTION_END, 4, tx, "T", 2, &msg, WAIT_MS))
		return -EIO;
	return 0;
}

static int pipeline(struct xsguest *g, const struct operation *op, int depth, uint64_t end,
		    struct result *result)
{
	uint64_t sent[DEPTH_MAX];
	struct xsguest_msg msg;
	uint32_t head = 0, tail = 0;

	for (;;) {
		uint64_t now = clock_monotonic();

		while (now < end && head - tail < (uint32_t)depth) {
			sent[head % DEPTH_MAX] = now;
			if (xsguest_send_request(g, op->type, head, 0, op->payload, op->len,
						 WAIT_MS))
				return -EIO;
			head++;
		}
		if (head == tail)
			return 0;
		if (reply(g, &msg) || msg.type == XS_ERROR || msg.req_id != tail)
			return -EIO;
		times_add(&result->times, clock_monotonic() - sent[tail % DEPTH_MAX]);
		tail++;
	}
}

/* A guest that is mostly idle, as most are: a READ a millisecond. */
static int paced(struct xsguest *g, const struct operation *op, uint64_t end, struct result *result)
{
	struct xsguest_msg msg;
	uint64_t start;

	while ((start = clock_monotonic()) < end) {
		if (xsguest_request(g, op->type, 1, 0, op->payload, op->len, &msg, WAIT_MS) ||
		    msg.type == XS_ERROR)
			return -EIO;
		times_add(&result->times, clock_monotonic() - start);
		poll(NULL, 0, 1);
	}
	return 0;
}

/* Nothing but events, which ask for nothing. */
static int events(struct xsguest *g, uint64_t end, struct result *result)
{
	while (clock_monotonic() < end) {
		if (xsguest_notify(g))
			return -EIO;
		result->times.count++;
	}
	return 0;
}

static int guest(const char *dir, uint32_t domid, const struct operation *op, int depth,
		 uint64_t end, struct result *result)
{
	struct xsguest *g;
	int err = xsguest_open(dir, domid, &g);

	if (err)
		return err;
	if (!op->len) {
		err = events(g, end, result);
	} else if (!strcmp(op->name, "paced")) {
		err = paced(g, op, end, result);
	} else if (op->type != XS_TRANSACTION_START) {
		err = pipeline(g, op, depth, end, result);
	} else {
		for (uint64_t start; !err && (start = clock_monotonic()) < end;) {
			err = transaction(g);
			times_add(&result->times, clock_monotonic() - start);
		}
	}
	result->wakeups = xsguest_wakeups(g);
	xsguest_close(g);
	return err;
}

static void report(const struct result *results, int count, double seconds)
{
	struct result sum = { 0 };

	for (int i = 0; i < count; i++) {
		times_merge(&sum.times, &results[i].times);
		sum.wakeups += results[i].wakeups;
	}
	times_print(&sum.times, seconds);
	printf(", \"wakeups\": %llu}\n", (unsigned long long)sum.wakeups);
}

static const struct operation *find_operation(const char *name)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct operation *op = argc == 7 ? find_operation(argv[4]) : NULL;
	int first, count, depth, failed = 0;
	struct result *results;
	uint64_t start, end;
	double seconds;

	if (!op) {
		fprintf(stderr, "usage: xsload DIR FIRST COUNT OP SECONDS DEPTH\n");
		return 2;
	}
	first = atoi(argv[2]);
	count = atoi(argv[3]);
	seconds = atof(argv[5]);
	depth = atoi(argv[6]);
	if (count < 1 || depth < 1 || depth > DEPTH_MAX)
		return 2;
	results = mmap(NULL, sizeof(*results) * (size_t)count, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED)
		return 1;

	start = clock_monotonic();
	end = start + (uint64_t)(seconds * 1e9);
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (!pid) {
			results[i].failed =
				guest(argv[1], (uint32_t)(first + i), op, depth, end, &results[i]);
			_exit(results[i].failed ? 1 : 0);
		}
	}
	for (int i = 0; i < count; i++) {
		int status;

		wait(&status);
		failed |= status;
	}
	if (failed) {
		fprintf(stderr, "xsload: a guest failed\n");
		return 1;
	}
	report(results, count, (double)(clock_monotonic() - start) / 1e9);
	return 0;
}
