// SPDX-License-Identifier: MIT
#include "proxy/mend/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "migration/format/rules.h"
#include "migration/format/state_stream.h"
#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/memfile.h"
#include "proxy/log.h"
#include "proxy/mirror/mirror.h"
#include "proxy/session/session.h"
#include "proxy/util.h"

struct imaging {
	const struct daemon *daemon;
	const struct tree *tree;
	bool bare;
};

/*
 * What names no domain counts for nobody: an owner is then a domain that is no more, another entry
 * is left out. Return: how many there are.
 */
static uint32_t convert_perms(struct record_perm *to, const struct tree_content *content)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < content->nr_perms; i++) {
		const struct tree_perm *perm = &content->perms[i];
		bool odd = perm->flags & TREE_PERM_ODD;

		if (odd && i)
			continue;
		to[n] = record_perm_make((char)perm->letter,
					 odd ? STATE_DOMID_NOBODY : perm->domid);
		if (odd || perm->flags & TREE_PERM_STALE)
			to[n].pad |= STATE_PERM_STALE;
		n++;
	}
	return n;
}

/* One node that no format has must not cost all others. */
static bool can_be_said(const char *path, size_t len)
{
	struct record_fault fault;

	if (state_path_special(path, len) ? state_path_known(path, len)
					  : !rules_node_path(path, len, 0, &fault))
		return true;
	log_line(LOG_ERR, "%.200s cannot be given to another xenstored, with all below it", path);
	return false;
}

static int put_node(struct state_writer *writer, const struct tree *tree, uint32_t node)
{
	struct record_perm perms[TREE_PERMS_MAX];
	char path[TREE_PATH_MAX + 1];
	struct record_fault fault;
	struct tree_content content;
	struct state_item item = { .kind = STATE_NODE };
	size_t len = tree_path(tree, node, path);
	int err;

	if (!len || !tree_get(tree, node, &content))
		return 0;
	if (!can_be_said(path, len))
		return -ENOTSUP;
	item.node.node = (struct record_node){ .path = path,
					       .path_len = len,
					       .perms = perms,
					       .nr_perms = convert_perms(perms, &content),
					       .value = (const char *)content.value,
					       .value_len = content.value_len };
	err = state_writer_append(writer, &item, &fault);
	if (err == -EBADMSG)
		log_line(LOG_ERR, "%.200s cannot be given to another xenstored: %s", path,
			 fault.reason);
	return err;
}

/* Parents before their children, and these in their order. */
static int put_below(struct state_writer *writer, const struct tree *tree, uint32_t top)
{
	uint32_t node = tree_first(tree, top);
	int err = 0;

	while (!err && node != TREE_NONE) {
		err = put_node(writer, tree, node);
		node = err == -ENOTSUP ? tree_behind(tree, node, top)
				       : tree_following(tree, node, top);
		if (err == -ENOTSUP)
			err = 0;
	}
	return err;
}

/* xenstored's server_features, whatever we can. */
static uint32_t offered(const struct session *s)
{
	return atomic_load_explicit(page_word(&s->place.back_page->server_features),
				    memory_order_relaxed);
}

/* Whether it has said what it offers a domain; dom0, from which nobody can take it, a moment after
 * its start. */
static bool has_offered(const struct session *s)
{
	return s->place.back_page && (offered(s) || s->domid);
}

/*
 * Daemons without a record for it know no other bits. One that has it may have been told not to
 * offer them to a domain (SET_FEATURE), which nobody may say again once that was introduced.
 */
static bool are_of_use(const struct daemon *daemon)
{
	DOMAINS_EACH_SESSION(daemon->domains, s)
		if (has_offered(s) && offered(s) & ~(uint32_t)XENSTORE_SERVER_FEATURE_RECONNECTION)
			return true;
	return false;
}

static int put_offered(struct state_writer *writer, const struct session *s)
{
	struct state_item item = { .kind = STATE_DOMAIN,
				   .domain = { .domid = (uint16_t)s->domid,
					       .has_features = true,
					       .features = offered(s) } };

	return state_writer_append(writer, &item, NULL);
}

static int put_features(struct state_writer *writer, const struct daemon *daemon)
{
	int err = 0;

	if (daemon->flavour != RINGS_FLAVOUR_C || !are_of_use(daemon))
		return 0;
	DOMAINS_EACH_SESSION(daemon->domains, s)
		if (!err && has_offered(s))
			err = put_offered(writer, s);
	return err;
}

static int put_all(struct state_writer *writer, const struct imaging *imaging)
{
	const struct tree *tree = imaging->tree;

	static const struct state_item global = {
		.kind = STATE_GLOBAL,
		.global = { .socket = STATE_NO_FD, .evtchn = STATE_NO_FD, .read_only = STATE_NO_FD }
	};
	int err = state_writer_append(writer, &global, NULL);

	if (!err)
		err = put_features(writer, imaging->daemon);
	if (!err)
		err = put_node(writer, tree, TREE_ROOT);
	if (!err && !imaging->bare)
		err = put_below(writer, tree, TREE_ROOT);
	if (!err)
		err = put_below(writer, tree, TREE_SPECIALS);
	return err ? err : state_writer_finish(writer);
}

static int write_image(FILE *out, void *arg)
{
	const struct imaging *imaging = arg;
	struct state_writer *writer;
	int err = state_writer_new(&writer, out, STATE_C_2);

	if (err)
		return err;
	err = put_all(writer, imaging);
	state_writer_free(writer);
	return err;
}

int image_make(const struct daemon *daemon, const struct mirror *mirror, bool bare)
{
	struct imaging imaging = { daemon, mirror->tree, bare };

	return memfile_make("xsproxy-image", write_image, &imaging);
}
