/* SPDX-License-Identifier: MIT */
/*
 * table - see table.h.
 */
#include "ctl/table.h"

#include "ctl/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum kind {
	KIND_NAME,
	KIND_RATE,
	KIND_OCTETS,
	KIND_SHARE, /* ns a second */
	KIND_TIME,
	KIND_NUMBER,
	KIND_SESSION,
};

/* From left to right; the last ones are left out where the terminal is narrow. */
static const struct column {
	const char *name;
	int width;
	enum kind kind;
	enum load_field field;
	enum option_sort sort; /* NR_SORTS: none */
} columns[] = {
	{ "DOMID", 6, KIND_NAME, 0, SORT_DOMID },
	{ "REQ/s", 7, KIND_RATE, LOAD_REQUESTS, SORT_REQUESTS },
	{ "ERR/s", 7, KIND_RATE, LOAD_ERRORS, SORT_ERRORS },
	{ "P99", 7, KIND_TIME, LOAD_P99, SORT_P99 },
	{ "IN/s", 7, KIND_OCTETS, LOAD_IN, SORT_OCTETS },
	{ "OUT/s", 7, KIND_OCTETS, LOAD_OUT, SORT_OCTETS },
	{ "EVT/s", 6, KIND_RATE, LOAD_EVENTS, NR_SORTS },
	{ "P50", 7, KIND_TIME, LOAD_P50, NR_SORTS },
	{ "MAX", 7, KIND_TIME, LOAD_MAX, NR_SORTS },
	{ "WAY", 4, KIND_NUMBER, LOAD_UNDER_WAY, NR_SORTS },
	{ "FULL%", 5, KIND_SHARE, LOAD_FULL, NR_SORTS },
	{ "UNREAD%", 7, KIND_SHARE, LOAD_UNREAD, NR_SORTS },
	{ "WATCHES", 7, KIND_NUMBER, LOAD_WATCHES, NR_SORTS },
	{ "TRANS", 5, KIND_NUMBER, LOAD_TRANSACTIONS, NR_SORTS },
	{ "SESSION", 8, KIND_SESSION, 0, NR_SORTS },
};

#define NR_COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* Append @text at the right of @column. Returns false when the column is beyond @width. */
static bool put(char *out, size_t *columns_used, int width, const struct column *column,
		const char *text)
{
	size_t gap = *columns_used ? 1 : 0, used = units_columns(text), at = strlen(out);
	size_t wide = (size_t)column->width;

	if (*columns_used + gap + wide > (size_t)width)
		return false;
	snprintf(out + at, TABLE_LINE - at, "%*s%s", (int)(gap + (used < wide ? wide - used : 0)),
		 "", text);
	*columns_used += gap + wide;
	return true;
}

void table_head(char out[TABLE_LINE], int width, enum option_sort sort)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < NR_COLUMNS; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%s%s", columns[i].sort == sort ? "*" : "",
			 columns[i].name);
		if (!put(out, &used, width, &columns[i], text))
			return;
	}
}

static const char *cell(char text[UNITS_MAX], const struct load_row *row,
			const struct column *column, const char *name)
{
	bool counts = column->kind != KIND_NAME && column->kind != KIND_SESSION;
	double value = row->value[column->field];

	if (counts && (value == LOAD_NONE || (column->field < LOAD_COUNTERS && !row->is_rated)))
		return "-";
	switch (column->kind) {
	case KIND_NAME:
		snprintf(text, UNITS_MAX, "%" PRId64, row->domid);
		return name ? name : text;
	case KIND_RATE:
		return units_rate(text, value);
	case KIND_OCTETS:
		return units_octets(text, value);
	case KIND_SHARE:
		snprintf(text, UNITS_MAX, "%.1f", value / 1e7);
		return text;
	case KIND_TIME:
		return value > 0 ? units_time(text, (int64_t)value) : "-";
	case KIND_NUMBER:
		snprintf(text, UNITS_MAX, "%.0f", value);
		return text;
	case KIND_SESSION:
		snprintf(text, UNITS_MAX, "%" PRId64, row->session);
		return row->session ? text : "-";
	}
	return "-";
}

void table_row(char out[TABLE_LINE], int width, const struct load_row *row, const char *name)
{
	size_t used = 0;
	char text[UNITS_MAX];

	out[0] = '\0';
	for (size_t i = 0; i < NR_COLUMNS; i++)
		if (!put(out, &used, width, &columns[i], cell(text, row, &columns[i], name)))
			return;
}
