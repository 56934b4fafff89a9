// SPDX-License-Identifier: MIT
#include "proxy/mirror/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/clock.h"
#include "proxy/mirror/tree_parts.h"

#define NUMBERS_MOST (1u << 24)
#define VALUE_MOST   4095u
#define GONE_MOST    1024u /* numbers of nodes in one record */

/* --- brothers */

void tree_link_last(struct tree *tree, uint32_t node)
{
	struct node *it = at(tree, node), *parent = at(tree, parent_of(tree, node));
	uint32_t first = parent->first;

	it->next = TREE_NONE;
	it->prev = node;
	if (first == TREE_NONE) {
		parent->first = node;
		return;
	}
	it->prev = at(tree, first)->prev;
	at(tree, it->prev)->next = node;
	at(tree, first)->prev = node;
}

void tree_unlink_node(struct tree *tree, uint32_t node)
{
	struct node *it = at(tree, node), *parent = at(tree, parent_of(tree, node));

	if (parent->first == node)
		parent->first = it->next;
	else
		at(tree, it->prev)->next = it->next;
	if (it->next != TREE_NONE)
		at(tree, it->next)->prev = it->prev;
	else if (parent->first != TREE_NONE)
		at(tree, parent->first)->prev = it->prev;
}

/* --- numbers */

static int add_chunk(struct tree *tree)
{
	struct node *chunk;

	if (!(tree->chunks_len & (tree->chunks_len - 1))) {
		size_t len = tree->chunks_len ? tree->chunks_len * 2ULL : 1;
		struct node **chunks = realloc(tree->chunks, len * sizeof(*chunks));

		if (!chunks)
			return -ENOMEM;
		tree->chunks = chunks;
	}
	chunk = malloc(CHUNK * sizeof(*chunk));
	if (!chunk)
		return -ENOMEM;
	tree->chunks[tree->chunks_len++] = chunk;
	return 0;
}

int tree_reach(struct tree *tree, uint32_t node)
{
	if (node >= NUMBERS_MOST)
		return -ENOMEM;
	while (tree->numbers <= node) {
		int err = tree->numbers / CHUNK < tree->chunks_len ? 0 : add_chunk(tree);

		if (err)
			return err;
		*at(tree, tree->numbers++) =
			(struct node){ TREE_NONE, TREE_NONE, TREE_NONE, NOWHERE };
	}
	return 0;
}

static int take_number(struct tree *tree, uint32_t *node)
{
	*node = tree->free;
	if (*node != TREE_NONE) {
		tree->free = at(tree, *node)->next;
		return 0;
	}
	*node = tree->numbers;
	return tree_reach(tree, *node);
}

void tree_give_number(struct tree *tree, uint32_t node)
{
	*at(tree, node) = (struct node){ TREE_NONE, tree->free, TREE_NONE, NOWHERE };
	tree->free = node;
}

/* --- what is asked */

bool tree_is_node(const struct tree *tree, uint32_t node)
{
	return exists(tree, node) && node != TREE_SPECIALS;
}

uint32_t tree_parent(const struct tree *tree, uint32_t node)
{
	return parent_of(tree, node);
}

uint32_t tree_first(const struct tree *tree, uint32_t node)
{
	return at(tree, node)->first;
}

uint32_t tree_next(const struct tree *tree, uint32_t node)
{
	return at(tree, node)->next;
}

const char *tree_name(const struct tree *tree, uint32_t node, size_t *len)
{
	const struct record *record = record_of(tree, node);

	*len = record->name_len;
	return name_of(record);
}

size_t tree_path(const struct tree *tree, uint32_t node, char *path)
{
	char *end = path + TREE_PATH_MAX, *p = end;
	size_t len;

	if (node == TREE_ROOT)
		return (size_t)(stpcpy(path, "/") - path);
	for (; node != TREE_ROOT && node != TREE_SPECIALS; node = parent_of(tree, node)) {
		bool special = parent_of(tree, node) == TREE_SPECIALS;
		const char *name = tree_name(tree, node, &len);

		if ((size_t)(p - path) < len + 1)
			return 0;
		p -= len;
		memcpy(p, name, len);
		if (!special)
			*--p = '/';
	}
	len = (size_t)(end - p);
	memmove(path, p, len);
	path[len] = '\0';
	return len;
}

static const struct tree_perm *perms_of(const struct record *record)
{
	return (const struct tree_perm *)record->rest;
}

bool tree_get(const struct tree *tree, uint32_t node, struct tree_content *content)
{
	const struct record *record = record_of(tree, node);

	*content = (struct tree_content){
		.perms = perms_of(record),
		.nr_perms = nr_perms_of(record),
		.value = (const uint8_t *)name_of(record) + record->name_len,
		.value_len = record->value_len,
	};
	return content->nr_perms;
}

bool tree_is_unread(const struct tree *tree, uint32_t node)
{
	return !nr_perms_of(record_of(tree, node));
}

uint32_t tree_count(const struct tree *tree)
{
	return tree->count;
}

uint32_t tree_numbers(const struct tree *tree)
{
	return tree->numbers;
}

uint64_t tree_live(const struct tree *tree)
{
	return tree->live;
}

uint64_t tree_heap(const struct tree *tree)
{
	return (uint64_t)tree->chunks_len * CHUNK * sizeof(struct node) +
	       tree->table_size * sizeof(*tree->table);
}

/* --- what changes it */

/* Return: where it is, or NULL; what it is made of may lie in the annals, which stays where it is.
 */
static struct record *write_record(struct tree *tree, const struct record *head, const char *name,
				   const struct tree_content *content, place *where)
{
	struct record *record;
	uint64_t pos;
	struct annals_record *in = annals_add(tree->annals, TREE_NODE, body_size(head), &pos);
	uint8_t *p;

	if (!in)
		return NULL;
	record = (struct record *)in;
	memcpy((uint8_t *)record + sizeof(*in), (const uint8_t *)head + sizeof(*in),
	       sizeof(*record) - sizeof(*in));
	record->perms_low = head->perms_low;
	p = record->rest;
	if (content->nr_perms)
		p = mempcpy(p, content->perms, content->nr_perms * sizeof(*content->perms));
	p = mempcpy(p, name, head->name_len);
	if (content->value_len)
		memcpy(p, content->value, content->value_len);
	*where = place_of(pos);
	tree->live += annals_size(body_size(record));
	return record;
}

static bool fits(size_t name_len, const struct tree_content *content)
{
	return name_len <= NAME_MAX_LEN && content->nr_perms <= TREE_PERMS_MAX &&
	       content->value_len <= VALUE_MOST;
}

static int write_node(struct tree *tree, uint32_t node, uint32_t parent, const char *name,
		      size_t len, const struct tree_content *content, place *where)
{
	struct record head = { .node = node,
			       .parent = parent,
			       .name_len = len & 0xfff,
			       .value_len = content->value_len & 0xfff,
			       .perms_low = (uint8_t)content->nr_perms,
			       .perms_high = (uint8_t)(content->nr_perms >> 8) };

	if (!fits(len, content))
		return -ENOMEM;
	return write_record(tree, &head, name, content, where) ? 0 : -ENOMEM;
}

int tree_add(struct tree *tree, uint32_t parent, const char *name, size_t len,
	     const struct tree_content *content, uint32_t *node)
{
	place where = 0;
	int err = tree_table_reserve(tree);

	if (!err)
		err = take_number(tree, node);
	if (!err)
		err = write_node(tree, *node, parent, name, len, content, &where);
	if (err)
		return err;
	*at(tree, *node) = (struct node){ TREE_NONE, TREE_NONE, TREE_NONE, where };
	tree_link_last(tree, *node);
	tree_table_add(tree, *node);
	tree->count++;
	return 0;
}

int tree_set(struct tree *tree, uint32_t node, const struct tree_content *content)
{
	const struct record *old = record_of(tree, node);
	uint32_t size = annals_size(body_size(old));
	place where = 0;
	int err = write_node(tree, node, old->parent, name_of(old), old->name_len, content, &where);

	if (err)
		return err;
	tree->live -= size;
	at(tree, node)->at = where;
	return 0;
}

/* It has no children any more. */
static void forget_leaf(struct tree *tree, uint32_t node)
{
	tree->live -= annals_size(body_size(record_of(tree, node)));
	tree_table_remove(tree, node);
	tree_unlink_node(tree, node);
	tree_give_number(tree, node);
	tree->count--;
}

static void forget_all(struct tree *tree, uint32_t node)
{
	uint32_t it = node;

	for (;;) {
		uint32_t parent = parent_of(tree, it);

		if (at(tree, it)->first != TREE_NONE) {
			it = at(tree, it)->first;
			continue;
		}
		forget_leaf(tree, it);
		if (it == node)
			return;
		it = parent;
	}
}

uint32_t tree_behind(const struct tree *tree, uint32_t node, uint32_t top)
{
	while (node != top && at(tree, node)->next == TREE_NONE)
		node = parent_of(tree, node);
	return node == top ? TREE_NONE : at(tree, node)->next;
}

uint32_t tree_following(const struct tree *tree, uint32_t node, uint32_t top)
{
	return at(tree, node)->first != TREE_NONE ? at(tree, node)->first
						  : tree_behind(tree, node, top);
}

/* All of them by their numbers: what was written of those above may be there no more. */
int tree_remove(struct tree *tree, uint32_t node)
{
	uint32_t it = node, n, numbers[GONE_MOST];
	struct annals_record *gone;
	uint64_t pos;

	while (it != TREE_NONE) {
		for (n = 0; n < GONE_MOST && it != TREE_NONE; it = tree_following(tree, it, node))
			numbers[n++] = it;
		gone = annals_add(tree->annals, TREE_GONE, n * (uint32_t)sizeof(it), &pos);
		if (!gone)
			return -ENOMEM;
		memcpy(gone->body, numbers, n * sizeof(it));
	}
	forget_all(tree, node);
	return 0;
}

int tree_keep(struct tree *tree, uint64_t pos)
{
	const struct record *record = record_at(tree, pos);
	struct tree_content content;
	uint32_t node = record->node;

	/* What is gone was told by all that there is before it. */
	if (annals_at(tree->annals, pos)->kind != TREE_NODE || !exists(tree, node) ||
	    at(tree, node)->at != place_of(pos))
		return 0;
	tree_get(tree, node, &content);
	return tree_set(tree, node, &content);
}

/* --- beginning and end */

struct tree *tree_alloc(struct annals *annals)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	if (tree) {
		tree->annals = annals;
		tree->free = TREE_NONE;
		/* A tree has fewer changes than nanoseconds: no two ever have the same. */
		tree->shape = clock_monotonic();
	}
	return tree;
}

/* "/", and above the specials, have no name and are in no table. */
static int write_top(struct tree *tree, uint32_t node)
{
	const struct tree_content nothing = { .nr_perms = 0 };
	int err = tree_reach(tree, node);

	if (!err)
		err = write_node(tree, node, TREE_NONE, "", 0, &nothing, &at(tree, node)->at);
	return err;
}

int tree_new(struct tree **out, struct annals *annals)
{
	struct tree *tree = tree_alloc(annals);
	int err = tree ? write_top(tree, TREE_ROOT) : -ENOMEM;

	if (!err)
		err = write_top(tree, TREE_SPECIALS);
	if (err) {
		tree_free(tree);
		return -ENOMEM;
	}
	tree->count = 1;
	*out = tree;
	return 0;
}

struct tree *tree_free(struct tree *tree)
{
	if (!tree)
		return NULL;
	for (uint32_t i = 0; i < tree->chunks_len; i++)
		free(tree->chunks[i]);
	free(tree->chunks);
	free(tree->table);
	free(tree);
	return NULL;
}
