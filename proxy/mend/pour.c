// SPDX-License-Identifier: MIT
#include "proxy/mend/pour.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/message.h"
#include "proxy/host/own.h"
#include "proxy/log.h"
#include "proxy/mirror/mirror.h"

#define AT_ONCE	  8u /* nodes; a socket takes so many, however large */
#define OMIT_MOST 16u
#define PERM_MAX  (sizeof("r65535") + 1)

struct pour {
	struct daemon *daemon;
	const struct mirror *mirror;
	struct own *own;	/* NULL: it is not under way */
	uint32_t next;		/* node; TREE_NONE: all have been told */
	uint32_t told[AT_ONCE]; /* those that are not answered, in their order */
	uint32_t nr_told;
	bool half;   /* of the first one: there is one more answer to come */
	bool single; /* one at a time */
	bool done;
	char *suspect;	       /* owned; the path over which the last one has ended; or NULL */
	char *omit[OMIT_MOST]; /* the same; those that are left out */
	uint32_t nr_omit;
};

/* --- a node */

/* What was of a domain that is no more is dom0's, who may read all anyway. */
static uint32_t print_perm(char *to, const struct tree_perm *perm)
{
	bool nobody = perm->flags & (TREE_PERM_ODD | TREE_PERM_STALE);

	return (uint32_t)sprintf(to, "%c%u", perm->letter,
				 (unsigned int)(nobody ? 0 : perm->domid)) +
	       1;
}

/* @room: what is beyond is for nobody */
static uint32_t print_perms(char *to, uint32_t room, const struct tree_content *content)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i < content->nr_perms && len + PERM_MAX <= room; i++) {
		const struct tree_perm *perm = &content->perms[i];

		if (!i || !(perm->flags & (TREE_PERM_ODD | TREE_PERM_STALE)))
			len += print_perm(to + len, perm);
	}
	return len;
}

static int tell_node(struct pour *pour, const char *path, uint32_t len,
		     const struct tree_content *content)
{
	char words[XENSTORE_PAYLOAD_MAX];
	uint32_t room = sizeof(words) - (len + 1);
	int err;

	memcpy(words, path, len + 1);
	if (content->value_len)
		memcpy(words + len + 1, content->value, content->value_len);
	err = own_ask(pour->own, XS_WRITE, words, len + 1 + content->value_len);
	if (err)
		return err;
	return own_ask(pour->own, XS_SET_PERMS, words,
		       len + 1 + print_perms(words + len + 1, room, content));
}

/* --- all of them */

static bool is_omitted(const struct pour *pour, const char *path)
{
	for (uint32_t i = 0; i < pour->nr_omit; i++)
		if (!strcmp(pour->omit[i], path))
			return true;
	return false;
}

/* The next one that is to be told. @path: its path. Return: its length; 0: there is none. */
static uint32_t find_next(struct pour *pour, char *path, struct tree_content *content)
{
	const struct tree *tree = pour->mirror->tree;
	size_t len;

	/* The domain that it was of has ended. */
	if (pour->next != TREE_NONE && !tree_is_node(tree, pour->next))
		pour->next = tree_first(tree, TREE_ROOT);
	while (pour->next != TREE_NONE) {
		len = tree_path(tree, pour->next, path);
		if (is_omitted(pour, path)) {
			pour->next = tree_behind(tree, pour->next, TREE_ROOT);
			continue;
		}
		if (len && tree_get(tree, pour->next, content)) {
			if (len + 1 + content->value_len <= XENSTORE_PAYLOAD_MAX)
				return (uint32_t)len;
			/* Its front has said it relative to its own path. */
			log_line(LOG_ERR, "%.200s is too long to be told to another xenstored",
				 path);
		}
		pour->next = tree_following(tree, pour->next, TREE_ROOT);
	}
	return 0;
}

static void tell_some(struct pour *pour)
{
	char path[TREE_PATH_MAX + 1];
	struct tree_content content;
	uint32_t len;

	while (pour->nr_told < (pour->single ? 1 : AT_ONCE) &&
	       (len = find_next(pour, path, &content))) {
		if (tell_node(pour, path, len, &content)) {
			pour->own = own_close(pour->own);
			return;
		}
		pour->told[pour->nr_told++] = pour->next;
		pour->next = tree_following(pour->mirror->tree, pour->next, TREE_ROOT);
	}
	pour->done = !pour->nr_told;
}

/* Of the first one that is not answered. Return: whether it is there still, for its domain may have
 * ended. */
static bool first_path(const struct pour *pour, char path[TREE_PATH_MAX + 1])
{
	const struct tree *tree = pour->mirror->tree;

	return pour->nr_told && tree_is_node(tree, pour->told[0]) &&
	       tree_path(tree, pour->told[0], path);
}

static void log_refused(const struct pour *pour, const struct own_reply *reply)
{
	char path[TREE_PATH_MAX + 1];

	if (first_path(pour, path))
		log_line(LOG_ERR, "%.200s cannot be told to another xenstored: %s", path,
			 (const char *)reply->payload);
}

static void reply_cb(void *arg, const struct own_reply *reply)
{
	struct pour *pour = arg;

	if (!reply) {
		pour->own = own_close(pour->own);
		return;
	}
	if (!pour->nr_told)
		return;
	if (reply->type == XS_ERROR)
		log_refused(pour, reply);
	pour->half = !pour->half;
	if (pour->half)
		return;
	memmove(pour->told, pour->told + 1, --pour->nr_told * sizeof(pour->told[0]));
	tell_some(pour);
}

int pour_begin(struct pour *pour, const struct mirror *mirror, int fd)
{
	int err = own_over(&pour->own, pour->daemon, fd, reply_cb, pour);

	if (err)
		return err;
	pour->mirror = mirror;
	pour->next = tree_first(mirror->tree, TREE_ROOT);
	pour->nr_told = 0;
	pour->half = pour->done = false;
	tell_some(pour);
	return 0;
}

bool pour_is_under_way(const struct pour *pour)
{
	return pour->own;
}

bool pour_is_done(const struct pour *pour)
{
	return pour->done;
}

/* What has ended it once may have been the OOM killer. */
static void suspect_first(struct pour *pour)
{
	char path[TREE_PATH_MAX + 1], *before = pour->suspect;

	pour->suspect = first_path(pour, path) ? strdup(path) : NULL;
	if (before && pour->suspect && !strcmp(before, path) && pour->nr_omit < OMIT_MOST) {
		log_line(LOG_ERR,
			 "xenstored has ended over %.200s; it is left out, with all below it",
			 path);
		pour->omit[pour->nr_omit++] = pour->suspect;
		pour->suspect = NULL;
	}
	free(before);
}

void pour_end(struct pour *pour, bool died)
{
	bool before_all = pour->mirror && !pour->done;

	pour->own = own_close(pour->own);
	if (died && before_all && pour->single)
		suspect_first(pour);
	pour->single = pour->single || (died && before_all);
	pour->mirror = NULL;
	pour->done = false;
}

int pour_new(struct pour **out, struct daemon *daemon)
{
	struct pour *pour = calloc(1, sizeof(*pour));

	if (!pour)
		return -ENOMEM;
	pour->daemon = daemon;
	*out = pour;
	return 0;
}

struct pour *pour_free(struct pour *pour)
{
	if (!pour)
		return NULL;
	own_close(pour->own);
	for (uint32_t i = 0; i < pour->nr_omit; i++)
		free(pour->omit[i]);
	free(pour->suspect);
	free(pour);
	return NULL;
}
