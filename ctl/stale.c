// SPDX-License-Identifier: MIT
/*
 * stale - see stale.h.
 */
#include "ctl/stale.h"

#include "migration/confine.h"
#include "migration/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG 64 /* nodes asked for at a time */

static int on_node(void *arg, struct node *node)
{
	struct stale *stale = arg;

	if (node->err == -ENOENT)
		stale->watches[node->tag].reason = STALE_NODE;
	return 0;
}

/* "@..." is no node; a relative path is one in the domain's home. */
static int want_node(struct nodes *nodes, uint16_t domid, const char *path, size_t index)
{
	char *absolute;
	int len, r;

	if (*path == '@')
		return 0;
	if (*path == '/')
		return nodes_want(nodes, path, strlen(path), (int)index);
	len = asprintf(&absolute, "/local/domain/%u/%s", domid, path);
	if (len < 0)
		return -ENOMEM;
	r = nodes_want(nodes, absolute, (size_t)len, (int)index);
	free(absolute);
	return r;
}

static int find_nodes(struct stale *stale, struct wire *wire, uint16_t domid,
		      const struct remote_watches *watches)
{
	struct nodes *nodes = NULL;
	int r = nodes_new(&nodes, wire, false, on_node, stale);

	for (size_t i = 0; !r && i < watches->nr; i++) {
		r = want_node(nodes, domid, watches->list[i].path, i);
		if (r == -ENAMETOOLONG) /* nobody can read it, so nothing is known of it */
			r = 0;
		if (!r)
			r = nodes_run(nodes, BACKLOG);
	}
	if (!r)
		r = nodes_run(nodes, 0);
	nodes_free(nodes);
	return r;
}

/* The domain in whose home a path is; 0, which never ends, for none. */
static uint16_t home_of(const char *path)
{
	uint16_t domid;

	return confine_path_home(path, strlen(path), &domid) ? domid : 0;
}

static int find_domains(struct stale *stale, struct wire *wire,
			const struct remote_watches *watches)
{
	/* Watches on one domain's nodes mostly follow each other. */
	uint16_t asked = 0;
	bool here = true;
	int r = 0;

	for (size_t i = 0; !r && i < watches->nr; i++) {
		uint16_t domid = home_of(watches->list[i].path);

		if (!domid)
			continue;
		if (domid != asked)
			r = remote_is_introduced(wire, domid, &here);
		asked = domid;
		if (!r && !here)
			stale->watches[i] = (struct stale_watch){ STALE_DOMAIN, domid };
	}
	return r;
}

int stale_find(struct stale *stale, struct wire *wire, uint16_t domid,
	       const struct remote_watches *watches)
{
	int r;

	stale->watches = calloc(watches->nr + 1, sizeof(*stale->watches)); /* never of 0 */
	if (!stale->watches)
		return -ENOMEM;
	r = find_nodes(stale, wire, domid, watches);
	if (!r)
		r = find_domains(stale, wire, watches);
	for (size_t i = 0; i < watches->nr; i++)
		stale->nr += stale->watches[i].reason != STALE_NOT;
	return r;
}

bool stale_why(const struct stale *stale, size_t index, char out[STALE_WHY_MAX])
{
	const struct stale_watch *watch = &stale->watches[index];

	if (watch->reason == STALE_DOMAIN)
		snprintf(out, STALE_WHY_MAX, "domain %u is not introduced", watch->domid);
	else
		snprintf(out, STALE_WHY_MAX, "there is no such node");
	return watch->reason != STALE_NOT;
}

void stale_clear(struct stale *stale)
{
	free(stale->watches);
	*stale = (struct stale){ 0 };
}
