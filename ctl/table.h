/* SPDX-License-Identifier: MIT */
/*
 * table - the table of top: its columns, and rows as text.
 *
 * Used by top, live and in batches.
 */
#ifndef XSPROXY_CTL_TABLE_H
#define XSPROXY_CTL_TABLE_H

#include "ctl/load.h"

#define TABLE_ALL  1000 /* as a width: every column */
#define TABLE_LINE 512	/* octets of a line, NUL included */

/** table_head() - the columns that fit into @width, by name; the one sorted by is marked. */
void table_head(char out[TABLE_LINE], int width, enum option_sort sort);

/** table_row() - a domain's row. @name: instead of the domain's number, or NULL */
void table_row(char out[TABLE_LINE], int width, const struct load_row *row, const char *name);

#endif
