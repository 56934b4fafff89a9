/* SPDX-License-Identifier: MIT */
/*
 * walk_bed - for the tests of walks: a small store behind a socket. A test has it change its mind
 * at given requests, so every race is played exactly.
 */
#ifndef XSPROXY_TESTS_UNIT_WALK_BED_H
#define XSPROXY_TESTS_UNIT_WALK_BED_H

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
	/* Called before each request is answered; may do so itself, and set @answered. */
	void (*before)(struct store *store, int fd, const struct request *req);
	bool answered;
	unsigned int seen;  /* for @before */
	const char *refuse; /* an error to answer with; NULL: none */
};

static inline struct stored *stored_find(struct store *store, const char *path)
{
	for (struct stored *node = store->nodes; node->path; node++)
		if (!strcmp(node->path, path))
			return node->value ? node : NULL;
	return NULL;
}

/* A node is written, with an event as the daemon has it. */
static inline void stored_set(struct store *store, int fd, const char *path, const char *value)
{
	struct stored *node = store->nodes;

	while (node->path && strcmp(node->path, path))
		node++;
	*node = (struct stored){ path, value, "n7" };
	server_event(fd, path);
}

static inline size_t list_children(struct store *store, const char *path, char *out)
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

static inline void answer_part(struct store *store, int fd, const struct request *req)
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

static inline void answer(struct store *store, int fd, const struct request *req)
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

static inline void play_store(int fd, void *arg)
{
	struct store *store = arg;
	struct request req;

	while (server_get(fd, &req)) {
		if (store->before)
			store->before(store, fd, &req);
		if (!store->answered)
			answer(store, fd, &req);
		store->answered = false;
	}
}

/* --- walks */

/* What a walk said, and what it wrote, as "path=value " for each node. */
struct result {
	int r;
	char text[2048];
	char said[512];
};

static inline void list_stream(const char *octets, size_t len, char *text, size_t size)
{
	struct libxl_reader *reader = NULL;
	struct record rec;
	size_t n = 0;

	assert_int_equal(open_octets(&reader, octets, len, LIBXL_STREAM_MAX_DEFAULT, NULL), 0);
	while (libxl_reader_next(reader, &rec) > 0)
		n += (size_t)snprintf(text + n, size - n, "%.*s=%.*s ", (int)rec.node.path_len,
				      rec.node.path, (int)rec.node.value_len, rec.node.value);
	libxl_reader_free(reader);
}

/* Have what is said of what is left out come to @said, which is all zeroes. */
static inline void hear(char *said, size_t size, struct report *report,
			struct omissions **omissions)
{
	*report = (struct report){ fmemopen(said, size, "w"), "test" };
	assert_non_null(report->out);
	assert_int_equal(omissions_new(omissions, report, NULL), 0);
}

/* Walk @store from up to two roots, the second of which must exist. */
static inline void walk_store(struct store *store, const char *home, const char *root,
			      struct result *result)
{
	struct omissions *omissions = NULL;
	struct report report;
	struct written written;
	struct walk *walk = NULL;
	struct server server;
	struct wire *wire = server_start(&server, play_store, store);

	memset(result, 0, sizeof(*result));
	hear(result->said, sizeof(result->said), &report, &omissions);
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
		libxl_writer_free(written.writer);
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

static inline struct store plain_store(void)
{
	struct store store = { 0 };

	memcpy(store.nodes, plain, sizeof(plain));
	return store;
}

#endif
