// SPDX-License-Identifier: MIT
#include "proxy/mend/compare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint32_t find(const struct mirror *mirror, const struct reading *reading)
{
	return tree_look_up(mirror->tree, reading->path, reading->len, NULL);
}

/* Whether two permissions say the same, as far as that can be read. */
static bool perms_equal(const struct tree_perm *a, const struct tree_perm *b)
{
	return a->letter == b->letter &&
	       (a->domid == b->domid || ((a->flags | b->flags) & TREE_PERM_ODD));
}

/* The next one from @i on that counts for somebody: image.c leaves out the others. */
static uint32_t next_perm(const struct tree_content *content, uint32_t i)
{
	while (i && i < content->nr_perms && content->perms[i].flags & TREE_PERM_ODD)
		i++;
	return i;
}

static bool all_perms_equal(const struct tree_content *a, const struct tree_content *b)
{
	uint32_t i = 0, k = 0;

	while (i < a->nr_perms && k < b->nr_perms) {
		if (!perms_equal(&a->perms[i], &b->perms[k]))
			return false;
		i = next_perm(a, i + 1);
		k = next_perm(b, k + 1);
	}
	return i >= a->nr_perms && k >= b->nr_perms;
}

static bool values_equal(const struct tree_content *a, const struct tree_content *b)
{
	return a->value_len == b->value_len &&
	       (!a->value_len || !memcmp(a->value, b->value, a->value_len));
}

/* --- children */

/* Each name in turn. Return: the next one, or NULL. */
static const char *next_name(const struct reading *reading, const char *name)
{
	const char *end;

	/* No pointer then: nothing may be added to it, not even zero. */
	if (!reading->children_len)
		return NULL;
	end = reading->children + reading->children_len;
	name = name ? name + strnlen(name, (size_t)(end - name)) + 1 : reading->children;
	return name < end && memchr(name, '\0', (size_t)(end - name)) ? name : NULL;
}

static uint32_t count_names(const struct reading *reading)
{
	uint32_t n = 0;

	for (const char *name = next_name(reading, NULL); name; name = next_name(reading, name))
		n++;
	return n;
}

static uint32_t count_children(const struct mirror *mirror, uint32_t node)
{
	uint32_t n = 0;

	TREE_EACH_CHILD(mirror->tree, node, child)
	n++;
	return n;
}

/* The first name that the mirror has not, or NULL. */
static const char *first_new(const struct mirror *mirror, uint32_t node,
			     const struct reading *reading)
{
	const char *name = next_name(reading, NULL);

	while (name && tree_find(mirror->tree, node, name, strlen(name)) != TREE_NONE)
		name = next_name(reading, name);
	return name;
}

static bool is_named(const struct reading *reading, const char *name, size_t len)
{
	const char *it = next_name(reading, NULL);

	while (it && (strlen(it) != len || memcmp(it, name, len)))
		it = next_name(reading, it);
	return it;
}

/* --- what differs */

bool compare_node(const struct mirror *mirror, const struct reading *reading, char *text)
{
	uint32_t node = find(mirror, reading);
	struct tree_content content;
	const char *what = NULL, *name;

	*text = '\0';
	if (node == TREE_NONE)
		what = reading->err ? NULL : "it is not in the mirror";
	else if (reading->err)
		what = "it is in the mirror, and not in the store";
	else if (!tree_get(mirror->tree, node, &content))
		return false;
	else if (!values_equal(&content, &reading->content))
		what = "its value";
	else if (!all_perms_equal(&content, &reading->content))
		what = "its permissions";
	if (what) {
		snprintf(text, COMPARE_TEXT_MAX, "%.180s: %s", reading->path, what);
		return true;
	}
	if (node == TREE_NONE)
		return false;
	name = first_new(mirror, node, reading);
	if (name)
		snprintf(text, COMPARE_TEXT_MAX, "%.120s: its child %.60s is not in the mirror",
			 reading->path, name);
	else if (count_names(reading) != count_children(mirror, node))
		snprintf(text, COMPARE_TEXT_MAX, "%.180s: a child is in the mirror alone",
			 reading->path);
	return *text;
}

/* --- mending */

/* An entry that counted for nobody, and is there still, does not count now. */
static void keep_stale(struct tree_perm *perms, uint32_t nr, const struct tree_content *old)
{
	for (uint32_t i = 0; i < nr; i++)
		for (uint32_t k = 0; k < old->nr_perms; k++)
			if (perms_equal(&perms[i], &old->perms[k]))
				perms[i].flags |= old->perms[k].flags & TREE_PERM_STALE;
}

static bool same_content(const struct mirror *mirror, uint32_t node, const struct reading *reading)
{
	struct tree_content old;

	return tree_get(mirror->tree, node, &old) && values_equal(&old, &reading->content) &&
	       all_perms_equal(&old, &reading->content);
}

static int set_content(struct mirror *mirror, uint32_t node, const struct reading *reading)
{
	struct tree_perm perms[TREE_PERMS_MAX];
	struct tree_content content = reading->content, old;

	if (same_content(mirror, node, reading))
		return 0;
	memcpy(perms, content.perms, content.nr_perms * sizeof(*perms));
	if (tree_get(mirror->tree, node, &old))
		keep_stale(perms, content.nr_perms, &old);
	content.perms = perms;
	return tree_set(mirror->tree, node, &content);
}

/* Where it is to be: the node above it must be there. */
static int add_node(struct mirror *mirror, const struct reading *reading, uint32_t *node)
{
	const char *slash = memrchr(reading->path, '/', reading->len);
	uint32_t parent = TREE_SPECIALS;
	const char *name = slash ? slash + 1 : reading->path;

	if (slash)
		parent = tree_look_up(
			mirror->tree, reading->path,
			slash == reading->path ? 1 : (uint32_t)(slash - reading->path), NULL);
	*node = TREE_NONE;
	if (parent == TREE_NONE)
		return 0;
	return tree_add(mirror->tree, parent, name, reading->len - (size_t)(name - reading->path),
			&reading->content, node);
}

static int remove_others(struct mirror *mirror, uint32_t node, const struct reading *reading)
{
	uint32_t child = tree_first(mirror->tree, node), next;
	int err = 0;

	if (count_children(mirror, node) == count_names(reading) &&
	    !first_new(mirror, node, reading))
		return 0;
	for (; child != TREE_NONE && !err; child = next) {
		size_t len;
		const char *name = tree_name(mirror->tree, child, &len);

		next = tree_next(mirror->tree, child);
		if (!is_named(reading, name, len))
			err = tree_remove(mirror->tree, child);
	}
	return err;
}

static void tell_child(const struct reading *reading, const char *name,
		       void (*child)(void *arg, const char *path, uint32_t len), void *arg)
{
	char path[TREE_PATH_MAX + 1];
	int n = snprintf(path, sizeof(path), "%s/%s", reading->len == 1 ? "" : reading->path, name);

	if (n <= (int)TREE_PATH_MAX)
		child(arg, path, (uint32_t)n);
}

static int take_children(struct mirror *mirror, uint32_t node, const struct reading *reading,
			 bool unread, bool deep,
			 void (*child)(void *arg, const char *path, uint32_t len), void *arg)
{
	const struct tree_content nothing = { .nr_perms = 0 };
	int err = 0;

	for (const char *name = next_name(reading, NULL); name && !err;
	     name = next_name(reading, name)) {
		uint32_t it = tree_find(mirror->tree, node, name, strlen(name));

		if (it == TREE_NONE && unread)
			err = tree_add(mirror->tree, node, name, strlen(name), &nothing, &it);
		else if (it == TREE_NONE || deep)
			tell_child(reading, name, child, arg);
	}
	return err;
}

int compare_mend(struct mirror *mirror, const struct reading *reading, bool unread, bool deep,
		 void (*child)(void *arg, const char *path, uint32_t len), void *arg)
{
	uint32_t node = find(mirror, reading);
	int err;

	if (reading->err)
		return node == TREE_NONE || node == TREE_ROOT ? 0 : tree_remove(mirror->tree, node);
	err = node == TREE_NONE ? add_node(mirror, reading, &node)
				: set_content(mirror, node, reading);
	if (err || node == TREE_NONE)
		return err;
	err = remove_others(mirror, node, reading);
	return err ? err : take_children(mirror, node, reading, unread, deep, child, arg);
}
