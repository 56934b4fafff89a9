// SPDX-License-Identifier: MIT
/*
 * sockets - a toolstack client on sockets of its own that checks every answer, octet by octet,
 *while xsproxyd is killed under it (checker.h).
 *
 *	xsstress-sockets SOCKET HOME SEED LARGE WIDE
 *
 * What libxenstore never does: many requests under way, requests that come in pieces, replies that
 * are left unread; and two connections, so that one sees what the other did. LARGE: the octets of
 * the largest value that the daemon takes; WIDE: how many children HOME/wide has, with names that
 * are the numbers from 1 on, and many zeroes. Started by tests/e2e/toolstack_load.py.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#include "tests/kill/checker.h"

#define PIPELINE    32
#define PAYLOAD_MAX 65536 /* oxenstored answers DIRECTORY with more than a message */

struct conn {
	int fd;
	uint32_t req_id;
};

struct message {
	struct xsd_sockmsg hdr;
	char payload[PAYLOAD_MAX + 1];
};

struct sockets {
	struct checker checker; /* first: rounds get it */
	const char *path;
	uint32_t large, wide;
	struct conn asker, watcher; /* the watcher has a watch on HOME/feed, and asks nothing */
	uint32_t fed;
	bool crashes; /* XSSTRESS_CRASHES: xenstored crashes, too */
	struct message got;
};

static struct sockets *of(struct checker *c)
{
	return (struct sockets *)c;
}

static void wait_for(struct sockets *s, int fd, short events, const char *what)
{
	struct pollfd look = { .fd = fd, .events = events };
	int ready;

	while ((ready = poll(&look, 1, WAIT_MS)) < 0 && errno == EINTR)
		;
	if (ready <= 0)
		fail(&s->checker, "nothing comes: %s", what);
}

static int connect_to(struct sockets *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", s->path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail(&s->checker, "cannot connect to %s: %s", s->path, strerror(errno));
	return fd;
}

static void put(struct sockets *s, struct conn *conn, const void *octets, size_t len)
{
	ssize_t n;

	for (; len; len -= (size_t)n, octets = (const char *)octets + n) {
		n = send(conn->fd, octets, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			fail(&s->checker, "cannot send: %s", strerror(errno));
	}
}

static void get(struct sockets *s, struct conn *conn, void *octets, size_t len, const char *what)
{
	ssize_t n;

	for (; len; len -= (size_t)n, octets = (char *)octets + n) {
		wait_for(s, conn->fd, POLLIN, what);
		n = recv(conn->fd, octets, len, 0);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			fail(&s->checker, "the connection has ended: %s: %s", what,
			     n ? strerror(errno) : "EOF");
	}
}

static void get_message(struct sockets *s, struct conn *conn, const char *what)
{
	struct message *m = &s->got;

	get(s, conn, &m->hdr, sizeof(m->hdr), what);
	if (m->hdr.len > PAYLOAD_MAX)
		fail(&s->checker, "%s: a message of type %u with %u octets", what, m->hdr.type,
		     m->hdr.len);
	get(s, conn, m->payload, m->hdr.len, what);
	m->payload[m->hdr.len] = 0;
}

/* Return: where the message ends. */
static char *pack(char *to, uint32_t type, uint32_t id, uint32_t tx, const char *payload,
		  uint32_t len)
{
	struct xsd_sockmsg hdr = { .type = type, .req_id = id, .tx_id = tx, .len = len };

	memcpy(to, &hdr, sizeof(hdr));
	memcpy(to + sizeof(hdr), payload, len);
	return to + sizeof(hdr) + len;
}

static void ask(struct sockets *s, uint32_t type, uint32_t tx, const char *payload, uint32_t len)
{
	char octets[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
	struct conn *conn = &s->asker;
	uint32_t id = conn->req_id++;

	put(s, conn, octets, (size_t)(pack(octets, type, id, tx, payload, len) - octets));
	get_message(s, conn, payload);
	if (s->got.hdr.req_id != id || s->got.hdr.tx_id != tx)
		fail(&s->checker, "type %u, request %u of %u: answered as %u of %u, type %u", type,
		     id, tx, s->got.hdr.req_id, s->got.hdr.tx_id, s->got.hdr.type);
}

static void ask_ok(struct sockets *s, uint32_t type, uint32_t tx, const char *payload, uint32_t len)
{
	ask(s, type, tx, payload, len);
	if (s->got.hdr.type != type)
		fail(&s->checker, "type %u %s: answered %u %.40s", type, payload, s->got.hdr.type,
		     s->got.payload);
}

/* @payload: PATH_LEN and the value. Return: its length. */
static uint32_t make_write(char *payload, const char *path, const char *value)
{
	uint32_t n = (uint32_t)strlen(path) + 1;

	memcpy(payload, path, n);
	memcpy(payload + n, value, strlen(value));
	return n + (uint32_t)strlen(value);
}

static void write_node(struct sockets *s, uint32_t tx, const char *path, const char *value)
{
	char payload[XENSTORE_PAYLOAD_MAX + PATH_LEN];

	ask_ok(s, XS_WRITE, tx, payload, make_write(payload, path, value));
}

static void about(struct sockets *s, uint32_t type, uint32_t tx, const char *path)
{
	ask_ok(s, type, tx, path, (uint32_t)strlen(path) + 1);
}

static void must_have(struct sockets *s, const char *path, const char *value)
{
	about(s, XS_READ, 0, path);
	if (s->got.hdr.len != strlen(value) || memcmp(s->got.payload, value, s->got.hdr.len))
		fail(&s->checker, "%s holds %u octets, %.40s, not %.40s", path, s->got.hdr.len,
		     s->got.payload, value);
}

static void must_not_be(struct sockets *s, const char *path)
{
	ask(s, XS_READ, 0, path, (uint32_t)strlen(path) + 1);
	if (s->got.hdr.type != XS_ERROR || strcmp(s->got.payload, "ENOENT"))
		fail(&s->checker, "%s is there", path);
}

static void nothing_waits(struct sockets *s, struct conn *conn, const char *whose)
{
	struct pollfd look = { .fd = conn->fd, .events = POLLIN };

	if (!poll(&look, 1, 0))
		return;
	get_message(s, conn, whose);
	fail(&s->checker, "%s got a message too many: type %u, request %u, %.40s", whose,
	     s->got.hdr.type, s->got.hdr.req_id, s->got.payload);
}

static void count(struct checker *c)
{
	char path[PATH_LEN], value[16];

	snprintf(value, sizeof(value), "%u", ++c->counter);
	write_node(of(c), 0, below(c, path, "counter"), value);
	must_have(of(c), path, value);
}

static void large(struct checker *c)
{
	struct sockets *s = of(c);
	char path[PATH_LEN], value[XENSTORE_PAYLOAD_MAX];

	letters(c, value, s->large / 2 + pick(c, s->large / 2));
	write_node(s, 0, below(c, path, "large"), value);
	must_have(s, path, value);
}

/* Each name has its NUL. */
static void sum_names(const struct message *m, uint32_t from, uint32_t *nr, uint64_t *sum)
{
	for (uint32_t at = from; at < m->hdr.len && m->payload[at];
	     at += (uint32_t)strlen(m->payload + at) + 1) {
		*sum += strtoul(m->payload + at, NULL, 10);
		++*nr;
	}
}

/* In parts that belong together, by DIRECTORY_PART. */
static void list_in_parts(struct sockets *s, const char *path, uint32_t *nr, uint64_t *sum)
{
	uint32_t at = 0, from, len;
	char payload[PATH_LEN + 16];

	do {
		len = make_write(payload, path, "");
		len += (uint32_t)snprintf(payload + len, 16, "%u", at) + 1;
		ask_ok(s, XS_DIRECTORY_PART, 0, payload, len);
		from = (uint32_t)strlen(s->got.payload) + 1; /* behind the generation */
		sum_names(&s->got, from, nr, sum);
		at += s->got.hdr.len - from;
		/* The last part ends in an empty name. */
	} while (s->got.payload[s->got.hdr.len - 1] || s->got.payload[s->got.hdr.len - 2]);
}

static void list(struct checker *c)
{
	struct sockets *s = of(c);
	char path[PATH_LEN];
	uint64_t sum = 0;
	uint32_t nr = 0;

	below(c, path, "wide");
	ask(s, XS_DIRECTORY, 0, path, (uint32_t)strlen(path) + 1);
	if (s->got.hdr.type == XS_DIRECTORY)
		sum_names(&s->got, 0, &nr, &sum);
	else if (!strcmp(s->got.payload, "E2BIG"))
		list_in_parts(s, path, &nr, &sum);
	if (nr != s->wide || sum != s->wide * (s->wide + 1) / 2)
		fail(c, "%u children, sum %llu, then %.40s", nr, (unsigned long long)sum,
		     s->got.payload);
}

static void create_and_remove(struct checker *c)
{
	char path[PATH_LEN];

	below_unique(c, path, "new");
	about(of(c), XS_MKDIR, 0, path);
	about(of(c), XS_RM, 0, path);
	must_not_be(of(c), path);
}

static void transaction(struct checker *c)
{
	struct sockets *s = of(c);
	char path[PATH_LEN];
	uint32_t tx;

	ask_ok(s, XS_TRANSACTION_START, 0, "", 1);
	tx = (uint32_t)strtoul(s->got.payload, NULL, 10);
	below_unique(c, path, "tx");
	write_node(s, tx, path, "1");
	must_not_be(s, path);
	ask(s, XS_TRANSACTION_END, tx, "T", 2);
	if (s->got.hdr.type == XS_TRANSACTION_END) {
		must_have(s, path, "1");
		about(s, XS_RM, 0, path);
	} else if (strcmp(s->got.payload, "EAGAIN")) {
		fail(c, "the end of transaction %u: %s", tx, s->got.payload);
	}
	must_not_be(s, path);
	ask(s, XS_TRANSACTION_END, tx, "F", 2);
	if (s->got.hdr.type != XS_ERROR)
		fail(c, "transaction %u is still open", tx);
}

/*
 * Many requests at once, large replies among them, that come in pieces of any size; and none of the
 * replies is read before all is sent.
 */
static void pipelined(struct checker *c)
{
	struct sockets *s = of(c);
	uint32_t first = s->asker.req_id, large = 0, len;
	char *octets = malloc(PIPELINE * 256), *end = octets, *at;
	char path[2][PATH_LEN], value[16];

	snprintf(value, sizeof(value), "%u", c->counter);
	below(c, path[0], "counter");
	below(c, path[1], "large");
	for (uint32_t i = 0; i < PIPELINE; i++) {
		uint32_t which = pick(c, 4) == 0;

		large |= which << i;
		end = pack(end, XS_READ, s->asker.req_id++, 0, path[which],
			   (uint32_t)strlen(path[which]) + 1);
	}
	for (at = octets; at < end; at += len) {
		len = 1 + pick(c, (uint32_t)(end - at));
		put(s, &s->asker, at, len);
		if (!pick(c, 3))
			usleep(pick(c, 10000));
	}
	free(octets);
	for (uint32_t i = 0; i < PIPELINE; i++) {
		get_message(s, &s->asker, "a reply of many");
		if (s->got.hdr.req_id != first + i || s->got.hdr.type != XS_READ ||
		    (!(large >> i & 1) && strcmp(s->got.payload, value)))
			fail(c, "reply %u of many: type %u, request %u instead of %u: %.40s", i,
			     s->got.hdr.type, s->got.hdr.req_id, first + i, s->got.payload);
	}
	nothing_waits(s, &s->asker, "who asked much");
}

static void expect_event(struct sockets *s, const char *path)
{
	const struct message *m = &s->got;

	get_message(s, &s->watcher, path);
	if (m->hdr.type != XS_WATCH_EVENT || strcmp(m->payload, path) ||
	    strcmp(m->payload + strlen(path) + 1, "feed"))
		fail(&s->checker, "instead of an event of %s: type %u, %.100s", path, m->hdr.type,
		     m->payload);
}

/* Return: whether the next event is that of @path; or else that the watch has had its first one
 * anew. */
static bool has_event(struct sockets *s, const char *path)
{
	char home[PATH_LEN];
	bool first;

	get_message(s, &s->watcher, path);
	if (s->got.hdr.type != XS_WATCH_EVENT)
		fail(&s->checker, "instead of an event of %s: type %u", path, s->got.hdr.type);
	first = !strcmp(s->got.payload, below(&s->checker, home, "feed"));
	if (!first && strcmp(s->got.payload, path))
		fail(&s->checker, "instead of an event of %s: %s", path, s->got.payload);
	return !first;
}

/* An event of what is done now comes, or, if xenstored crashes meanwhile, the watch's first one. */
static void look_again(struct sockets *s)
{
	char path[PATH_LEN];
	bool seen;

	do {
		snprintf(path, PATH_LEN, "%s/feed/%u", s->checker.home, s->fed++);
		about(s, XS_MKDIR, 0, path);
		do {
			get_message(s, &s->watcher, path);
			seen = !strcmp(s->got.payload, path);
		} while (!seen && strchr(s->got.payload + strlen(s->checker.home) + 1, '/'));
	} while (!seen);
}

/* The same where xenstored may crash: then what has not come yet may be lost, but it is told so. */
static void feed_crashing(struct sockets *s, char path[][PATH_LEN], uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		about(s, XS_MKDIR, 0, path[i]);
		if (!has_event(s, path[i]))
			look_again(s);
	}
}

/* What the one writes, the other is told: each once, in this order. */
static void feed(struct checker *c)
{
	struct sockets *s = of(c);
	char path[8][PATH_LEN];
	uint32_t nr = 1 + pick(c, 8);

	if (s->crashes) {
		for (uint32_t i = 0; i < nr; i++)
			snprintf(path[i], PATH_LEN, "%s/feed/%u", c->home, s->fed++);
		feed_crashing(s, path, nr);
		return;
	}

	for (uint32_t i = 0; i < nr; i++) {
		snprintf(path[i], PATH_LEN, "%s/feed/%u", c->home, s->fed++);
		about(s, XS_MKDIR, 0, path[i]);
	}
	for (uint32_t i = 0; i < nr; i++)
		expect_event(s, path[i]);
	for (uint32_t i = 0; i < nr; i++) {
		about(s, XS_RM, 0, path[i]);
		expect_event(s, path[i]);
	}
	nothing_waits(s, &s->watcher, "the watcher");
}

static void begin_watching(struct sockets *s)
{
	char path[PATH_LEN], payload[PATH_LEN + 16], *octets = malloc(512);
	uint32_t len;

	about(s, XS_MKDIR, 0, below(&s->checker, path, "feed"));
	len = make_write(payload, path, "feed") + 1;
	payload[len - 1] = 0;
	put(s, &s->watcher, octets, (size_t)(pack(octets, XS_WATCH, 1, 0, payload, len) - octets));
	free(octets);
	get_message(s, &s->watcher, "WATCH");
	if (s->got.hdr.type == XS_WATCH_EVENT) /* oxenstored says it first */
		get_message(s, &s->watcher, "WATCH");
	else
		expect_event(s, path);
}

static void (*const rounds[])(struct checker *c) = {
	count, large, list, create_and_remove, transaction, feed, pipelined
};

int main(int argc, char **argv)
{
	static struct sockets s = { .asker.req_id = 1 };

	s.crashes = getenv("XSSTRESS_CRASHES") != NULL;

	if (argc != 6) {
		fprintf(stderr, "usage: xsstress-sockets SOCKET HOME SEED LARGE WIDE\n");
		return 2;
	}
	s.path = argv[1];
	s.checker.home = argv[2];
	s.checker.seed = (unsigned int)atoi(argv[3]);
	s.large = (uint32_t)atoi(argv[4]);
	s.wide = (uint32_t)atoi(argv[5]);
	s.asker.fd = connect_to(&s);
	s.watcher.fd = connect_to(&s);
	begin_watching(&s);
	large(&s.checker);
	run_rounds(&s.checker, rounds, sizeof(rounds) / sizeof(rounds[0]));
	nothing_waits(&s, &s.asker, "who asked");
	if (!s.crashes)
		nothing_waits(&s, &s.watcher, "the watcher");
	return 0;
}
