/* SPDX-License-Identifier: MIT */
/*
 * show_parts - what show.c and show_state.c print alike; the forms are described in show.h.
 *
 * Called by these two alone. Must never send an octet of a guest's to a terminal unescaped.
 */
#ifndef XSPROXY_MIGRATION_SHOW_PARTS_H
#define XSPROXY_MIGRATION_SHOW_PARTS_H

#include <jansson.h>
#include <stdio.h>

#include "migration/format/record.h"

/** show_path() - a word, a path, and a space behind each. */
void show_path(FILE *out, const char *word, const char *path, size_t len);

/** show_octets() - octets as they stand outside of quotes. */
void show_octets(FILE *out, const char *octets, size_t len);

/** show_quoted() - octets between double quotes. */
void show_quoted(FILE *out, const char *octets, size_t len);

/** show_perms() - permissions with commas between them. */
void show_perms(FILE *out, const struct record_node *node);

/** show_json_perms() - an array of them; NULL when memory ran out. */
json_t *show_json_perms(const struct record_node *node);

/**
 * show_json_line() - an object on a line of its own.
 * @line: taken over; NULL when memory ran out
 *
 * Return: 0, also if writing failed, or -ENOMEM.
 */
int show_json_line(FILE *out, json_t *line);

/** show_error() - the negative errno of writing that failed: the flag on a file may be older. */
int show_error(void);

/** show_finish() - at the end, when @r has come of it: also what writing failed with. Return: as
 * @r. */
int show_finish(FILE *out, int r);

#endif
