/* SPDX-License-Identifier: MIT */
/*
 * graft - see graft.h. Both ways are passes over the stream, inside one loop of tries.
 */
#include "migration/graft.h"

#include "migration/nodes.h"
#include "migration/pathset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define BACKLOG	      1024		   /* nodes asked for at a time */
#define NODE_REQUESTS 2			   /* for a node that is written */
#define OLD_MAX	      ((uint64_t)16 << 30) /* octets; in a file, like the stream */

struct graft {
	struct stream_reader *reader;
	struct confine *confine;
	const struct report *report;
	bool applied;

	/* What was there before the last try */
	FILE *old_file;
	struct stream_writer *old;
	struct stream_reader *old_reader; /* once it is needed */

	/* This try */
	struct wire *wire;
	uint32_t tx_id;
	struct nodes *nodes;
	const char *verb;		/* what could not be done... */
	char failed[REPORT_OCTETS_MAX]; /* ...to which node... */
	uint64_t failed_record;		/* ...until its name is known */
};

enum tag {
	TAG_RECORD, /* a node of the stream */
	TAG_PARENT, /* of one, and not in the stream itself */
};

/* --- the stream's nodes */

/* The next node, as it is here; @in gets it as in the stream, if not NULL. Returns as the reader.
 */
static int next_node(struct graft *graft, struct record *in, struct record *out)
{
	struct record rec;
	int r;

	do
		r = stream_reader_next(graft->reader, &rec);
	while (r > 0 && rec.kind != RECORD_NODE);
	if (r <= 0)
		return r;
	if (in)
		*in = rec;
	r = confine_record(graft->confine, &rec, out, NULL);
	return r ? r : 1;
}

static int fail_at(struct graft *graft, int err, const char *verb, const char *path, size_t len)
{
	graft->verb = verb;
	report_octets(graft->failed, path, len);
	return err;
}

/* --- transactions */

static int transaction_start(struct graft *graft)
{
	/* Not empty: oxenstored up to 4.19 waits for ever for a payload of no octets. */
	struct iovec nothing = wire_string("");
	struct wire_reply reply;
	char text[sizeof("4294967295")];
	int r = wire_call(graft->wire, XS_TRANSACTION_START, 0, &nothing, 1, &reply);

	if (r)
		return r;
	if (reply.len > sizeof(text) || !memchr(reply.data, 0, reply.len))
		return -EPROTO;
	strcpy(text, reply.data);
	graft->tx_id = (uint32_t)strtoul(text, NULL, 10);
	return graft->tx_id ? 0 : -EPROTO;
}

static int transaction_commit(struct graft *graft)
{
	struct iovec yes = wire_string("T");

	return wire_call(graft->wire, XS_TRANSACTION_END, graft->tx_id, &yes, 1, NULL);
}

/*
 * Do @steps in a transaction until it can be committed. @done: gets whether it is committed, or may
 * be, as nobody has answered.
 */
static int transact(struct graft *graft, struct wire *wire, int (*steps)(struct graft *graft),
		    bool *done)
{
	int r = -EAGAIN;

	*done = false;
	graft->wire = wire;
	graft->failed[0] = '\0';
	for (int i = 0; r == -EAGAIN && i < GRAFT_TRIES; i++) {
		r = transaction_start(graft);
		if (!r)
			r = steps(graft);
		if (r)
			break;
		r = transaction_commit(graft);
		*done = !r || !wire_answered(r);
	}
	if (r)
		wire_forget(wire);
	return r;
}

/* --- what is there */

static void old_free(struct graft *graft)
{
	stream_writer_free(graft->old);
	graft->old = NULL;
	if (graft->old_file)
		fclose(graft->old_file);
	graft->old_file = NULL;
}

static int old_new(struct graft *graft)
{
	old_free(graft);
	graft->old_file = tmpfile();
	if (!graft->old_file)
		return -errno;
	return stream_writer_new(&graft->old, graft->old_file);
}

static int on_old(void *arg, struct node *node)
{
	struct record rec = { .kind = RECORD_NODE,
			      .node = { node->path, node->path_len, node->perms, node->nr_perms,
					node->value, node->value_len } };
	struct graft *graft = arg;
	int r = node->err;

	if (r == -ENOENT && node->tag == TAG_RECORD)
		return 0;
	if (!r && node->tag == TAG_RECORD)
		r = stream_writer_append(graft->old, &rec, NULL);
	if (r == -ENOENT)
		return fail_at(graft, r, "find, neither here nor in the stream,", node->path,
			       node->path_len);
	return r ? fail_at(graft, r, "read", node->path, node->path_len) : 0;
}

static int ask_for(struct graft *graft, const struct record_node *in,
		   const struct record_node *here)
{
	size_t above = pathset_parent(in->path, in->path_len);
	int r = nodes_want(graft->nodes, here->path, here->path_len, TAG_RECORD);

	if (r || above == in->path_len)
		return r;
	r = stream_reader_has_node(graft->reader, in->path, above);
	if (r)
		return r < 0 ? r : 0;
	return nodes_want(graft->nodes, here->path, pathset_parent(here->path, here->path_len),
			  TAG_PARENT);
}

static int read_old(struct graft *graft)
{
	struct record in, here;
	int r = stream_reader_rewind(graft->reader);

	while (!r && (r = next_node(graft, &in, &here)) > 0) {
		r = ask_for(graft, &in.node, &here.node);
		if (!r)
			r = nodes_run(graft->nodes, BACKLOG);
	}
	return r ? r : nodes_run(graft->nodes, 0);
}

static int note_old(struct graft *graft)
{
	int r = old_new(graft);

	if (!r)
		r = nodes_new(&graft->nodes, graft->wire, graft->tx_id, false, on_old, graft);
	if (!r)
		r = read_old(graft);
	nodes_free(graft->nodes);
	graft->nodes = NULL;
	return r ? r : stream_writer_finish(graft->old);
}

/* --- writing */

int graft_format_perms(const struct record_node *node, char out[GRAFT_PERMS_MAX], size_t *len)
{
	size_t room = GRAFT_PERMS_MAX - node->path_len - 1;
	size_t n = 0;

	for (size_t i = 0; i < node->nr_perms; i++) {
		n += (size_t)snprintf(out + n, room - n, "%c%u", node->perms[i].letter,
				      record_perm_domid(&node->perms[i])) +
		     1;
		if (n > room)
			return -E2BIG;
	}
	*len = n;
	return 0;
}

/*
 * Replies come later, so a request carries the number of its record; when one fails, the record is
 * looked up again to say which node it was.
 */
static int on_reply(struct graft *graft, uint64_t number, int err, const char *verb)
{
	if (!err)
		return 0;
	graft->verb = verb;
	graft->failed_record = number;
	return err;
}

static int on_write(void *arg, uint64_t number, const struct wire_reply *reply)
{
	return on_reply(arg, number, reply->err, "write");
}

static int on_set_perms(void *arg, uint64_t number, const struct wire_reply *reply)
{
	return on_reply(arg, number, reply->err, "set permissions of");
}

static int on_rm(void *arg, uint64_t number, const struct wire_reply *reply)
{
	/* It may have gone with its parent. */
	return on_reply(arg, number, reply->err == -ENOENT ? 0 : reply->err, "remove");
}

static int wait_for_room(struct graft *graft)
{
	int r = 0;

	while (!r && wire_room(graft->wire) < NODE_REQUESTS)
		r = wire_wait(graft->wire);
	return r;
}

/* The number of the record that @reader gave last. */
static uint64_t record_number(const struct stream_reader *reader)
{
	struct record_fault at;

	stream_reader_locate(reader, &at);
	return at.record;
}

static int send_node(struct graft *graft, const struct record_node *node, uint64_t number)
{
	char perms[GRAFT_PERMS_MAX];
	struct iovec write[] = { { (char *)node->path, node->path_len },
				 { "", 1 },
				 { (char *)node->value, node->value_len } };
	struct iovec set[] = { write[0], write[1], { perms, 0 } };
	int r = graft_format_perms(node, perms, &set[2].iov_len);

	if (!r)
		r = wait_for_room(graft);
	if (!r)
		r = wire_send(graft->wire, XS_WRITE, graft->tx_id, write, 3, on_write, graft,
			      number);
	if (!r)
		r = wire_send(graft->wire, XS_SET_PERMS, graft->tx_id, set, 3, on_set_perms, graft,
			      number);
	return r;
}

/* Say which node it was, after a pass over the stream or over what was there before. */
static void name_failed(struct graft *graft, bool old)
{
	struct stream_reader *reader = old ? graft->old_reader : graft->reader;
	struct record rec;

	if (!graft->failed_record || stream_reader_rewind(reader))
		return;
	while ((old ? stream_reader_next(reader, &rec) : next_node(graft, NULL, &rec)) > 0)
		if (record_number(reader) == graft->failed_record)
			report_octets(graft->failed, rec.node.path, rec.node.path_len);
	graft->failed_record = 0;
}

static int write_nodes(struct graft *graft)
{
	struct record rec;
	int r = stream_reader_rewind(graft->reader);

	while (!r && (r = next_node(graft, NULL, &rec)) > 0)
		r = send_node(graft, &rec.node, record_number(graft->reader));
	if (!r)
		r = wire_drain(graft->wire);
	if (r)
		name_failed(graft, false);
	return r;
}

static int apply_steps(struct graft *graft)
{
	int r = note_old(graft);

	return r ? r : write_nodes(graft);
}

/* --- taking back */

static int remove_new(struct graft *graft)
{
	struct record rec;
	int r = stream_reader_rewind(graft->reader);

	while (!r && (r = next_node(graft, NULL, &rec)) > 0) {
		struct iovec parts[] = { { (char *)rec.node.path, rec.node.path_len }, { "", 1 } };

		r = stream_reader_has_node(graft->old_reader, rec.node.path, rec.node.path_len);
		if (r) {
			r = r < 0 ? r : 0;
			continue;
		}
		r = wait_for_room(graft);
		if (!r)
			r = wire_send(graft->wire, XS_RM, graft->tx_id, parts, 2, on_rm, graft,
				      record_number(graft->reader));
	}
	if (!r)
		r = wire_drain(graft->wire);
	if (r)
		name_failed(graft, false);
	return r;
}

static int write_old(struct graft *graft)
{
	struct record rec;
	int r = stream_reader_rewind(graft->old_reader);

	while (!r && (r = stream_reader_next(graft->old_reader, &rec)) > 0)
		r = send_node(graft, &rec.node, record_number(graft->old_reader));
	if (!r)
		r = wire_drain(graft->wire);
	if (r)
		name_failed(graft, true);
	return r;
}

static int revert_steps(struct graft *graft)
{
	int r = remove_new(graft);

	return r ? r : write_old(graft);
}

static int old_open(struct graft *graft)
{
	int fd = fileno(graft->old_file);

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return stream_reader_open(&graft->old_reader, fd, OLD_MAX, NULL);
}

/* --- all of it */

static int report_result(struct graft *graft, int r, const char *doing)
{
	if (!r)
		return 0;
	if (graft->failed[0])
		return report_fail(graft->report, r, "cannot %s %s: %s", graft->verb, graft->failed,
				   report_reason(r));
	if (r == -EAGAIN)
		return report_fail(graft->report, r,
				   "cannot %s the nodes: others changed them in each of %d tries; "
				   "try again",
				   doing, GRAFT_TRIES);
	return report_fail(graft->report, r, "cannot %s the nodes: %s", doing, report_reason(r));
}

bool graft_is_applied(const struct graft *graft)
{
	return graft->applied;
}

int graft_apply(struct graft *graft, struct wire *wire)
{
	int r = transact(graft, wire, apply_steps, &graft->applied);

	return report_result(graft, r, "write");
}

int graft_revert(struct graft *graft, struct wire *wire)
{
	bool reverted;
	int r = graft->old_reader ? 0 : old_open(graft);

	if (!r)
		r = transact(graft, wire, revert_steps, &reverted);
	if (!r)
		graft->applied = false;
	return report_result(graft, r, "take back");
}

void graft_free(struct graft *graft)
{
	if (!graft)
		return;
	stream_reader_free(graft->old_reader);
	old_free(graft);
	free(graft);
}

int graft_new(struct graft **out, struct stream_reader *reader, struct confine *confine,
	      const struct report *report)
{
	struct graft *graft = calloc(1, sizeof(*graft));

	if (!graft)
		return -ENOMEM;
	graft->reader = reader;
	graft->confine = confine;
	graft->report = report;
	*out = graft;
	return 0;
}
