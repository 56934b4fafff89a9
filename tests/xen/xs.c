// SPDX-License-Identifier: MIT
/*
 * xs - speaks Xenstore's protocol for the tests on real Xen. In dom0, over the daemon's socket:
 *
 *   xs introduce DOMID GFN PORT
 *   xs release DOMID
 *   xs rounds DOMID COUNT   COUNT times: quiesces the guest, sees that it writes nothing (it runs
 *                       `hammer data/a` and `hammer data/b`), writes data/echo/<round>, unquiesces
 *                       it and sees it go on
 *
 * In a guest, over its kernel's xenbus, until the file /tmp/stop is there:
 *
 *   xs put NODE VALUE   writes it and reads it back, once
 *   xs watch PATH       prints each event's path
 *   xs hammer NODE      writes NODE and reads it back, plainly and in transactions
 *   xs hold NODE N      opens N transactions, writes NODE/0 to NODE/N-1 in them, then commits them
 *                       and prints the answers
 *
 * and until it is killed:
 *
 *   xs load             see load.c
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/xen/load.h"
#include "tests/xen/wire.h"

#define STOP	 "/tmp/stop"
#define HOLD_MAX 8

static bool stopped(void)
{
	return access(STOP, F_OK) == 0;
}

static void expect(int fd, struct message *msg, char *node, const char *value)
{
	if (reads(fd, msg, 0, node, value))
		return;
	printf("%s is '%s', not '%s'\n", node, msg->payload, value);
	exit(1);
}

static int put_once(char *node, char *value)
{
	struct message msg;
	int fd = open_xenbus();

	put(fd, &msg, 0, node, value);
	expect(fd, &msg, node, value);
	return 0;
}

static int print_events(char *path)
{
	struct message msg;
	int fd = open_xenbus();
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	watch(fd, &msg, path);
	while (!stopped()) {
		if (poll(&ready, 1, 100) <= 0)
			continue;
		receive(fd, &msg);
		printf("%s\n", msg.payload);
		fflush(stdout);
	}
	return 0;
}

static int hammer(char *node)
{
	unsigned int plain = 0, committed = 0, again = 0;
	struct message msg;
	char value[16];
	int fd = open_xenbus();

	while (!stopped()) {
		uint32_t tx_id;
		bool there;

		snprintf(value, sizeof(value), "%u", ++plain);
		put(fd, &msg, 0, node, value);
		expect(fd, &msg, node, value);

		tx_id = start(fd, &msg);
		snprintf(value, sizeof(value), "t%u", plain);
		put(fd, &msg, tx_id, node, value);
		/* A transaction that was migrated has lost what was written, and must fail. */
		there = reads(fd, &msg, tx_id, node, value);
		if (commit(fd, &msg, tx_id)) {
			must(there, "committed, but what was written in the transaction is lost",
			     &msg);
			expect(fd, &msg, node, value);
			committed++;
		} else {
			must(!strcmp(msg.payload, "EAGAIN"), "TRANSACTION_END", &msg);
			again++;
		}
		poll(NULL, 0, 20); /* leaves dom0 some of the emulated machine */
	}
	printf("%u plain, %u committed, %u again\n", plain, committed, again);
	return 0;
}

static int hold(const char *node, int count)
{
	uint32_t tx_id[HOLD_MAX];
	char path[HOLD_MAX][128];
	struct message msg;
	int fd = open_xenbus();

	if (count > HOLD_MAX)
		count = HOLD_MAX;
	for (int i = 0; i < count; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/%d", node, i);
		put(fd, &msg, 0, path[i], "before");
	}
	for (int i = 0; i < count; i++) {
		tx_id[i] = start(fd, &msg);
		put(fd, &msg, tx_id[i], path[i], "after");
	}
	puts("open");
	fflush(stdout);
	while (!stopped())
		poll(NULL, 0, 100);
	for (int i = 0; i < count; i++) {
		bool committed;

		expect(fd, &msg, path[i], "before");
		committed = commit(fd, &msg, tx_id[i]);
		puts(msg.payload);
		expect(fd, &msg, path[i], committed ? "after" : "before");
	}
	return 0;
}

static int introduction(enum type type, int count, char **words)
{
	struct message msg;

	must(ask(open_socket(), &msg, type, 0, count, words), words[-1], &msg);
	return 0;
}

/* What the guest's two writers have last written. */
static void get_written(int fd, struct message *msg, const char *domid, char value[2][16])
{
	for (int i = 0; i < 2; i++) {
		char path[64], *word = path;

		snprintf(path, sizeof(path), "/local/domain/%s/data/%c", domid, "ab"[i]);
		must(ask(fd, msg, XS_READ, 0, 1, &word), path, msg);
		snprintf(value[i], sizeof(value[i]), "%.15s", msg->payload);
	}
}

static int rounds(char *domid, int count)
{
	char still[2][16], now[2][16];
	struct message msg;
	int fd = open_socket();

	for (int i = 0; i < count; i++) {
		char path[64];

		must(ask(fd, &msg, XS_QUIESCE, 0, 1, &domid), "QUIESCE", &msg);
		get_written(fd, &msg, domid, still);
		snprintf(path, sizeof(path), "/local/domain/%s/data/echo/%d", domid, i);
		put(fd, &msg, 0, path, "x");
		poll(NULL, 0, 50); /* time enough for what must not happen */
		get_written(fd, &msg, domid, now);
		if (strcmp(still[0], now[0]) || strcmp(still[1], now[1])) {
			printf("round %d: the guest has written while quiesced\n", i);
			return 1;
		}
		must(ask(fd, &msg, XS_UNQUIESCE, 0, 1, &domid), "UNQUIESCE", &msg);
		do {
			poll(NULL, 0, 10);
			get_written(fd, &msg, domid, now);
		} while (!strcmp(still[0], now[0]) || !strcmp(still[1], now[1]));
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (argc == 5 && !strcmp(command, "introduce"))
		return introduction(XS_INTRODUCE, 3, argv + 2);
	if (argc == 3 && !strcmp(command, "release"))
		return introduction(XS_RELEASE, 1, argv + 2);
	if (argc == 4 && !strcmp(command, "rounds"))
		return rounds(argv[2], atoi(argv[3]));
	if (argc == 4 && !strcmp(command, "put"))
		return put_once(argv[2], argv[3]);
	if (argc == 3 && !strcmp(command, "watch"))
		return print_events(argv[2]);
	if (argc == 3 && !strcmp(command, "hammer"))
		return hammer(argv[2]);
	if (argc == 4 && !strcmp(command, "hold"))
		return hold(argv[2], atoi(argv[3]));
	if (argc == 2 && !strcmp(command, "load"))
		return load();
	fputs("Usage: xs introduce DOMID GFN PORT | release DOMID | rounds DOMID COUNT |"
	      " put NODE VALUE | watch PATH | hammer NODE | hold NODE N |"
	      " load\n",
	      stderr);
	return 2;
}
