// SPDX-License-Identifier: MIT
/*
 * walk - see walk.h. Two tables: the nodes read so far, and the paths of which events have come.
 */
#include "migration/walk.h"

#include "migration/format/libxl_record.h"
#include "migration/nodes.h"
#include "migration/pathset.h"

#include "protocol/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <xen/io/xs_wire.h>

#define TOKEN "xsproxyctl"

struct entry {
	UT_hash_handle hh;
	char *value;
	size_t value_len;
	struct record_perm *perms;
	size_t nr_perms;
	char *odd; /* as in struct node, with @missing */
	size_t odd_len;
	unsigned int missing;
	size_t path_len;
	char path[];
};

struct root {
	struct root *next;
	int tag; /* of its node */
	size_t path_len;
	char path[];
};

struct walk {
	struct wire *wire;
	const struct report *report;
	struct omissions *omissions;
	struct nodes *nodes;
	struct root *roots;
	struct entry *entries;
	struct pathset *changes;	/* what events have named */
	char failed[REPORT_OCTETS_MAX]; /* the path that could not be read, if any */
};

enum tag {
	TAG_REQUIRED, /* must exist */
	TAG_OPTIONAL, /* may be gone by now */
};

static bool is_root(const struct walk *walk, const char *path, size_t len)
{
	const struct root *root;

	for (root = walk->roots; root; root = root->next)
		if (root->path_len == len && !memcmp(root->path, path, len))
			return true;
	return false;
}

/* --- the nodes */

static struct entry *entry_find(const struct walk *walk, const char *path, size_t len)
{
	struct entry *entry;

	HASH_FIND(hh, walk->entries, path, len, entry);
	return entry;
}

static void entry_drop(struct walk *walk, struct entry *entry)
{
	HASH_DEL(walk->entries, entry);
	free(entry->value);
	free(entry->perms);
	free(entry->odd);
	free(entry);
}

/* Takes over what the node has. */
static int entry_put(struct walk *walk, struct node *node)
{
	struct entry *entry = entry_find(walk, node->path, node->path_len);

	if (entry) /* below two roots, or read again */
		entry_drop(walk, entry);
	entry = calloc(1, sizeof(*entry) + node->path_len + 1);
	if (!entry)
		return -ENOMEM;
	entry->path_len = node->path_len;
	memcpy(entry->path, node->path, node->path_len);
	HASH_ADD_KEYPTR(hh, walk->entries, entry->path, entry->path_len, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return -ENOMEM;
	}
	entry->value = node->value;
	entry->value_len = node->value_len;
	entry->perms = node->perms;
	entry->nr_perms = node->nr_perms;
	entry->odd = node->odd;
	entry->odd_len = node->odd_len;
	entry->missing = node->missing;
	node->value = NULL;
	node->perms = NULL;
	node->odd = NULL;
	return 0;
}

static void leave_out(struct walk *walk, const char *path, size_t path_len, const char *what,
		      const char *why)
{
	const struct omission omission = {
		.what = what, .path = path, .path_len = path_len, .why = why
	};

	omissions_add(walk->omissions, &omission);
}

static int want_children(struct walk *walk, const struct node *node)
{
	int r = nodes_want_children(walk->nodes, node, TAG_OPTIONAL);

	if (r != -ENAMETOOLONG)
		return r;
	leave_out(walk, node->path, node->path_len, "a child", "its path fits no request");
	return 0;
}

static int on_node(void *arg, struct node *node)
{
	struct walk *walk = arg;
	int r = node->err;

	if (r == -ENOENT && node->tag == TAG_OPTIONAL)
		return 0;
	if (!r)
		r = entry_put(walk, node);
	if (!r)
		r = want_children(walk, node);
	if (r)
		report_octets(walk->failed, node->path, node->path_len);
	return r;
}

/* --- changes */

static int on_event(void *arg, const char *path)
{
	struct walk *walk = arg;

	return pathset_add(&walk->changes, path, strlen(path));
}

/*
 * Where to read again for a change at @path: there, or further up, for the daemon makes missing
 * parents without an event for each. Return: the octets of that path, 0 if it is below no root.
 */
static size_t top_of_change(const struct walk *walk, const char *path, size_t len)
{
	while (!is_root(walk, path, len)) {
		size_t parent = pathset_parent(path, len);

		if (parent == len)
			return 0;
		if (entry_find(walk, path, parent))
			return len;
		len = parent;
	}
	return len;
}

/* Drop all that is at and below @tops, and ask for it anew. */
static int want_again(struct walk *walk, struct pathset *tops)
{
	struct entry *entry, *next_entry;
	struct pathset *top, *next_top;
	int r = 0;

	HASH_ITER(hh, walk->entries, entry, next_entry)
		if (pathset_cover(tops, entry->path, entry->path_len))
			entry_drop(walk, entry);
	HASH_ITER(hh, tops, top, next_top) {
		size_t parent = pathset_parent(top->path, top->len);

		if (!r && (parent == top->len || !pathset_cover(tops, top->path, parent)))
			r = nodes_want(walk->nodes, top->path, top->len, TAG_OPTIONAL);
	}
	return r;
}

/* One round of reading again. */
static int read_again(struct walk *walk)
{
	struct pathset *changes = walk->changes, *tops = NULL, *change, *next;
	int r = 0;

	walk->changes = NULL; /* events that come from now on are for the next round */
	HASH_ITER(hh, changes, change, next) {
		size_t len = top_of_change(walk, change->path, change->len);

		if (!r && len)
			r = pathset_add(&tops, change->path, len);
	}
	if (!r)
		r = want_again(walk, tops);
	pathset_clear(&tops);
	pathset_clear(&changes);
	return r ? r : nodes_run(walk->nodes, 0);
}

/* --- all of it */

/*
 * Each WATCH fires once, behind its reply. The reply to one more request comes after that, so all
 * events from then on mean changes.
 */
static int skip_first_events(struct walk *walk)
{
	struct iovec path = wire_string("/");
	int r = wire_call(walk->wire, XS_GET_PERMS, 0, &path, 1, NULL);

	pathset_clear(&walk->changes);
	return r;
}

static int want_roots(struct walk *walk)
{
	struct root *root;
	int r = 0;

	for (root = walk->roots; root && !r; root = root->next)
		r = nodes_want(walk->nodes, root->path, root->path_len, root->tag);
	return r;
}

static int read_all(struct walk *walk)
{
	int r = skip_first_events(walk);

	if (!r)
		r = want_roots(walk);
	if (!r)
		r = nodes_run(walk->nodes, 0);
	for (int round = 0; !r && walk->changes && round < WALK_ROUNDS; round++)
		r = read_again(walk);
	return r;
}

int walk_read(struct walk *walk)
{
	int r = read_all(walk);
	char text[REPORT_OCTETS_MAX];

	if (r && walk->failed[0])
		return report_fail(walk->report, r, "cannot read %s: %s", walk->failed,
				   report_reason(r));
	if (r)
		return report_fail(walk->report, r, "cannot read the nodes: %s", report_reason(r));
	if (walk->changes)
		report_warn(walk->report,
			    "nodes keep changing, %s for one; the stream has what was read last",
			    report_octets(text, walk->changes->path, walk->changes->len));
	return 0;
}

int walk_add_root(struct walk *walk, const char *path, bool required)
{
	struct iovec parts[] = { wire_string(path), wire_string(TOKEN) };
	size_t len = strlen(path);
	struct root *root;
	int r;

	if (is_root(walk, path, len))
		return 0;
	root = calloc(1, sizeof(*root) + len + 1);
	r = root ? wire_call(walk->wire, XS_WATCH, 0, parts, 2, NULL) : -ENOMEM;
	if (r) {
		free(root);
		return report_fail(walk->report, r, "cannot watch %s: %s", path, report_reason(r));
	}
	root->tag = required ? TAG_REQUIRED : TAG_OPTIONAL;
	root->path_len = len;
	memcpy(root->path, path, len);
	LL_APPEND(walk->roots, root);
	return 0;
}

/* --- writing */

static int by_path(const struct entry *a, const struct entry *b)
{
	return strcmp(a->path, b->path);
}

/* What there was of a node but is not in its record. */
static void report_missing(struct walk *walk, const struct entry *entry)
{
	if (entry->missing & NODE_VALUE)
		leave_out(walk, entry->path, entry->path_len, "value", "it fits no reply");
	if (entry->missing & NODE_PERMS)
		leave_out(walk, entry->path, entry->path_len, "permissions", "they fit no reply");
	if (entry->missing & NODE_CHILDREN)
		leave_out(walk, entry->path, entry->path_len, "children",
			  "they keep changing; some may be missing");
	for (size_t at = 0; at < entry->odd_len; at += strlen(entry->odd + at) + 1) {
		const struct omission omission = { .what = "permission",
						   .path = entry->path,
						   .path_len = entry->path_len,
						   .detail = entry->odd + at,
						   .detail_len = strlen(entry->odd + at),
						   .why = "it names no domain that a stream can" };

		omissions_add(walk->omissions, &omission);
	}
}

static int write_entry(struct walk *walk, struct libxl_writer *writer, const struct entry *entry)
{
	struct record rec = { .kind = RECORD_NODE,
			      .node = { entry->path, entry->path_len, entry->perms, entry->nr_perms,
					entry->value, entry->value_len } };
	struct record_fault fault;
	int r = libxl_record_check(&rec, &fault);

	if (r == -EBADMSG) {
		leave_out(walk, entry->path, entry->path_len, "node", fault.reason);
		return 0;
	}
	report_missing(walk, entry);
	if (!r)
		r = libxl_writer_append(writer, &rec, NULL);
	return r;
}

int walk_write(struct walk *walk, struct libxl_writer *writer)
{
	struct entry *entry, *next;
	int r = 0;

	HASH_SORT(walk->entries, by_path);
	HASH_ITER(hh, walk->entries, entry, next) {
		r = write_entry(walk, writer, entry);
		if (r)
			break;
	}
	return r;
}

void walk_free(struct walk *walk)
{
	struct entry *entry, *next_entry;
	struct root *root, *next_root;

	if (!walk)
		return;
	nodes_free(walk->nodes);
	wire_set_event(walk->wire, NULL, NULL);
	HASH_ITER(hh, walk->entries, entry, next_entry)
		entry_drop(walk, entry);
	pathset_clear(&walk->changes);
	for (root = walk->roots; root; root = next_root) {
		next_root = root->next;
		free(root);
	}
	free(walk);
}

int walk_new(struct walk **out, struct wire *wire, struct omissions *omissions,
	     const struct report *report)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	int r;

	if (!walk)
		return -ENOMEM;
	walk->wire = wire;
	walk->report = report;
	walk->omissions = omissions;
	r = nodes_new(&walk->nodes, wire, true, on_node, walk);
	if (r) {
		free(walk);
		return r;
	}
	wire_set_event(wire, on_event, walk);
	*out = walk;
	return 0;
}
