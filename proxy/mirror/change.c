// SPDX-License-Identifier: MIT
#include "proxy/mirror/change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/message.h"
#include "proxy/util.h"

/* --- the request */

static enum change_kind kind_of(uint32_t type)
{
	switch (type) {
	case XS_WRITE:
		return CHANGE_WRITE;
	case XS_MKDIR:
		return CHANGE_MKDIR;
	case XS_RM:
		return CHANGE_RM;
	case XS_SET_PERMS:
		return CHANGE_PERMS;
	default:
		return CHANGE_NOTHING;
	}
}

static bool is_plain(char c)
{
	static const bool plain[UINT8_MAX + 1] = { ['a' ... 'z'] = true, ['A' ... 'Z'] = true,
						   ['0' ... '9'] = true, ['-'] = true,
						   ['_'] = true,	 ['@'] = true };

	return plain[(uint8_t)c];
}

/* How much of an absolute path is one that all read alike, up to whole names; all before @i is. */
static uint32_t plain_part(const char *path, uint32_t len, uint32_t i)
{
	uint32_t whole = i > 1 ? i - 1 : 1;

	for (; i < len; i++) {
		if (path[i] != '/' && !is_plain(path[i]))
			return whole;
		if (path[i] == '/' && path[i - 1] == '/')
			return whole;
		if (path[i] == '/')
			whole = i;
	}
	return len > 1 && path[len - 1] == '/' ? whole : len;
}

void change_home(struct change_home *home, uint32_t domid)
{
	home->len = (uint8_t)sprintf(home->path, "/local/domain/%u/", domid);
	home->shape = 0;
}

static void read_path(struct change *change, const uint8_t *text, uint32_t len,
		      struct change_home *home)
{
	const char *path = (const char *)text;
	uint32_t base = 0, n;

	change->home = NULL;
	change->place = (struct change_place){ 0 };
	if (!len || (*path != '/' && *path != '@')) {
		change->home = home;
		base = home->len;
		memcpy(change->path, home->path, base);
	}
	n = base + len;
	if (n > TREE_PATH_MAX) {
		/* What is cut off is not certain anyhow. */
		change->odd = true;
		n = TREE_PATH_MAX;
	}
	memcpy(change->path + base, path, n - base);
	change->len =
		(uint16_t)(*change->path == '@' ? n : plain_part(change->path, n, base ? base : 1));
	change->odd |= change->len != n || !len;
	change->path[change->len] = '\0';
}

bool change_read(struct change *change, uint32_t type, const uint8_t *payload, uint32_t len,
		 struct change_home *home)
{
	uint32_t path_len, behind;

	change->kind = kind_of(type);
	if (change->kind == CHANGE_NOTHING) {
		memset(change, 0, offsetof(struct change, path) + 1);
		return false;
	}
	path_len = (uint32_t)strnlen((const char *)payload, len);
	behind = path_len < len ? path_len + 1 : len;
	change->odd = path_len == len;
	change->rest = payload + behind;
	change->rest_len = (uint16_t)(len - behind);
	read_path(change, payload, path_len, home);
	if ((change->kind == CHANGE_MKDIR || change->kind == CHANGE_RM) && change->rest_len)
		change->odd = true;
	return true;
}

void change_keep(struct change *to, const struct change *change)
{
	uint8_t *rest = (uint8_t *)to + offsetof(struct change, path) + change->len + 1;

	memcpy(to, change, offsetof(struct change, path) + change->len + 1u);
	if (change->rest_len)
		memcpy(rest, change->rest, change->rest_len);
	to->rest = rest;
}

/* --- permissions */

size_t change_perm_text(char *text, const struct tree_perm *perm)
{
	return (size_t)sprintf(text, "%c%u", perm->letter, perm->domid);
}

static bool read_perm(struct tree_perm *perm, const char *text)
{
	unsigned long domid;
	char *end;

	if (!strchr("wrbn", *text) || text[1] < '0' || text[1] > '9' || (text[1] == '0' && text[2]))
		return false;
	domid = strtoul(text + 1, &end, 10);
	if (*end)
		return false;
	*perm = (struct tree_perm){ .domid = (uint16_t)domid, .letter = (uint8_t)*text };
	if (domid > UINT16_MAX)
		perm->flags = TREE_PERM_ODD;
	return true;
}

uint32_t change_perms_read(struct tree_perm *perms, const uint8_t *text, size_t len)
{
	const char *p = (const char *)text, *end = p + len;
	uint32_t n = 0;

	if (!len || end[-1])
		return 0;
	for (; p < end; p += strlen(p) + 1)
		if (n == TREE_PERMS_MAX || !*p || !read_perm(&perms[n++], p))
			return 0;
	return n;
}

/* --- what comes of it */

/* The node that relative paths are below; or TREE_NONE. */
static uint32_t find_home(const struct tree *tree, struct change_home *home)
{
	if (home->shape != tree_shape(tree)) {
		home->node = tree_look_up(tree, home->path, home->len - 1, NULL);
		home->shape = tree_shape(tree);
	}
	return home->node;
}

static uint32_t look_up(const struct tree *tree, const struct change *change, uint32_t *above)
{
	struct change_home *home = change->home;
	uint32_t node = home && change->len > home->len ? find_home(tree, home) : TREE_NONE;

	if (node == TREE_NONE)
		return tree_look_up(tree, change->path, change->len, above);
	return tree_look_below(tree, node, change->path + home->len, change->len - home->len,
			       above);
}

static uint32_t find(const struct tree *tree, const struct change *change, uint32_t *above)
{
	if (change->place.shape != tree_shape(tree))
		return look_up(tree, change, above);
	if (above)
		*above = change->place.above;
	return change->place.node;
}

void change_find(const struct tree *tree, struct change *change)
{
	change->place.node = find(tree, change, &change->place.above);
	change->place.shape = tree_shape(tree);
}

/* The first @n names of a path take that many octets. */
static uint32_t names_len(const char *path, uint32_t len, uint32_t n)
{
	uint32_t at = 0;

	while (n-- && at < len)
		for (at++; at < len && path[at] != '/';)
			at++;
	return at;
}

static uint32_t depth_of(const struct tree *tree, uint32_t node)
{
	uint32_t depth = 0;

	for (; tree_parent(tree, node) != TREE_NONE; node = tree_parent(tree, node))
		depth++;
	return depth;
}

/* How much of the path the first node takes that there is not; @above is the one above that. */
static uint32_t first_missing(const struct tree *tree, const struct change *change, uint32_t above)
{
	return *change->path == '@'
		       ? change->len
		       : names_len(change->path, change->len, depth_of(tree, above) + 1);
}

uint32_t change_top(const struct tree *tree, const struct change *change)
{
	uint32_t above;

	if (find(tree, change, &above) != TREE_NONE)
		return change->len;
	return first_missing(tree, change, above);
}

static bool perms_allow(const struct tree_content *content, uint32_t domid)
{
	const struct tree_perm *perm = content->perms;

	for (uint32_t i = 1; i < content->nr_perms; i++)
		if (perm[i].domid == domid && !perm[i].flags)
			return perm[i].letter == 'w' || perm[i].letter == 'b';
	return perm[0].domid == domid || perm[0].letter == 'w' || perm[0].letter == 'b';
}

static bool may_write(const struct tree *tree, uint32_t node, uint32_t domid)
{
	struct tree_content content;

	return !tree_get(tree, node, &content) || perms_allow(&content, domid);
}

bool change_may(const struct tree *tree, const struct change *change, const struct change_by *by)
{
	uint32_t above, node = find(tree, change, &above);

	if (by->privileged)
		return true;
	if (*change->path == '@')
		return false;
	if (node == TREE_NONE)
		return may_write(tree, above, by->domid);
	/* Of some requests daemons ask whether the one above may be written. */
	return may_write(tree, node, by->domid) ||
	       (node != TREE_ROOT && may_write(tree, tree_parent(tree, node), by->domid));
}

/* What a new node has from the one above it; docs/daemons.md. */
static void inherit(struct tree_perm *perms, const struct tree_content *above,
		    const struct change_by *by)
{
	memcpy(perms, above->perms, above->nr_perms * sizeof(*perms));
	if (by->flavour == RINGS_FLAVOUR_C && !by->privileged) {
		perms[0].domid = (uint16_t)by->domid;
		perms[0].flags = 0;
	}
}

/* The node at the path, and all that is missing above it. */
static int make(struct tree *tree, const struct change *change, const struct change_by *by,
		uint32_t above)
{
	struct tree_perm perms[TREE_PERMS_MAX];
	struct tree_content content;
	uint32_t at = names_len(change->path, change->len, depth_of(tree, above)), end;
	int err;

	if (!tree_get(tree, above, &content))
		return 0; /* it will be read */
	inherit(perms, &content, by);
	content = (struct tree_content){ .perms = perms, .nr_perms = content.nr_perms };
	do {
		const char *name = change->path + at + 1;

		end = at + 1 + (uint32_t)strcspn(name, "/");
		if (end == change->len && change->kind == CHANGE_WRITE) {
			content.value = change->rest;
			content.value_len = change->rest_len;
		}
		err = tree_add(tree, above, name, end - at - 1, &content, &above);
		at = end;
	} while (!err && at < change->len);
	return err;
}

static int apply_value(struct tree *tree, const struct change *change, const struct change_by *by)
{
	struct tree_content content;
	uint32_t above, node = find(tree, change, &above);

	if (node == TREE_NONE)
		return make(tree, change, by, above);
	if (change->kind == CHANGE_MKDIR || !tree_get(tree, node, &content))
		return 0;
	content.value = change->rest;
	content.value_len = change->rest_len;
	return tree_set(tree, node, &content);
}

static int apply_rm(struct tree *tree, const struct change *change)
{
	uint32_t node = find(tree, change, NULL);
	int err = 0;

	if (node == TREE_NONE)
		return 0;
	if (node != TREE_ROOT)
		return tree_remove(tree, node);
	while (!err && tree_first(tree, node) != TREE_NONE)
		err = tree_remove(tree, tree_first(tree, node));
	return err;
}

static int apply_perms(struct tree *tree, const struct change *change)
{
	struct tree_perm perms[TREE_PERMS_MAX];
	struct tree_content content = { .perms = perms };
	uint32_t above, node = find(tree, change, &above);
	struct tree_content old;

	content.nr_perms = change_perms_read(perms, change->rest, change->rest_len);
	if (!content.nr_perms)
		return 1;
	if (node == TREE_NONE && *change->path == '@')
		return tree_add(tree, TREE_SPECIALS, change->path, change->len, &content, &node);
	/* oxenstored may have made it all the same. */
	if (node == TREE_NONE)
		return !tree_is_unread(tree, above);
	if (!tree_get(tree, node, &old) && *change->path != '@')
		return 0;
	content.value = old.value;
	content.value_len = old.value_len;
	return tree_set(tree, node, &content);
}

int change_apply(struct tree *tree, const struct change *change, const struct change_by *by)
{
	if (change->odd)
		return 1;
	switch (change->kind) {
	case CHANGE_WRITE:
	case CHANGE_MKDIR:
		return apply_value(tree, change, by);
	case CHANGE_RM:
		return apply_rm(tree, change);
	case CHANGE_PERMS:
		return apply_perms(tree, change);
	case CHANGE_NOTHING:
		break;
	}
	return 0;
}

/* oxenstored has made what is above by then. */
int change_refused(const struct tree *tree, const struct change *change, const struct change_by *by,
		   int err, uint32_t *len)
{
	uint32_t above;

	if (by->flavour != RINGS_FLAVOUR_OCAML ||
	    (change->kind != CHANGE_WRITE && change->kind != CHANGE_MKDIR) || err == EACCES)
		return 0;
	if (find(tree, change, &above) != TREE_NONE || tree_is_unread(tree, above))
		return 0;
	*len = first_missing(tree, change, above);
	return 1;
}

/* Whether @len octets are all of a path, or end at one of its nodes. */
static bool ends_at_node(const char *path, uint32_t path_len, uint32_t len)
{
	return path_len == len || path[len] == '/';
}

uint32_t change_common(const char *a, uint32_t a_len, const char *b, uint32_t b_len)
{
	uint32_t n = min_u32(a_len, b_len), i = 0;

	while (i < n && a[i] == b[i])
		i++;
	if (i == n && ends_at_node(a, a_len, n) && ends_at_node(b, b_len, n))
		return n;
	while (i && a[i] != '/')
		i--;
	return i ? i : 1;
}
