// SPDX-License-Identifier: MIT
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
	KIND_ONE, /* a second's, as the next */
	KIND_OCTET,
	KIND_NS,
	KIND_TIME,
	KIND_NUMBER,
	KIND_SESSION,
	KIND_CALLED,
	KIND_STATE,
};

/* Those that are no counters */
#define COLUMNS_HERE 12
#define WIDE	     100 /* columns of a terminal */

#define SORT_OF(name, unit)                                       \
	(COUNTER_##unit == COUNTER_OCTET	    ? SORT_OCTETS \
	 : (int)COUNTER_##name == (int)COUNTER_full ? SORT_FULL   \
						    : NR_SORTS)

/* From left to right; the last ones are left out where the terminal is narrow. */
static const struct column {
	const char *name;
	int width;
	enum kind kind;
	enum load_field field;
	enum option_sort sort; /* NR_SORTS: none */
} columns[] = {
	[0] = { "DOMID", 6, KIND_NAME, 0, SORT_DOMID },
	[1] = { "NAME", LOAD_CALLED - 1, KIND_CALLED, 0, NR_SORTS },
	[2] = { "REQ/s", 7, KIND_ONE, LOAD_REQUESTS, SORT_REQUESTS },
	[3] = { "ERR/s", 7, KIND_ONE, LOAD_ERRORS, SORT_ERRORS },
	[4] = { "P99", 7, KIND_TIME, LOAD_P99, SORT_P99 },
	[8] = { "P50", 7, KIND_TIME, LOAD_P50, NR_SORTS },
	[9] = { "MAX", 7, KIND_TIME, LOAD_MAX, NR_SORTS },
	[10] = { "WAY", 4, KIND_NUMBER, LOAD_UNDER_WAY, NR_SORTS },
	[13] = { "WATCHES", 8, KIND_NUMBER, LOAD_WATCHES, SORT_WATCHES },
	[14] = { "TRANS", 5, KIND_NUMBER, LOAD_TRANSACTIONS, NR_SORTS },
	[15] = { "SESSION", 8, KIND_SESSION, 0, NR_SORTS },
	[16] = { "STATE", LOAD_STATE - 1, KIND_STATE, 0, NR_SORTS },
#define COUNTER(name, unit, place, width, heading, ...)                         \
	[place] = { heading, width, KIND_##unit, LOAD_COUNTED + COUNTER_##name, \
		    SORT_OF(name, unit) },
#include "protocol/counters.def"
};

#define NR_COLUMNS (sizeof(columns) / sizeof(columns[0]))

_Static_assert(NR_COLUMNS == COLUMNS_HERE + COUNTERS, "the places have no gap");

/* Append @text at the right of @column. Return: false when the column is beyond @width. */
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

/* A name is worth much room where there is much. */
static bool is_shown(const struct column *column, int width)
{
	return column->kind != KIND_CALLED || width >= WIDE;
}

void table_head(char out[TABLE_LINE], int width, enum option_sort sort)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < NR_COLUMNS; i++) {
		char text[16];

		if (!is_shown(&columns[i], width))
			continue;
		snprintf(text, sizeof(text), "%s%s", columns[i].sort == sort ? "*" : "",
			 columns[i].name);
		if (!put(out, &used, width, &columns[i], text))
			return;
	}
}

static const char *cell(char text[UNITS_MAX], const struct load_row *row,
			const struct column *column, const char *name)
{
	bool counts = column->kind != KIND_NAME && column->kind < KIND_SESSION;
	double value = row->value[column->field];

	if (counts && (value == LOAD_NONE || (column->field < LOAD_COUNTERS && !row->is_rated)))
		return "-";
	switch (column->kind) {
	case KIND_NAME:
		snprintf(text, UNITS_MAX, "%" PRId64, row->domid);
		return name ? name : text;
	case KIND_ONE:
		return units_rate(text, value);
	case KIND_OCTET:
		return units_octets(text, value);
	case KIND_NS:
		snprintf(text, UNITS_MAX, "%.1f", value / 1e7);
		return text;
	case KIND_TIME:
		return value > 0 ? units_time(text, (int64_t)value) : "-";
	case KIND_NUMBER:
		snprintf(text, UNITS_MAX, "%.0f", value);
		return text;
	case KIND_CALLED:
		return *row->called ? row->called : "-";
	case KIND_STATE:
		return *row->state ? row->state : "-";
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
		if (is_shown(&columns[i], width) &&
		    !put(out, &used, width, &columns[i], cell(text, row, &columns[i], name)))
			return;
}
