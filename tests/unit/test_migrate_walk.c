/* SPDX-License-Identifier: MIT */
/*
 * test_migrate_walk - reading nodes: large directories, nodes that vanish, change or appear while
 * they are read, and what never comes to rest.
 *
 * The server is a small store. A test has it change its mind at given requests, so every race is
 * played exactly.
 */
#include "tests/unit/golden/records.h"
#include "tests/unit/test_migrate_server.h"

#include "migration/nodes.h"
#include "migration/walk.h"

#define NODES_MAX 40

struct stored {
	const char *path;
	const char *value; /* NULL: there is no such node */
	const char *perms;
};

struct store {
	struct stored nodes[NODES_MAX];
	size_t part; /* octets of names in a DIRECTORY_PART; 0: DIRECTORY does it */
	unsigned int gencnt;
	/* Called before each request is answered. */
	void (*before)(struct store *store, int fd, const struct request *req);
	unsigned int seen;  /* for @before */
	const char *refuse; /* an error to answer with; NULL: none */
};

static struct stored *stored_find(struct store *store, const char *path)
{
	for (struct stored *node = store->nodes; node->path; node++)
		if (!strcmp(node->path, path))
			return node->value ? node : NULL;
	return NULL;
}

/* A node is written, with an event as the daemon has it. */
static void stored_set(struct store *store, int fd, const char *path, const char *value)
{
	struct stored *node = store->nodes;

	while (node->path && strcmp(node->path, path))
		node++;
	*node = (struct stored){ path, value, "n7" };
	server_event(fd, path);
}

static size_t list_children(struct store *store, const char *path, char *out)
{
	size_t path_len = strcmp(path, "/") ? strlen(path) : 0, n = 0;

	for (struct stored *node = store->nodes; node->path; node++) {
		const char *name = node->path + path_len + 1;

		if (!node->value || strncmp(node->path, path, path_len) ||
		    node->path[path_len] != '/' || !*name || strchr(name, '/'))
			continue;
		strcpy(out + n, name);
		n += strlen(name) + 1;
	}
	return n;
}

static void answer_part(struct store *store, int fd, const struct request *req)
{
	char names[4096], payload[4096];
	size_t len = list_children(store, req->payload, names), n;
	size_t offset = strtoul(req->payload + strlen(req->payload) + 1, NULL, 10);

	n = (size_t)sprintf(payload, "%u", store->gencnt) + 1;
	names[len++] = '\0'; /* the end of all */
	len -= offset;
	if (len > store->part)
		len = store->part;
	/* Whole names only */
	while (len && names[offset + len - 1])
		len--;
	memcpy(payload + n, names + offset, len);
	server_put(fd, req->hdr.type, req->hdr.req_id, payload, n + len);
}

static void answer(struct store *store, int fd, const struct request *req)
{
	struct stored *node = stored_find(store, req->payload);
	char names[4096];

	if (store->refuse) {
		server_fail(fd, req, store->refuse);
	} else if (req->hdr.type == XS_WATCH) {
		server_answer(fd, req, "OK");
		server_event(fd, req->payload);
	} else if (!node && !strcmp(req->payload, "/")) {
		server_answer(fd, req, "n0"); /* every store has it */
	} else if (!node) {
		server_fail(fd, req, "ENOENT");
	} else if (req->hdr.type == XS_READ) {
		server_put(fd, req->hdr.type, req->hdr.req_id, node->value, strlen(node->value));
	} else if (req->hdr.type == XS_GET_PERMS) {
		server_put(fd, req->hdr.type, req->hdr.req_id, node->perms,
			   strlen(node->perms) + 1);
	} else if (req->hdr.type == XS_DIRECTORY_PART) {
		answer_part(store, fd, req);
	} else if (store->part) {
		server_fail(fd, req, "E2BIG");
	} else {
		server_put(fd, req->hdr.type, req->hdr.req_id, names,
			   list_children(store, req->payload, names));
	}
}

static void play_store(int fd, void *arg)
{
	struct store *store = arg;
	struct request req;

	while (server_get(fd, &req)) {
		if (store->before)
			store->before(store, fd, &req);
		answer(store, fd, &req);
	}
}

/* --- walks */

/* What a walk said, and what it wrote, as "path=value " for each node. */
struct result {
	int r;
	char text[2048];
	char said[512];
};

static void list_stream(const char *octets, size_t len, char *text, size_t size)
{
	struct stream_reader *reader = NULL;
	struct record rec;
	size_t n = 0;

	assert_int_equal(open_octets(&reader, octets, len, STREAM_MAX_DEFAULT, NULL), 0);
	while (stream_reader_next(reader, &rec) > 0)
		n += (size_t)snprintf(text + n, size - n, "%.*s=%.*s ", (int)rec.node.path_len,
				      rec.node.path, (int)rec.node.value_len, rec.node.value);
	stream_reader_free(reader);
}

/* Walk @store from up to two roots, the second of which must exist. */
static void walk_store(struct store *store, const char *home, const char *root,
		       struct result *result)
{
	struct report report = { NULL, "test" };
	struct omissions *omissions = NULL;
	struct written written;
	struct walk *walk = NULL;
	struct server server;
	struct wire *wire = server_start(&server, play_store, store);

	memset(result, 0, sizeof(*result));
	report.out = fmemopen(result->said, sizeof(result->said), "w");
	assert_non_null(report.out);
	assert_int_equal(omissions_new(&omissions, &report, NULL), 0);
	assert_int_equal(walk_new(&walk, wire, omissions, &report), 0);
	result->r = walk_add_root(walk, home, false);
	if (!result->r && root)
		result->r = walk_add_root(walk, root, true);
	if (!result->r)
		result->r = walk_read(walk);
	written_start(&written);
	if (!result->r)
		result->r = walk_write(walk, written.writer);
	if (!result->r) {
		written_finish(&written);
		list_stream(written.octets, written.len, result->text, sizeof(result->text));
	} else {
		stream_writer_free(written.writer);
		fclose(written.file);
	}
	free(written.octets);
	walk_free(walk);
	omissions_free(omissions);
	fclose(report.out);
	server_stop(&server, wire);
}

#define HOME "/local/domain/7"

static const struct stored plain[] = {
	{ HOME, "", "n0" },
	{ HOME "/b", "2", "n7" },
	{ HOME "/a", "1", "n7" },
	{ HOME "/a/x", "deep", "n7" },
	{ HOME "/a-b", "dash", "n7" },
	{ "/vm", "", "n0" },
	{ "/vm/u", "vm", "n0" },
	{ "/local", "no", "n0" },
};

#define PLAIN_TEXT HOME "= " HOME "/a=1 " HOME "/a-b=dash " HOME "/a/x=deep " HOME "/b=2 "

static struct store plain_store(void)
{
	struct store store = { 0 };

	memcpy(store.nodes, plain, sizeof(plain));
	return store;
}

static void test_plain(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, PLAIN_TEXT);
	assert_string_equal(result.said, "");
	/* Roots that overlap, or are named twice */
	walk_store(&store, HOME, HOME "/a", &result);
	assert_string_equal(result.text, PLAIN_TEXT);
	walk_store(&store, HOME, HOME, &result);
	assert_string_equal(result.text, PLAIN_TEXT);
	walk_store(&store, HOME "/a/x", "/vm", &result);
	assert_string_equal(result.text, HOME "/a/x=deep /vm= /vm/u=vm ");
}

static void test_whole_store(void **state)
{
	struct store store = {
		.nodes = { { "/", "top", "n0" }, { "/a", "1", "n0" }, { "/a/b", "2", "n0" } }
	};
	struct result result;

	(void)state;
	walk_store(&store, "/", NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, "/=top /a=1 /a/b=2 ");
}

static void test_missing_roots(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	walk_store(&store, "/local/domain/8", "/vm", &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, "/vm= /vm/u=vm ");
	walk_store(&store, HOME, "/nowhere", &result);
	assert_int_equal(result.r, -ENOENT);
	assert_string_equal(result.said, "test: cannot read /nowhere: No such file or directory\n");
}

/* --- large directories */

static void test_parts(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	for (store.part = 4; store.part < 16; store.part++) {
		walk_store(&store, HOME, NULL, &result);
		assert_int_equal(result.r, 0);
		assert_string_equal(result.text, PLAIN_TEXT);
	}
}

/* Between two parts a child comes first in the list, so what was read is no longer its start. */
static void new_child(struct store *store, int fd, const struct request *req)
{
	struct stored first = store->nodes[1];

	if (req->hdr.type != XS_DIRECTORY_PART || strcmp(req->payload, HOME) || ++store->seen != 2)
		return;
	stored_set(store, fd, HOME "/new", "new");
	for (struct stored *node = store->nodes; node->path; node++)
		if (!strcmp(node->path, HOME "/new")) {
			store->nodes[1] = *node;
			*node = first;
		}
	store->gencnt++;
}

static void test_parts_change(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.part = 4;
	store.before = new_child;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, HOME "= " HOME "/a=1 " HOME "/a-b=dash " HOME
					      "/a/x=deep " HOME "/b=2 " HOME "/new=new ");
}

static void no_parts(struct store *store, int fd, const struct request *req)
{
	(void)fd;
	if (req->hdr.type == XS_DIRECTORY_PART)
		store->nodes[0].value = NULL;
}

static void test_vanishing_directory(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.part = 4;
	store.before = no_parts;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, "");
}

/* --- changes while it is read */

/* What happens when /b is read for the first time. */
static bool at_b(struct store *store, const struct request *req)
{
	return req->hdr.type == XS_GET_PERMS && !strcmp(req->payload, HOME "/b") && !store->seen++;
}

static void change_values(struct store *store, int fd, const struct request *req)
{
	if (!at_b(store, req))
		return;
	stored_set(store, fd, HOME "/a", "changed");
	stored_set(store, fd, HOME "/b", NULL);
	stored_set(store, fd, HOME "/c", "created");
}

static void test_changes(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.before = change_values;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.said, "");
	assert_string_equal(result.text, HOME "= " HOME "/a=changed " HOME "/a-b=dash " HOME
					      "/a/x=deep " HOME "/c=created ");
}

/* A whole new branch, of which the daemon tells only the leaf; and a branch that goes at once. */
static void change_branches(struct store *store, int fd, const struct request *req)
{
	if (!at_b(store, req))
		return;
	store->nodes[8] = (struct stored){ HOME "/p", "", "n7" };
	store->nodes[9] = (struct stored){ HOME "/p/q", "", "n7" };
	stored_set(store, fd, HOME "/p/q/leaf", "leaf");
	store->nodes[3].value = NULL;
	stored_set(store, fd, HOME "/a", NULL);
}

static void test_branches(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.before = change_branches;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.said, "");
	assert_string_equal(result.text, HOME "= " HOME "/a-b=dash " HOME "/b=2 " HOME "/p= " HOME
					      "/p/q= " HOME "/p/q/leaf=leaf ");
}

/* Every time it is read it changes once more, @seen times in all. */
static void keep_changing(struct store *store, int fd, const struct request *req)
{
	static const char *const values[] = { "0", "1", "2", "3", "4", "5" };

	if (req->hdr.type == XS_GET_PERMS && !strcmp(req->payload, HOME "/a/x") && store->seen)
		stored_set(store, fd, HOME "/a/x", values[--store->seen]);
}

static void test_rounds(void **state)
{
	struct result result;

	(void)state;
	/* The last reading again sees the last value, and no event comes after it. */
	for (unsigned int times = 1; times <= WALK_ROUNDS; times++) {
		struct store store = plain_store();

		store.before = keep_changing;
		store.seen = times;
		walk_store(&store, HOME, NULL, &result);
		assert_int_equal(result.r, 0);
		assert_string_equal(result.said, "");
		assert_non_null(strstr(result.text, HOME "/a/x=0 "));
	}
}

static void test_restless(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.before = keep_changing;
	store.seen = 5;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_int_equal(store.seen, 1); /* read once, and three times again */
	assert_string_equal(result.said, "test: warning: nodes keep changing, " HOME
					 "/a/x for one; the stream has what was read last\n");
}

/* Events for what is in no root must not be followed up to the top of the store. */
static void event_elsewhere(struct store *store, int fd, const struct request *req)
{
	if (at_b(store, req)) {
		server_event(fd, "/somewhere/else");
		server_event(fd, "@releaseDomain");
		server_event(fd, "");
	}
}

static void test_events_elsewhere(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.before = event_elsewhere;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, PLAIN_TEXT);
	assert_string_equal(result.said, "");
}

/* --- failures */

/*
 * What a guest can set as a permission and no record can hold is left out; an owner of that kind
 * gives way to domain 0.
 */
static void test_odd_perms(void **state)
{
	static const char *const perms[] = { "",
					     "n",
					     "7",
					     "x7",
					     "n7x",
					     "n65536",
					     "n-1",
					     "n 7",
					     "n9223372036854775807",
					     "n18446744073709551616" };
	struct result result;
	char said[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(perms); i++) {
		struct store store = plain_store();

		store.nodes[3].perms = perms[i];
		walk_store(&store, HOME, NULL, &result);
		assert_int_equal(result.r, 0);
		assert_string_equal(result.text, PLAIN_TEXT);
		snprintf(said, sizeof(said), "test: left out: " HOME "/a/x: permission %s: ",
			 strcmp(perms[i], "n 7") ? perms[i] : "n\\x207");
		assert_int_equal(strncmp(result.said, said, strlen(said)), 0);
	}
}

static void test_does_not_fit(void **state)
{
	struct store store = { .nodes = { { HOME, "", "n0" },
					  { HOME "/a.b", "", "n0" },
					  { HOME "/a.b/c", "", "n0" },
					  { HOME "/b", "", "n0" } } };
	struct result result;

	(void)state;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, HOME "= " HOME "/b= ");
	assert_string_equal(result.said,
			    "test: left out: " HOME "/a.b: node: octet 0x2e in the path\n"
			    "test: left out: " HOME "/a.b/c: node: octet 0x2e in the path\n");
}

/* XAPI's daemon does not give what is larger than a reply may be. */
static void too_large(struct store *store, int fd, const struct request *req)
{
	(void)fd;
	store->refuse =
		req->hdr.type == XS_DIRECTORY || strcmp(req->payload, HOME "/a/x") ? NULL : "E2BIG";
}

static void test_too_large(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.before = too_large;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text,
			    HOME "= " HOME "/a=1 " HOME "/a-b=dash " HOME "/a/x= " HOME "/b=2 ");
	assert_string_equal(result.said,
			    "test: left out: " HOME "/a/x: value: it fits no reply\n"
			    "test: left out: " HOME "/a/x: permissions: they fit no reply\n");
}

/* Somebody keeps adding children: that must not go on for ever. */
static void more_children(struct store *store, int fd, const struct request *req)
{
	(void)fd;
	if (req->hdr.type == XS_DIRECTORY_PART && !strcmp(req->payload, HOME))
		store->gencnt++;
}

static void test_restless_directory(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.part = 4;
	store.before = more_children;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, PLAIN_TEXT);
	assert_string_equal(result.said, "test: left out: " HOME
					 ": children: they keep changing; some may be missing\n");
}

static void hang_up(struct store *store, int fd, const struct request *req)
{
	(void)req;
	if (!store->seen--)
		shutdown(fd, SHUT_RDWR);
}

static void test_hang_up(void **state)
{
	struct result result;
	unsigned int requests = 2 + 5 * 3; /* a watch, one to skip its event, three a node */

	(void)state;
	for (unsigned int i = 0; i < requests; i++) {
		struct store store = plain_store();

		store.before = hang_up;
		store.seen = i;
		walk_store(&store, HOME, NULL, &result);
		assert_true(result.r == -ECONNRESET || result.r == -EPIPE);
		assert_non_null(strstr(result.said, "the other side closed the connection\n"));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_whole_store),
		cmocka_unit_test(test_missing_roots),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_parts_change),
		cmocka_unit_test(test_vanishing_directory),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_restless),
		cmocka_unit_test(test_events_elsewhere),
		cmocka_unit_test(test_odd_perms),
		cmocka_unit_test(test_does_not_fit),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_restless_directory),
		cmocka_unit_test(test_hang_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
