// SPDX-License-Identifier: MIT
#include "proxy/mirror/mirror.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/log.h"

/* Of the annals so much may be of no use: an eighth of what is, and a little. */
#define SLACK	   65536u
#define TIDY_STEPS 64u

static struct mirror *alloc_mirror(void)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));

	if (mirror)
		mirror->annals = (struct annals)ANNALS_NULL;
	return mirror;
}

struct mirror *mirror_free(struct mirror *mirror)
{
	if (!mirror)
		return NULL;
	drafts_free(mirror->drafts);
	tree_free(mirror->tree);
	annals_close(&mirror->annals);
	free(mirror);
	return NULL;
}

static int fill_new(struct mirror *mirror)
{
	int err;

	annals_begin(&mirror->annals);
	err = tree_new(&mirror->tree, &mirror->annals);
	if (!err)
		err = drafts_new(&mirror->drafts, &mirror->annals);
	if (!err)
		annals_end(&mirror->annals);
	return err;
}

int mirror_make(struct mirror **out, uint64_t rings, enum rings_flavour flavour, uint64_t most)
{
	struct mirror *mirror = alloc_mirror();
	int err = mirror ? annals_create(&mirror->annals, rings, flavour, most) : -ENOMEM;

	if (!err)
		err = fill_new(mirror);
	if (err) {
		mirror_free(mirror);
		return err;
	}
	mirror->flavour = flavour;
	*out = mirror;
	return 0;
}

static int replay_one(struct mirror *mirror, const struct annals_record *record, uint64_t pos)
{
	switch (record->kind) {
	case TREE_NODE:
	case TREE_GONE:
		return tree_replay(mirror->tree, pos);
	case DRAFT_CHANGE:
	case DRAFT_OVER:
		return drafts_replay(mirror->drafts, pos);
	default:
		return -EINVAL;
	}
}

static int replay(struct mirror *mirror)
{
	uint64_t pos = annals_head(&mirror->annals), next, end = annals_tail(&mirror->annals);
	int err = tree_replay_begin(&mirror->tree, &mirror->annals);

	if (!err)
		err = drafts_new(&mirror->drafts, &mirror->annals);
	for (; !err && pos < end; pos = next) {
		const struct annals_record *record = annals_step(&mirror->annals, pos, &next);

		if (next == pos)
			return -EINVAL;
		err = record ? replay_one(mirror, record, pos) : 0;
	}
	return err ? err : tree_replay_end(mirror->tree);
}

int mirror_find(struct mirror **out, int fd, uint64_t rings, uint64_t most)
{
	struct mirror *mirror = alloc_mirror();
	int err = mirror ? annals_open(&mirror->annals, fd, most) : -ENOMEM;

	if (err)
		close(fd);
	if (!err && annals_header(&mirror->annals)->rings != rings)
		err = -ESTALE;
	if (!err)
		err = replay(mirror);
	if (err) {
		mirror_free(mirror);
		return err;
	}
	mirror->flavour = (enum rings_flavour)annals_header(&mirror->annals)->flavour;
	*out = mirror;
	return 0;
}

int mirror_fd(const struct mirror *mirror)
{
	return mirror->annals.arena.fd;
}

void mirror_flavour(struct mirror *mirror, enum rings_flavour flavour)
{
	mirror->flavour = flavour;
	annals_header(&mirror->annals)->flavour = flavour;
}

uint64_t mirror_rings(const struct mirror *mirror)
{
	return annals_header(&mirror->annals)->rings;
}

bool mirror_is_whole(const struct mirror *mirror)
{
	return !mirror->broken && atomic_load(&annals_header(&mirror->annals)->whole);
}

void mirror_whole(struct mirror *mirror, bool whole)
{
	atomic_store(&annals_header(&mirror->annals)->whole, whole);
}

uint32_t mirror_unsure(const struct mirror *mirror)
{
	return atomic_load(&annals_header(&mirror->annals)->unsure);
}

void mirror_count_unsure(struct mirror *mirror, int32_t by)
{
	atomic_fetch_add(&annals_header(&mirror->annals)->unsure, (uint32_t)by);
}

/* --- changes */

void mirror_break(struct mirror *mirror, int err)
{
	if (mirror->broken)
		return;
	log_line(LOG_ERR,
		 "the mirror of the store is of no more use (%s); if xenstored crashes now its "
		 "content is lost; see [mirror] memory",
		 strerror(-err));
	mirror->broken = true;
	mirror_whole(mirror, false);
}

static bool is_untidy(const struct mirror *mirror)
{
	uint64_t used = annals_tail(&mirror->annals) - annals_head(&mirror->annals);
	uint64_t live = tree_live(mirror->tree) + drafts_live(mirror->drafts);

	return used > live + live / 8 + SLACK;
}

/* The oldest record goes, or behind the others. */
static int tidy_one(struct mirror *mirror)
{
	uint64_t pos = annals_head(&mirror->annals), next;
	const struct annals_record *record = annals_step(&mirror->annals, pos, &next);
	int err = next == pos ? -EINVAL : 0;

	if (record && !err) {
		annals_begin(&mirror->annals);
		err = record->kind < TREE_KINDS ? tree_keep(mirror->tree, pos)
						: drafts_keep(mirror->drafts, pos);
		if (!err)
			annals_end(&mirror->annals);
	}
	if (!err)
		annals_drop(&mirror->annals, next);
	return err;
}

void mirror_begin(struct mirror *mirror)
{
	annals_begin(&mirror->annals);
}

void mirror_end(struct mirror *mirror, int err)
{
	if (!err)
		annals_end(&mirror->annals);
	for (uint32_t i = 0; !err && i < TIDY_STEPS && is_untidy(mirror); i++)
		err = tidy_one(mirror);
	if (err)
		mirror_break(mirror, err);
}

/* --- domains */

/* Of the C daemon the entry stays, and counts for nobody; oxenstored takes it away. */
static uint32_t end_perms(struct tree_perm *perms, const struct tree_content *content,
			  uint32_t domid, enum rings_flavour flavour)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < content->nr_perms; i++) {
		perms[n] = content->perms[i];
		if (perms[n].domid == domid && flavour == RINGS_FLAVOUR_OCAML && i)
			continue;
		if (perms[n].domid == domid)
			perms[n].flags |= TREE_PERM_STALE;
		n++;
	}
	return n;
}

static bool names(const struct tree_content *content, uint32_t domid)
{
	for (uint32_t i = 0; i < content->nr_perms; i++)
		if (content->perms[i].domid == domid &&
		    !(content->perms[i].flags & TREE_PERM_STALE))
			return true;
	return false;
}

struct ending {
	uint32_t domid;
	void (*removed)(void *arg, const char *path, uint32_t len);
	void *arg;
};

static int remove_node(struct mirror *mirror, uint32_t node, const struct ending *ending)
{
	char path[TREE_PATH_MAX + 1];
	size_t len = ending->removed ? tree_path(mirror->tree, node, path) : 0;

	if (len)
		ending->removed(ending->arg, path, (uint32_t)len);
	return tree_remove(mirror->tree, node);
}

static int end_in_node(struct mirror *mirror, uint32_t node, const struct ending *ending)
{
	struct tree_perm perms[TREE_PERMS_MAX];
	struct tree_content content;

	if (!tree_get(mirror->tree, node, &content) || !names(&content, ending->domid))
		return 0;
	if (content.perms[0].domid == ending->domid && node != TREE_ROOT &&
	    tree_parent(mirror->tree, node) != TREE_SPECIALS)
		return remove_node(mirror, node, ending);
	content.nr_perms = end_perms(perms, &content, ending->domid, mirror->flavour);
	content.perms = perms;
	return tree_set(mirror->tree, node, &content);
}

void mirror_domain_gone(struct mirror *mirror, uint32_t domid,
			void (*removed)(void *arg, const char *path, uint32_t len), void *arg)
{
	const struct ending ending = { domid, removed, arg };
	int err = 0;

	if (mirror->broken)
		return;
	mirror_begin(mirror);
	for (uint32_t node = 0; !err && node < tree_numbers(mirror->tree); node++)
		if (tree_is_node(mirror->tree, node))
			err = end_in_node(mirror, node, &ending);
	mirror_end(mirror, err);
	/* Who is killed before this does it once more. */
	atomic_store(&annals_header(&mirror->annals)->domains[domid], 0);
}

uint32_t mirror_domain(const struct mirror *mirror, uint32_t domid)
{
	return atomic_load(&annals_header(&mirror->annals)->domains[domid]);
}

void mirror_domain_is(struct mirror *mirror, uint32_t domid, uint32_t map_gen)
{
	uint32_t before = mirror_domain(mirror, domid);

	if (before && before != map_gen)
		mirror_domain_gone(mirror, domid, NULL, NULL);
	atomic_store(&annals_header(&mirror->annals)->domains[domid], map_gen);
}

void mirror_domains_only(struct mirror *mirror,
			 bool (*there)(void *arg, uint32_t domid, uint32_t map_gen), void *arg)
{
	for (uint32_t domid = 0; domid < ARENA_DOMIDS; domid++) {
		uint32_t map_gen = mirror_domain(mirror, domid);

		if (map_gen && !there(arg, domid, map_gen))
			mirror_domain_gone(mirror, domid, NULL, NULL);
	}
}

uint64_t mirror_octets(const struct mirror *mirror)
{
	return annals_tail(&mirror->annals) - annals_head(&mirror->annals) +
	       tree_heap(mirror->tree);
}
