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
};

/* Those that are no counters */
#define COLUMNS_HERE  10

#define SORT_OF(unit) (COUNTER_##unit == COUNTER_OCTET ? SORT_OCTETS : NR_SORTS)

/* From left to right; the last ones are left out where the terminal is narrow. */
static const struct column {
	const char *name;
	int width;
	enum kind kind;
	enum load_field field;
	enum option_sort sort; /* NR_SORTS: none */
} columns[] = {
	[0] = { "DOMID", 6, KIND_NAME, 0, SORT_DOMID },
	[1] = { "REQ/s", 7, KIND_ONE, LOAD_REQUESTS, SORT_REQUESTS },
	[2] = { "ERR/s", 7, KIND_ONE, LOAD_ERRORS, SORT_ERRORS },
	[3] = { "P99", 7, KIND_TIME, LOAD_P99, SORT_P99 },
	[7] = { "P50", 7, KIND_TIME, LOAD_P50, NR_SORTS },
	[8] = { "MAX", 7, KIND_TIME, LOAD_MAX, NR_SORTS },
	[9] = { "WAY", 4, KIND_NUMBER, LOAD_UNDER_WAY, NR_SORTS },
	[12] = { "WATCHES", 7, KIND_NUMBER, LOAD_WATCHES, NR_SORTS },
	[13] = { "TRANS", 5, KIND_NUMBER, LOAD_TRANSACTIONS, NR_SORTS },
	[14] = { "SESSION", 8, KIND_SESSION, 0, NR_SORTS },
#define COUNTER(name, unit, place, width, heading, ...) \
	[place] = { heading, width, KIND_##unit, LOAD_COUNTED + COUNTER_##name, SORT_OF(unit) },
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
