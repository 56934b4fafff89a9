/* SPDX-License-Identifier: MIT */
/*
 * ids - users and groups of xsproxy.conf: the text that names them, and their numbers.
 *
 * Called by config.c, when the file is read; names are looked up then and at no other time, for a
 * look-up may wait. "root" needs none. Must never take a name that is not known for a number.
 */
#ifndef XSPROXY_CONFIG_IDS_H
#define XSPROXY_CONFIG_IDS_H

#include <stdbool.h>
#include <stdint.h>

#define IDS_MAX	     16
#define IDS_TEXT_MAX 192 /* NUL included; a line of the file is not much longer */

struct ids {
	char text[IDS_TEXT_MAX]; /* as the file has it */
	uint32_t id[IDS_MAX];
	uint32_t count;
};

/**
 * ids_users() - read a list of users, names or numbers with commas or blanks between them.
 * @ids: filled in on success, what is beyond the end of the text and of the list with 0
 * @why: filled in on error: what is wrong; @size octets
 *
 * Return: 0 or -EINVAL.
 */
int ids_users(struct ids *ids, const char *text, char *why, int size);

/** ids_group() - the same for one group. Return: as ids_users(). */
int ids_group(struct ids *ids, const char *text, char *why, int size);

/** ids_has() - whether @id is one of them. */
bool ids_has(const struct ids *ids, uint32_t id);

#endif
