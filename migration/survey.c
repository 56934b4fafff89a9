// SPDX-License-Identifier: MIT
/*
 * survey - see survey.h.
 */
#include "migration/survey.h"

#include "migration/conversion.h"
#include "migration/nodes.h"
#include "migration/remote.h"
#include "text/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#define DOMIDS (UINT16_MAX + 1)

struct survey {
	struct wire *wire;
	bool ox; /* that is what runs */
	struct omissions *omissions;
	const struct report *report;
	struct conversion *conversion;
	struct nodes *nodes;
	struct buffer perms;		/* of the current node */
	bool owners[DOMIDS];		/* that the conversion has been told of */
	char failed[REPORT_OCTETS_MAX]; /* the path that could not be read, if any */
};

/* --- nodes */

/*
 * Whether it lives is for whoever makes the state, who asks Xen. A domain that a toolstack is just
 * making has no connection either.
 */
static int take_for_alive(struct survey *survey, const struct record_perm *owner)
{
	uint16_t domid = record_perm_domid(owner);
	struct state_item item = {
		.kind = STATE_CONNECTION,
		.connection = { .peer = { .number = domid },
				.has_local = true,
				.has_remote = true },
	};
	int r;

	if (survey->owners[domid])
		return 0;
	survey->owners[domid] = true;
	r = conversion_item(survey->conversion, &item);
	return r < 0 ? r : 0;
}

/* With the permissions that are none, as a reader of a state has them. */
static int join_perms(struct survey *survey, const struct node *node, struct record_node *rec)
{
	size_t nr = node->nr_perms;
	struct record_perm *perms;
	int r = buffer_reserve(&survey->perms, (nr + node->odd_len) * sizeof(*perms));

	if (r)
		return r;
	perms = survey->perms.data;
	memcpy(perms, node->perms, nr * sizeof(*perms));
	for (size_t at = 0; at < node->odd_len; at += strlen(node->odd + at) + 1, nr++) {
		perms[nr] = record_perm_make(node->odd[at], STATE_DOMID_NOBODY);
		perms[nr].pad = STATE_PERM_ODD;
	}
	rec->perms = perms;
	rec->nr_perms = nr;
	return 0;
}

static int look_at(struct survey *survey, const struct node *node)
{
	struct state_item item = { .kind = STATE_NODE,
				   .node.node = { .path = node->path,
						  .path_len = node->path_len,
						  .value = node->value,
						  .value_len = node->value_len } };
	int r = join_perms(survey, node, &item.node.node);

	/* As a reader of its state has them. */
	if (survey->ox && state_path_known(node->path + 1, node->path_len - 1)) {
		item.node.node.path++;
		item.node.node.path_len--;
	}
	if (!r)
		r = take_for_alive(survey, &node->perms[0]);
	if (!r)
		r = conversion_item(survey->conversion, &item);
	return r < 0 ? r : 0;
}

static void leave_out_children(struct survey *survey, const struct node *node)
{
	const struct omission omission = { .what = "a child",
					   .path = node->path,
					   .path_len = node->path_len,
					   .why = "its path fits no request" };

	omissions_add(survey->omissions, &omission);
}

static int on_node(void *arg, struct node *node)
{
	struct survey *survey = arg;
	int r = node->err;

	/* Gone by now; or the daemon has it, and serves no path of so many octets. */
	if (r == -ENOENT || r == -EINVAL)
		return 0;
	if (!r)
		r = look_at(survey, node);
	if (!r)
		r = nodes_want_children(survey->nodes, node, 0);
	if (r == -ENAMETOOLONG) {
		leave_out_children(survey, node);
		r = 0;
	}
	if (r)
		report_octets(survey->failed, node->path, node->path_len);
	return r;
}

int survey_nodes(struct survey *survey)
{
	int r = nodes_want(survey->nodes, "/", 1, 0);

	if (!r)
		r = nodes_run(survey->nodes, 0);
	return r ? report_fail(survey->report, r, "cannot read %s: %s",
			       survey->failed[0] ? survey->failed : "the nodes", report_reason(r))
		 : 0;
}

/* --- watches */

static int look_at_watch(struct survey *survey, uint16_t domid, const struct remote_watch *watch)
{
	char path[XENSTORE_PAYLOAD_MAX];
	bool relative = *watch->path != '/' && *watch->path != '@';
	/* In full, for whoever reads it must know whose it is. */
	int len = relative ? snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, watch->path)
			   : 0;
	bool full = len > 0 && len < (int)sizeof(path);
	struct state_item item = { .kind = STATE_WATCH,
				   .watch = { .peer = { .number = domid },
					      .path = full ? path : watch->path,
					      .path_len = strlen(full ? path : watch->path),
					      .token = watch->token,
					      .token_len = strlen(watch->token) } };
	int r;

	if (watch->depth) {
		item.watch.has_depth = true;
		item.watch.depth = strtoull(watch->depth, NULL, 10);
	}
	r = conversion_item(survey->conversion, &item);
	return r < 0 ? r : 0;
}

int survey_watches(struct survey *survey, uint16_t domid)
{
	struct remote_watches watches;
	int r = remote_get_watches(survey->wire, domid, &watches);

	if (r == -ENOENT)
		return 0;
	if (r)
		return report_fail(survey->report, r, "domain %u: %s", domid, remote_reason(r));
	for (size_t i = 0; !r && i < watches.nr; i++)
		r = look_at_watch(survey, domid, &watches.list[i]);
	remote_watches_free(&watches);
	return r ? report_fail(survey->report, r, "%s", report_reason(r)) : 0;
}

/* --- */

void survey_free(struct survey *survey)
{
	if (!survey)
		return;
	nodes_free(survey->nodes);
	conversion_free(survey->conversion);
	free(survey->perms.data);
	free(survey);
}

int survey_new(struct survey **out, struct wire *wire, bool ox,
	       const struct conversion_options *options, struct omissions *omissions,
	       const struct report *report)
{
	struct survey *survey = calloc(1, sizeof(*survey));
	int r;

	if (!survey)
		return -ENOMEM;
	survey->wire = wire;
	survey->ox = ox;
	survey->omissions = omissions;
	survey->report = report;
	r = conversion_new(&survey->conversion, options, omissions);
	if (!r)
		r = nodes_new(&survey->nodes, wire, true, on_node, survey);
	if (r) {
		survey_free(survey);
		return r;
	}
	*out = survey;
	return 0;
}
