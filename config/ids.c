// SPDX-License-Identifier: MIT
#include "config/ids.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BETWEEN ", \t"

static int find_user(const char *name, uint32_t *id)
{
	const struct passwd *user = getpwnam(name);

	if (user)
		*id = user->pw_uid;
	return user ? 0 : -ENOENT;
}

static int find_group(const char *name, uint32_t *id)
{
	const struct group *group = getgrnam(name);

	if (group)
		*id = group->gr_gid;
	return group ? 0 : -ENOENT;
}

/* The largest one means "none" to the kernel. Return: 0 or -EINVAL. */
static int read_number(const char *word, uint32_t *id)
{
	unsigned long n;

	errno = 0;
	n = strtoul(word, NULL, 10);
	if (errno || n >= UINT32_MAX)
		return -EINVAL;
	*id = (uint32_t)n;
	return 0;
}

/* @kind: "user" or "group" */
static int read_word(const char *word, const char *kind,
		     int (*find)(const char *name, uint32_t *id), uint32_t *id, char *why, int size)
{
	int err;

	if (!word[strspn(word, "0123456789")]) {
		err = read_number(word, id);
		if (err)
			snprintf(why, (size_t)size, "%s is no number of a %s, 0 to %u", word, kind,
				 UINT32_MAX - 1);
		return err;
	}
	*id = 0;
	if (!strcmp(word, "root") || !find(word, id))
		return 0;
	snprintf(why, (size_t)size, "there is no %s %.64s; make it, or give a number", kind, word);
	return -EINVAL;
}

static int read_ids(struct ids *ids, const char *text, uint32_t most, const char *kind,
		    int (*find)(const char *name, uint32_t *id), char *why, int size)
{
	struct ids read = { .count = 0 };
	char copy[IDS_TEXT_MAX], *save = NULL;

	if (strlen(text) >= IDS_TEXT_MAX) {
		snprintf(why, (size_t)size, "must have at most %d characters", IDS_TEXT_MAX - 1);
		return -EINVAL;
	}
	strcpy(read.text, text);
	strcpy(copy, text);
	for (const char *word = strtok_r(copy, BETWEEN, &save); word;
	     word = strtok_r(NULL, BETWEEN, &save)) {
		if (read.count == most) {
			read.count = 0;
			break;
		}
		if (read_word(word, kind, find, &read.id[read.count++], why, size))
			return -EINVAL;
	}
	if (read.count) {
		*ids = read;
		return 0;
	}
	if (most == 1)
		snprintf(why, (size_t)size, "must be one %s, a name or a number", kind);
	else
		snprintf(why, (size_t)size, "must be names or numbers of %ss, 1 to %u", kind, most);
	return -EINVAL;
}

int ids_users(struct ids *ids, const char *text, char *why, int size)
{
	return read_ids(ids, text, IDS_MAX, "user", find_user, why, size);
}

int ids_group(struct ids *ids, const char *text, char *why, int size)
{
	return read_ids(ids, text, 1, "group", find_group, why, size);
}

bool ids_has(const struct ids *ids, uint32_t id)
{
	for (uint32_t i = 0; i < ids->count; i++)
		if (ids->id[i] == id)
			return true;
	return false;
}
