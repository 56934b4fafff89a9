// SPDX-License-Identifier: MIT
/*
 * library - a toolstack client on the C library (libxenstore) that checks every answer while
 * xsproxyd is killed under it (checker.h).
 *
 *	xsstress-library HOME SEED LARGE WIDE
 *
 * The library never connects anew, so one lost octet ends it. It uses a thread that reads, as
 * xenconsoled's and QEMU's does. LARGE: the octets of the largest value that the daemon takes;
 *WIDE: how many children HOME/wide has, with names that are the numbers from 1 on, and many zeroes.
 * Started by tests/e2e/toolstack_load.py.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <xenstore.h>

#include "tests/kill/checker.h"

struct library {
	struct checker checker; /* first: rounds get it */
	struct xs_handle *xs;
	uint32_t large, wide;
	xs_transaction_t held; /* open for many rounds, or XBT_NULL */
	uint32_t held_rounds;  /* yet to come */
	char held_path[PATH_LEN];
	bool crashes; /* XSSTRESS_CRASHES: xenstored crashes, too */
};

static struct library *of(struct checker *c)
{
	return (struct library *)c;
}

static void must_write(struct library *l, xs_transaction_t tx, const char *path, const char *value)
{
	if (!xs_write(l->xs, tx, path, value, (unsigned int)strlen(value)))
		fail(&l->checker, "WRITE %s: %s", path, strerror(errno));
}

static void must_have(struct library *l, const char *path, const char *value)
{
	unsigned int len = 0;
	char *got = xs_read(l->xs, XBT_NULL, path, &len);

	if (!got || len != strlen(value) || memcmp(got, value, len))
		fail(&l->checker, "%s holds %u octets, %.40s, not %.40s: %s", path, len,
		     got ? got : "", value, strerror(errno));
	free(got);
}

static void must_not_be(struct library *l, const char *path)
{
	unsigned int len;
	char *got = xs_read(l->xs, XBT_NULL, path, &len);

	if (got || errno != ENOENT)
		fail(&l->checker, "%s is there", path);
}

static void count(struct checker *c)
{
	struct library *l = of(c);
	char path[PATH_LEN], value[16];

	snprintf(value, sizeof(value), "%u", ++c->counter);
	must_write(l, XBT_NULL, below(c, path, "counter"), value);
	must_have(l, path, value);
}

static void large(struct checker *c)
{
	struct library *l = of(c);
	char path[PATH_LEN], value[4096];

	letters(c, value, l->large / 2 + pick(c, l->large / 2));
	must_write(l, XBT_NULL, below(c, path, "large"), value);
	must_have(l, path, value);
}

/* If it is more than a message holds, by one DIRECTORY_PART after the other. */
static void list(struct checker *c)
{
	struct library *l = of(c);
	unsigned int nr = 0;
	char path[PATH_LEN], **got = xs_directory(l->xs, XBT_NULL, below(c, path, "wide"), &nr);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < nr; i++)
		sum += strtoul(got[i], NULL, 10);
	if (!got || nr != l->wide || sum != l->wide * (l->wide + 1) / 2)
		fail(c, "%u children, sum %llu: %s", nr, (unsigned long long)sum, strerror(errno));
	free(got);
}

static void create_and_remove(struct checker *c)
{
	struct library *l = of(c);
	char path[PATH_LEN];

	below_unique(c, path, "new");
	if (!xs_mkdir(l->xs, XBT_NULL, path) || !xs_rm(l->xs, XBT_NULL, path))
		fail(c, "MKDIR and RM of %s: %s", path, strerror(errno));
	must_not_be(l, path);
}

/* All that have come, after a crash of xenstored: each watch has had its first event once more. */
static void drop_events(struct library *l)
{
	char **got;

	while ((got = xs_check_watch(l->xs)))
		free(got);
	if (errno != EAGAIN)
		fail(&l->checker, "the connection has ended: %s", strerror(errno));
}

static void expect_event(struct library *l, const char *path, const char *token)
{
	struct pollfd look = { .fd = xs_fileno(l->xs), .events = POLLIN };
	unsigned int nr;
	char **got = NULL;
	int ready;

	while ((ready = poll(&look, 1, WAIT_MS)) < 0 && errno == EINTR)
		;
	if (ready > 0)
		got = xs_read_watch(l->xs, &nr);
	if (!got)
		fail(&l->checker, "an event is lost: %s %s", path, token);
	if (strcmp(got[XS_WATCH_PATH], path) || strcmp(got[XS_WATCH_TOKEN], token))
		fail(&l->checker, "an event of %s %s: %s %s", path, token, got[XS_WATCH_PATH],
		     got[XS_WATCH_TOKEN]);
	free(got);
}

static void no_events(struct library *l)
{
	char **got;

	if (l->crashes) {
		drop_events(l);
		return;
	}
	got = xs_check_watch(l->xs);
	if (got)
		fail(&l->checker, "an event too many: %s %s", got[XS_WATCH_PATH],
		     got[XS_WATCH_TOKEN]);
	if (errno != EAGAIN)
		fail(&l->checker, "the connection has ended: %s", strerror(errno));
}

/* Its first event and one a write; none more. */
static void watch(struct checker *c)
{
	struct library *l = of(c);
	char path[PATH_LEN], token[16];

	snprintf(token, sizeof(token), "t%u", c->unique);
	below_unique(c, path, "w");
	if (!xs_watch(l->xs, path, token))
		fail(c, "WATCH %s: %s", path, strerror(errno));
	expect_event(l, path, token);
	for (int i = 0; i < 2; i++) {
		if (l->crashes)
			drop_events(l);
		must_write(l, XBT_NULL, path, "x");
		expect_event(l, path, token);
	}
	if (!xs_unwatch(l->xs, path, token) || !xs_rm(l->xs, XBT_NULL, path))
		fail(c, "UNWATCH and RM of %s: %s", path, strerror(errno));
	no_events(l);
}

/* Return: whether it was committed. */
static bool end(struct library *l, xs_transaction_t tx, bool abort)
{
	if (xs_transaction_end(l->xs, tx, abort))
		return !abort;
	if (errno != EAGAIN)
		fail(&l->checker, "the end of transaction %u: %s", tx, strerror(errno));
	return false;
}

static xs_transaction_t start(struct library *l)
{
	xs_transaction_t tx = xs_transaction_start(l->xs);

	if (tx == XBT_NULL)
		fail(&l->checker, "TRANSACTION_START: %s", strerror(errno));
	return tx;
}

static void transaction(struct checker *c)
{
	struct library *l = of(c);
	xs_transaction_t tx = start(l);
	char path[PATH_LEN];

	below_unique(c, path, "tx");
	must_write(l, tx, path, "1");
	must_not_be(l, path);
	if (end(l, tx, !pick(c, 4))) {
		must_have(l, path, "1");
		if (!xs_rm(l->xs, XBT_NULL, path))
			fail(c, "RM %s: %s", path, strerror(errno));
	}
	must_not_be(l, path);
	if (xs_transaction_end(l->xs, tx, true))
		fail(c, "transaction %u is still open", tx);
}

/* One that stays open while others come and go. */
static void held_transaction(struct checker *c)
{
	struct library *l = of(c);

	if (l->held == XBT_NULL) {
		l->held = start(l);
		l->held_rounds = 3 + pick(c, 10);
		must_write(l, l->held, below_unique(c, l->held_path, "held"), "1");
	} else if (l->held_rounds--) {
		must_write(l, l->held, l->held_path, "1");
	} else {
		if (end(l, l->held, false) && !xs_rm(l->xs, XBT_NULL, l->held_path))
			fail(c, "transaction %u is lost: %s", l->held, strerror(errno));
		must_not_be(l, l->held_path);
		l->held = XBT_NULL;
	}
}

static void (*const rounds[])(struct checker *c) = {
	count, large, list, create_and_remove, watch, transaction, held_transaction
};

int main(int argc, char **argv)
{
	struct library l = { .held = XBT_NULL, .crashes = getenv("XSSTRESS_CRASHES") != NULL };

	if (argc != 5) {
		fprintf(stderr, "usage: xsstress-library HOME SEED LARGE WIDE\n");
		return 2;
	}
	l.checker.home = argv[1];
	l.checker.seed = (unsigned int)atoi(argv[2]);
	l.large = (uint32_t)atoi(argv[3]);
	l.wide = (uint32_t)atoi(argv[4]);
	l.xs = xs_open(0);
	if (!l.xs)
		fail(&l.checker, "cannot connect: %s", strerror(errno));
	run_rounds(&l.checker, rounds, sizeof(rounds) / sizeof(rounds[0]));
	if (l.held != XBT_NULL)
		end(&l, l.held, true);
	no_events(&l);
	xs_close(l.xs);
	return 0;
}
