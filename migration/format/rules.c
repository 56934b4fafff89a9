// SPDX-License-Identifier: MIT
/*
 * rules - see rules.h.
 */
#include "migration/format/rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool path_char_valid(uint8_t c)
{
	/* isalnum() would ask the locale */
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '/' || c == '_' || c == '@';
}

/* What holds for absolute and relative paths alike. */
static int check_path_text(const uint8_t *path, size_t len, size_t at, struct record_fault *fault)
{
	for (size_t i = 0; i < len; i++) {
		if (!path[i])
			return record_refuse(fault, at + i, "NUL in the path");
		if (!path_char_valid(path[i]))
			return record_refuse(fault, at + i, "octet 0x%02x in the path", path[i]);
		if (i && path[i] == '/' && path[i - 1] == '/')
			return record_refuse(fault, at + i, "'//' in the path");
	}
	if (len > 1 && path[len - 1] == '/')
		return record_refuse(fault, at + len - 1, "the path ends with '/'");
	return 0;
}

static int check_path_size(size_t len, size_t at, struct record_fault *fault)
{
	if (!len)
		return record_refuse(fault, at, "the path is empty");
	if (len > RULES_PATH_MAX)
		return record_refuse(fault, at, "the path has %zu octets, %d is the most", len,
				     RULES_PATH_MAX);
	return 0;
}

int rules_node_path(const void *value, size_t len, size_t at, struct record_fault *fault)
{
	const uint8_t *path = value;
	int r = check_path_size(len, at, fault);

	if (r)
		return r;
	if (path[0] != '/')
		return record_refuse(fault, at, "the path is not absolute");
	return check_path_text(path, len, at, fault);
}

static int check_no_nul(const uint8_t *octets, size_t len, size_t at, const char *name,
			struct record_fault *fault)
{
	const uint8_t *nul = len ? memchr(octets, 0, len) : NULL; /* nothing may be NULL */

	if (nul)
		return record_refuse(fault, at + (size_t)(nul - octets), "NUL in the %s", name);
	return 0;
}

bool rules_path_below(const char *path, size_t len, const char *root, size_t root_len)
{
	if (root_len == 1) /* "/" */
		return true;
	if (len < root_len || memcmp(path, root, root_len))
		return false;
	return len == root_len || path[root_len] == '/';
}

int rules_watch_path(const void *value, size_t len, size_t at, struct record_fault *fault)
{
	const uint8_t *path = value;
	int r = check_path_size(len, at, fault);

	if (r)
		return r;
	/*
	 * "<wspecial> may have any syntax" (xenstore.txt, WATCH), and both daemons of 4.17 take
	 * any: a stricter rule would let a guest make itself unexportable.
	 */
	if (path[0] == '@')
		return check_no_nul(path, len, at, "path", fault);
	return check_path_text(path, len, at, fault);
}

int rules_token(const void *value, size_t len, size_t at, struct record_fault *fault)
{
	return check_no_nul(value, len, at, "token", fault);
}

int rules_perms(const void *value, size_t len, size_t at, struct record_fault *fault)
{
	const struct record_perm *perms = value;

	if (!len)
		return record_refuse(fault, at, "the node has no permissions");
	for (size_t i = 0; i < len; i++, at += sizeof(*perms)) {
		if (!perms[i].letter || !strchr("wrbn", perms[i].letter))
			return record_refuse(fault, at, "permission letter 0x%02x",
					     perms[i].letter);
		if (perms[i].pad)
			return record_refuse(fault, at + offsetof(struct record_perm, pad),
					     "non-zero padding in a permission");
	}
	return 0;
}

int rules_tx_id(const void *value, size_t len, size_t at, struct record_fault *fault)
{
	uint32_t tx_id;

	(void)len;
	memcpy(&tx_id, value, sizeof(tx_id));
	if (!tx_id)
		return record_refuse(fault, at, "tx_id is 0");
	return 0;
}
