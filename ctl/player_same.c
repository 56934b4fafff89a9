// SPDX-License-Identifier: MIT
/*
 * player_same - see player_same.h.
 */
#include "ctl/player_same.h"

#include "protocol/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Sorted strings, which point into what they were taken from. */
struct names {
	const char **name;
	size_t nr;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/*
 * The children that a reply lists. Return: 1; 0 when the last one has no NUL; or -ENOMEM. Free
 * names->name.
 */
static int names_of(struct names *names, const char *data, size_t len)
{
	*names = (struct names){ 0 };
	if (len && data[len - 1])
		return 0;
	/* No name is shorter than a letter and its NUL. */
	names->name = calloc(len / 2 + 1, sizeof(*names->name));
	if (!names->name)
		return -ENOMEM;
	for (size_t at = 0; at < len && names->nr <= len / 2; at += strlen(data + at) + 1)
		names->name[names->nr++] = data + at;
	qsort(names->name, names->nr, sizeof(*names->name), by_name);
	return 1;
}

static bool same_octets(const struct view *answer, const struct wire_reply *here)
{
	return here->len == answer->msg.len &&
	       (!answer->len || !memcmp(here->data, answer->payload, answer->len));
}

static int same_children(const struct view *answer, const struct wire_reply *here)
{
	struct names theirs, ours = { 0 };
	int r = names_of(&theirs, answer->payload, answer->len);

	if (r > 0)
		r = names_of(&ours, here->data, here->len);
	if (r > 0)
		r = theirs.nr == ours.nr;
	for (size_t i = 0; r > 0 && i < ours.nr; i++)
		r = !strcmp(theirs.name[i], ours.name[i]);
	free(theirs.name);
	free(ours.name);
	return r < 0 ? r : r || same_octets(answer, here);
}

/* A letter and the owner, then those of others. */
static bool same_permissions(const struct view *answer, const struct wire_reply *here)
{
	const char *theirs = memchr(answer->payload, 0, answer->len);
	const char *ours = memchr(here->data, 0, here->len);
	size_t rest;

	if (view_cut(answer) || !theirs || !ours || *answer->payload != *here->data)
		return view_cut(answer);
	rest = answer->len - (size_t)(theirs - answer->payload);
	return here->len - (size_t)(ours - here->data) == rest && !memcmp(theirs, ours, rest);
}

int player_same(uint32_t type, const struct view *answer, const struct wire_reply *here)
{
	int err = 0;

	if (view_is_error(answer))
		err = -message_error_parse((const uint8_t *)answer->payload, answer->len);
	if (err || here->err)
		return err == here->err;
	switch (type) {
	case XS_TRANSACTION_START:
	case XS_DIRECTORY_PART:
		return 1;
	case XS_DIRECTORY:
		if (!view_cut(answer))
			return same_children(answer, here);
		return 1;
	case XS_GET_PERMS:
		return same_permissions(answer, here);
	default:
		return same_octets(answer, here);
	}
}
