// SPDX-License-Identifier: MIT
/*
 * nodes - see nodes.h. A node asked for is a job: it waits in a queue, then its requests are under
 * way, and with the last reply it is handed over and freed.
 */
#include "migration/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <xen/io/xs_wire.h>

#define REQUESTS_MAX 3	/* of a job at a time, 2 without children */
#define GENCNT_MAX   32 /* octets of a directory's generation, NUL included */
#define OFFSET_MAX   24 /* octets of an offset in a directory, NUL included */
#define RESTARTS_MAX 16 /* of reading a directory that changes meanwhile */

struct job {
	struct job *prev, *next;
	struct nodes *nodes;
	unsigned int outstanding; /* requests */
	char gencnt[GENCNT_MAX];  /* of a directory that is read in parts */
	unsigned int restarts;	  /* of that */
	struct node node;
	char path[];
};

struct nodes {
	struct wire *wire;
	bool children;
	nodes_fn fn;
	void *arg;
	struct job *waiting;
	struct job *under_way;
	size_t nr; /* of jobs */
};

static void job_free(struct job *job)
{
	free(job->node.value);
	free(job->node.perms);
	free(job->node.odd);
	free(job->node.children);
	free(job);
}

/* The first reason counts, but anything else says more than that the node is gone by now. */
static void job_fail(struct job *job, int err)
{
	if (!job->node.err || job->node.err == -ENOENT)
		job->node.err = err;
}

/* XAPI's daemon answers E2BIG for what does not fit a reply; that is no reason to fail. */
static void job_miss(struct job *job, int err, enum node_part part)
{
	if (err == -E2BIG)
		job->node.missing |= part;
	else
		job_fail(job, err);
}

/* A reply is dealt with; with the last one the node is complete. */
static int job_advance(struct job *job)
{
	struct nodes *nodes = job->nodes;
	int r;

	if (--job->outstanding)
		return 0;
	DL_DELETE(nodes->under_way, job);
	nodes->nr--;
	r = nodes->fn(nodes->arg, &job->node);
	job_free(job);
	return r;
}

/* --- replies */

static int on_value(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	struct job *job = arg;

	(void)tag;
	if (reply->err) {
		job_miss(job, reply->err, NODE_VALUE);
		return job_advance(job);
	}
	job->node.value = malloc(reply->len + 1); /* never of 0 octets */
	if (!job->node.value)
		return -ENOMEM;
	memcpy(job->node.value, reply->data, reply->len);
	job->node.value_len = reply->len;
	return job_advance(job);
}

/* "n7": a letter and a domid. */
static bool parse_perm(const char *text, struct record_perm *perm)
{
	char *end;
	unsigned long domid;

	if (!*text || !strchr("wrbn", *text) || text[1] < '0' || text[1] > '9')
		return false;
	errno = 0;
	domid = strtoul(text + 1, &end, 10);
	if (errno || *end || domid > UINT16_MAX)
		return false;
	*perm = record_perm_make(*text, (uint16_t)domid);
	return true;
}

static void add_perm(struct node *node, const char *text)
{
	size_t len = strlen(text) + 1;

	if (parse_perm(text, &node->perms[node->nr_perms])) {
		node->nr_perms++;
		return;
	}
	if (!node->nr_perms)
		node->perms[node->nr_perms++] = record_perm_make('n', 0);
	memcpy(node->odd + node->odd_len, text, len);
	node->odd_len += len;
}

static int on_perms(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	struct job *job = arg;
	struct node *node = &job->node;

	(void)tag;
	node->perms = calloc(reply->len + 1, sizeof(*node->perms)); /* more than there can be */
	node->odd = malloc(reply->len + 1);
	if (!node->perms || !node->odd)
		return -ENOMEM;
	if (reply->err)
		job_miss(job, reply->err, NODE_PERMS);
	else if (!reply->len || reply->data[reply->len - 1])
		job_fail(job, -EPROTO);
	else
		for (size_t at = 0; at < reply->len; at += strlen(reply->data + at) + 1)
			add_perm(node, reply->data + at);
	if (!node->nr_perms)
		node->perms[node->nr_perms++] = record_perm_make('n', 0);
	if (!node->odd_len) {
		free(node->odd);
		node->odd = NULL;
	}
	return job_advance(job);
}

static int children_append(struct job *job, const char *names, size_t len)
{
	char *children;

	if (!len)
		return 0;
	children = realloc(job->node.children, job->node.children_len + len);
	if (!children)
		return -ENOMEM;
	memcpy(children + job->node.children_len, names, len);
	job->node.children = children;
	job->node.children_len += len;
	return 0;
}

static int send_part(struct job *job);

/* DIRECTORY_PART: <gencnt>| and some names; one more NUL behind the last name of all. */
static int on_part(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	struct job *job = arg;
	const char *data = reply->data;
	size_t head, len;
	bool last;
	int r;

	(void)tag;
	if (reply->err || !reply->len || data[reply->len - 1]) {
		/* Where it changes all the time, it may have fewer names by now. */
		if (!(job->node.missing & NODE_CHILDREN))
			job_fail(job, reply->err ? reply->err : -EPROTO);
		return job_advance(job);
	}
	head = strlen(data) + 1;
	if (head > sizeof(job->gencnt)) {
		job_fail(job, -EPROTO);
		return job_advance(job);
	}
	if (!job->node.children_len) {
		strcpy(job->gencnt, data);
	} else if (strcmp(job->gencnt, data) && !(job->node.missing & NODE_CHILDREN)) {
		if (++job->restarts == RESTARTS_MAX)
			job->node.missing |= NODE_CHILDREN;
		job->node.children_len = 0; /* it has changed meanwhile: from the start again */
		return send_part(job);
	}
	len = reply->len - head;
	last = len < 2 || !data[reply->len - 2];
	r = children_append(job, data + head, last && len ? len - 1 : len);
	if (r)
		return r;
	return last ? job_advance(job) : send_part(job);
}

static int on_children(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	struct job *job = arg;
	int r;

	(void)tag;
	if (reply->err == -E2BIG)
		return send_part(job);
	if (reply->err) {
		job_fail(job, reply->err);
		return job_advance(job);
	}
	if (reply->len && reply->data[reply->len - 1]) {
		job_fail(job, -EPROTO);
		return job_advance(job);
	}
	r = children_append(job, reply->data, reply->len);
	return r ? r : job_advance(job);
}

/* --- requests */

/* There is room: the reply that leads here has just made some. */
static int send_part(struct job *job)
{
	char offset[OFFSET_MAX];
	struct iovec parts[2] = { wire_string(job->path) };

	snprintf(offset, sizeof(offset), "%zu", job->node.children_len);
	parts[1] = wire_string(offset);
	return wire_send(job->nodes->wire, XS_DIRECTORY_PART, 0, parts, 2, on_part, job, 0);
}

static int job_send(struct job *job, uint32_t type, wire_fn fn)
{
	struct iovec path = wire_string(job->path);
	int r = wire_send(job->nodes->wire, type, 0, &path, 1, fn, job, 0);

	if (!r)
		job->outstanding++;
	return r;
}

static int job_start(struct job *job)
{
	struct nodes *nodes = job->nodes;
	int r = 0;

	DL_DELETE(nodes->waiting, job);
	DL_APPEND(nodes->under_way, job);
	if (nodes->children)
		r = job_send(job, XS_DIRECTORY, on_children);
	if (!r)
		r = job_send(job, XS_READ, on_value);
	if (!r)
		r = job_send(job, XS_GET_PERMS, on_perms);
	return r;
}

int nodes_want(struct nodes *nodes, const char *path, size_t len, int tag)
{
	struct job *job;

	if (len + 1 + OFFSET_MAX > XENSTORE_PAYLOAD_MAX)
		return -ENAMETOOLONG;
	job = calloc(1, sizeof(*job) + len + 1);
	if (!job)
		return -ENOMEM;
	memcpy(job->path, path, len);
	job->nodes = nodes;
	job->node = (struct node){ .path = job->path, .path_len = len, .tag = tag };
	DL_APPEND(nodes->waiting, job);
	nodes->nr++;
	return 0;
}

int nodes_want_children(struct nodes *nodes, const struct node *node, int tag)
{
	size_t slash = node->path_len == 1 ? 0 : node->path_len; /* "/" has it already */
	char path[XENSTORE_PAYLOAD_MAX];
	bool too_long = false;

	memcpy(path, node->path, slash);
	path[slash] = '/';
	for (size_t at = 0; at < node->children_len;) {
		size_t len = strlen(node->children + at);
		int r = -ENAMETOOLONG;

		if (slash + 1 + len <= sizeof(path)) {
			memcpy(path + slash + 1, node->children + at, len);
			r = nodes_want(nodes, path, slash + 1 + len, tag);
		}
		if (r && r != -ENAMETOOLONG)
			return r;
		too_long |= r;
		at += len + 1;
	}
	return too_long ? -ENAMETOOLONG : 0;
}

int nodes_run(struct nodes *nodes, size_t most)
{
	unsigned int room = nodes->children ? REQUESTS_MAX : REQUESTS_MAX - 1;
	int r = 0;

	while (!r && nodes->nr > most) {
		while (!r && nodes->waiting && wire_room(nodes->wire) >= room)
			r = job_start(nodes->waiting);
		if (!r)
			r = wire_wait(nodes->wire);
	}
	return r;
}

static void jobs_free(struct job *jobs)
{
	struct job *job, *next;

	DL_FOREACH_SAFE(jobs, job, next)
		job_free(job);
}

void nodes_free(struct nodes *nodes)
{
	if (!nodes)
		return;
	if (nodes->under_way)
		wire_forget(nodes->wire);
	jobs_free(nodes->waiting);
	jobs_free(nodes->under_way);
	free(nodes);
}

int nodes_new(struct nodes **out, struct wire *wire, bool children, nodes_fn fn, void *arg)
{
	struct nodes *nodes = calloc(1, sizeof(*nodes));

	if (!nodes)
		return -ENOMEM;
	nodes->wire = wire;
	nodes->children = children;
	nodes->fn = fn;
	nodes->arg = arg;
	*out = nodes;
	return 0;
}
