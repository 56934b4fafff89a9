// SPDX-License-Identifier: MIT
/*
 * confine - see confine.h. Maps and roots come from a command line and are few, so they are lists.
 */
#include "migration/confine.h"

#include "protocol/message.h"
#include "text/buffer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define HOMES	  "/local/domain/"
#define HOMES_LEN (sizeof(HOMES) - 1)
#define HOME_MAX  32 /* octets of any domain's home and NUL */
#define SHOWN_MAX 96 /* octets of a path in a reason */
#define PERM_MAX  8  /* octets of "n65535" and NUL */
#define WHY_MAX	  128

struct map_entry {
	struct confine_map map;
	struct map_entry *next;
};

struct root {
	struct root *next;
	size_t len;
	char path[];
};

struct confine {
	uint16_t domid;
	bool keep_perms;
	bool has_any;
	bool drop_any;
	struct omissions *dropped; /* told of those */
	bool map_values;
	struct map_entry *maps;
	struct root *roots;
	char path[RULES_PATH_MAX];  /* of the record that was rewritten last */
	char value[RULES_PATH_MAX]; /* likewise */
	struct buffer perms;	    /* likewise */
};

/* --- domids */

/*
 * A domid at the start of @text in the one spelling that Xenstore paths use: "07" or "+7" is no
 * domain's name. Return: the octets it has, 0 if there is none.
 */
static size_t parse_domid(const char *text, size_t len, uint16_t *domid)
{
	unsigned int value = 0;
	size_t i;

	for (i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
		if (i && text[0] == '0')
			return 0;
		value = value * 10 + (unsigned int)(text[i] - '0');
		if (value > CONFINE_DOMID_MAX)
			return 0;
	}
	*domid = (uint16_t)value;
	return i;
}

int confine_map_parse(struct confine_map *map, const char *text)
{
	size_t len = strlen(text);
	size_t from = parse_domid(text, len, &map->from);
	size_t to;

	if (!from || text[from] != '=')
		return -EINVAL;
	text += from + 1;
	len -= from + 1;
	to = parse_domid(text, len, &map->to);
	return to && to == len ? 0 : -EINVAL;
}

static const struct confine_map *map_from(const struct confine *confine, uint16_t domid)
{
	const struct map_entry *entry;

	LL_FOREACH(confine->maps, entry)
	if (entry->map.from == domid)
		return &entry->map;
	return NULL;
}

static const struct confine_map *map_to(const struct confine *confine, uint16_t domid)
{
	const struct map_entry *entry;

	LL_FOREACH(confine->maps, entry)
	if (entry->map.to == domid)
		return &entry->map;
	return NULL;
}

/* What @domid of the stream's host is here; false if its number belongs to another one by now. */
static bool map_domid(const struct confine *confine, uint16_t *domid)
{
	const struct confine_map *map = map_from(confine, *domid);

	if (map) {
		*domid = map->to;
		return true;
	}
	return !map_to(confine, *domid);
}

static bool map_perm_domid(const struct confine *confine, uint16_t *domid)
{
	if (map_from(confine, *domid))
		return map_domid(confine, domid);
	if (*domid == 0)
		return true;
	return (*domid == confine->domid || confine->keep_perms) && map_domid(confine, domid);
}

/* --- paths */

size_t confine_path_home(const char *path, size_t len, uint16_t *domid)
{
	size_t digits, home;

	if (len <= HOMES_LEN || memcmp(path, HOMES, HOMES_LEN))
		return 0;
	digits = parse_domid(path + HOMES_LEN, len - HOMES_LEN, domid);
	home = HOMES_LEN + digits;
	if (!digits || (home < len && path[home] != '/'))
		return 0;
	return home;
}

int confine_map_path(const struct confine *confine, const char *path, size_t len,
		     char out[RULES_PATH_MAX], size_t *out_len)
{
	char home[HOME_MAX] = "";
	size_t home_len = 0;
	uint16_t domid;
	size_t cut = confine_path_home(path, len, &domid);

	if (cut) {
		if (!map_domid(confine, &domid))
			return -EPERM;
		home_len = (size_t)snprintf(home, sizeof(home), HOMES "%u", domid);
	}
	*out_len = home_len + (len - cut);
	if (*out_len > RULES_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(out, home, home_len);
	memcpy(out + home_len, path + cut, len - cut);
	return 0;
}

bool confine_is_home(const struct confine *confine, const char *path, size_t len)
{
	uint16_t domid;
	size_t home = confine_path_home(path, len, &domid);

	return home && home == len && domid == confine->domid;
}

/* Whether the home of the domain lies at or below @root. */
static bool root_has_home(const struct confine *confine, const struct root *root)
{
	char home[HOME_MAX];
	int len = snprintf(home, sizeof(home), HOMES "%u", confine->domid);

	return rules_path_below(home, (size_t)len, root->path, root->len);
}

bool confine_is_asked(const struct confine *confine, const char *path, size_t len)
{
	const struct root *root;
	uint16_t domid;
	bool own = confine_path_home(path, len, &domid) && domid == confine->domid;

	LL_FOREACH(confine->roots, root)
	if (rules_path_below(path, len, root->path, root->len) &&
	    !(own && root_has_home(confine, root)))
		return true;
	return false;
}

static bool path_is_allowed(const struct confine *confine, const char *path, size_t len)
{
	const struct root *root;
	uint16_t domid;

	if (confine_path_home(path, len, &domid) && domid == confine->domid)
		return true;
	LL_FOREACH(confine->roots, root)
	if (rules_path_below(path, len, root->path, root->len))
		return true;
	return false;
}

/* --- records */

static int refuse_path(const char *path, size_t len, const char *why, struct record_fault *fault)
{
	return record_refuse(fault, 0, "%.*s%s %s", (int)(len < SHOWN_MAX ? len : SHOWN_MAX), path,
			     len > SHOWN_MAX ? "..." : "", why);
}

static int too_long(const char *path, size_t len, struct record_fault *fault)
{
	refuse_path(path, len, "is too long once it is mapped", fault);
	return -ENAMETOOLONG;
}

static int confine_node_path(struct confine *confine, struct record_node *node,
			     struct record_fault *fault)
{
	size_t len;
	int r = confine_map_path(confine, node->path, node->path_len, confine->path, &len);

	if (r == -EPERM)
		return refuse_path(node->path, node->path_len,
				   "is the home of a domain that is not mapped", fault);
	if (r)
		return too_long(node->path, node->path_len, fault);
	if (!path_is_allowed(confine, confine->path, len))
		return refuse_path(confine->path, len, "is outside the domain's home and the roots",
				   fault);
	node->path = confine->path;
	node->path_len = len;
	return 0;
}

bool confine_is_foreign(const struct confine *confine, const struct record_node *node)
{
	uint16_t owner = record_perm_domid(&node->perms[0]);
	char path[RULES_PATH_MAX];
	size_t len;

	return !map_perm_domid(confine, &owner) &&
	       !(!confine_map_path(confine, node->path, node->path_len, path, &len) &&
		 confine_is_home(confine, path, len));
}

static void leave_out_perm(struct omissions *omissions, const struct record_node *node,
			   const struct record_perm *perm)
{
	char text[PERM_MAX], why[WHY_MAX];
	uint16_t domid = record_perm_domid(perm);
	int len = snprintf(text, sizeof(text), "%c%u", perm->letter, domid);
	const struct omission omission = { .what = "permission",
					   .path = node->path,
					   .path_len = node->path_len,
					   .detail = text,
					   .detail_len = (size_t)len,
					   .why = why };

	if (!omissions)
		return;
	if (domid == MESSAGE_DOMID_ANY && perm != node->perms)
		snprintf(why, sizeof(why), "the xenstored here ends when a toolstack says it");
	else
		snprintf(why, sizeof(why),
			 "domain %u%s is not mapped (--map-domid, --keep-permissions%s)", domid,
			 perm == node->perms ? ", which owns it," : "",
			 perm == node->perms ? ", --drop-foreign" : "");
	omissions_add(omissions, &omission);
}

static int confine_perms(struct confine *confine, struct record_node *node,
			 struct omissions *omissions)
{
	struct record_perm *perms;
	size_t nr = 0;
	int r = buffer_reserve(&confine->perms, node->nr_perms * sizeof(*perms));

	if (r)
		return r;
	perms = confine->perms.data;
	for (size_t i = 0; i < node->nr_perms; i++) {
		uint16_t domid = record_perm_domid(&node->perms[i]);
		bool any = i && domid == MESSAGE_DOMID_ANY;

		confine->has_any |= any;
		if (any ? !confine->drop_any : map_perm_domid(confine, &domid)) {
			perms[nr++] = record_perm_make((char)node->perms[i].letter, domid);
			continue;
		}
		leave_out_perm(any ? confine->dropped : omissions, node, &node->perms[i]);
		if (!i) /* or the next one would become the owner */
			perms[nr++] = record_perm_make('n', 0);
	}
	node->perms = perms;
	node->nr_perms = nr;
	return 0;
}

/* A value that is no path, to its last octet, might mean anything. */
static bool value_is_mapped(const struct confine *confine, const struct record_node *node)
{
	uint16_t domid;

	return confine->map_values && node->value_len &&
	       !rules_node_path(node->value, node->value_len, 0, NULL) &&
	       confine_path_home(node->value, node->value_len, &domid) && map_from(confine, domid);
}

static void confine_value(struct confine *confine, struct record_node *node,
			  struct omissions *omissions)
{
	struct omission omission = { .kind = OMISSION_REWRITTEN,
				     .what = "value",
				     .path = node->path,
				     .path_len = node->path_len,
				     .detail = node->value,
				     .detail_len = node->value_len,
				     .now = confine->value,
				     .why = "--map-values" };

	if (!value_is_mapped(confine, node))
		return;
	if (confine_map_path(confine, node->value, node->value_len, confine->value,
			     &omission.now_len)) {
		omission.kind = OMISSION_KEPT;
		omission.now = NULL;
		omission.why = "it is too long once it is mapped";
	} else {
		node->value = confine->value;
		node->value_len = omission.now_len;
	}
	if (omissions)
		omissions_add(omissions, &omission);
}

static int confine_watch(struct confine *confine, struct record_watch *watch,
			 struct record_fault *fault)
{
	size_t len;
	int r;

	if (watch->path[0] != '/')
		return 0;
	r = confine_map_path(confine, watch->path, watch->path_len, confine->path, &len);
	if (r == -EPERM) /* somebody else's home, and not even mapped: as any other path */
		return 0;
	if (r)
		return too_long(watch->path, watch->path_len, fault);
	watch->path = confine->path;
	watch->path_len = len;
	return 0;
}

int confine_record(struct confine *confine, const struct record *in, struct record *out,
		   struct omissions *omissions, struct record_fault *fault)
{
	int r;

	*out = *in;
	switch (in->kind) {
	case RECORD_NODE:
		r = confine_node_path(confine, &out->node, fault);
		if (r)
			return r;
		confine_value(confine, &out->node, omissions);
		return confine_perms(confine, &out->node, omissions);
	case RECORD_WATCH:
		return confine_watch(confine, &out->watch, fault);
	case RECORD_TRANSACTION:
		break;
	}
	return 0;
}

/* --- the policy */

int confine_add_map(struct confine *confine, const struct confine_map *map)
{
	struct map_entry *entry;

	if (map->from > CONFINE_DOMID_MAX || map->to > CONFINE_DOMID_MAX)
		return -EINVAL;
	if (map_from(confine, map->from) || map_to(confine, map->to))
		return -EEXIST;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->map = *map;
	LL_PREPEND(confine->maps, entry);
	return 0;
}

int confine_add_root(struct confine *confine, const char *path)
{
	size_t len = strlen(path);
	struct root *root;

	if (rules_node_path(path, len, 0, NULL))
		return -EINVAL;
	root = calloc(1, sizeof(*root) + len);
	if (!root)
		return -ENOMEM;
	root->len = len;
	memcpy(root->path, path, len);
	LL_PREPEND(confine->roots, root);
	return 0;
}

bool confine_has_any(const struct confine *confine)
{
	return confine->has_any;
}

void confine_drop_any(struct confine *confine, struct omissions *omissions)
{
	confine->drop_any = true;
	confine->dropped = omissions;
}

void confine_keep_perms(struct confine *confine)
{
	confine->keep_perms = true;
}

void confine_map_values(struct confine *confine)
{
	confine->map_values = true;
}

void confine_free(struct confine *confine)
{
	struct map_entry *entry, *next_entry;
	struct root *root, *next_root;

	if (!confine)
		return;
	LL_FOREACH_SAFE(confine->maps, entry, next_entry)
	free(entry);
	LL_FOREACH_SAFE(confine->roots, root, next_root)
	free(root);
	free(confine->perms.data);
	free(confine);
}

int confine_new(struct confine **out, uint16_t domid)
{
	struct confine *confine;

	if (!domid || domid > CONFINE_DOMID_MAX)
		return -EINVAL;
	confine = calloc(1, sizeof(*confine));
	if (!confine)
		return -ENOMEM;
	confine->domid = domid;
	*out = confine;
	return 0;
}
