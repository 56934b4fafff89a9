// SPDX-License-Identifier: MIT
/*
 * statistics - see statistics.h.
 */
#include "ctl/statistics.h"

#include "ctl/print.h"
#include "ctl/units.h"
#include "protocol/counters.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BAR_MAX 13 /* columns of a histogram's bar */

/* What a response time is made of. */
static const struct {
	const char *key;
	const char *name;
} parts[] = { { "total", "total" }, { "proxy", "in xsproxyd" }, { "upstream", "upstream" } };

#define NR_PARTS (sizeof(parts) / sizeof(parts[0]))

static void print_right(FILE *out, const char *text, size_t width)
{
	size_t columns = units_columns(text);

	fprintf(out, "%*s%s", columns < width ? (int)(width - columns) : 0, "", text);
}

/* --- counts by name */

struct count {
	const char *name;
	int64_t count;
};

/* The most first, then by name. */
static int compare_counts(const void *a, const void *b)
{
	const struct count *left = a, *right = b;

	if (left->count != right->count)
		return left->count < right->count ? 1 : -1;
	return strcmp(left->name, right->name);
}

static int64_t sum_counts(const json_t *object)
{
	const json_t *value;
	const char *key;
	int64_t sum = 0;

	json_object_foreach((json_t *)object, key, value) sum += json_integer_value(value);
	return sum;
}

/* @requests: the share is of them */
static int print_counts(FILE *out, const char *title, const char *unit, const json_t *object,
			int64_t requests)
{
	size_t nr = json_object_size(object), i = 0;
	struct count *counts = calloc(nr ? nr : 1, sizeof(*counts));
	const json_t *value;
	const char *key;

	if (!counts)
		return -ENOMEM;
	json_object_foreach((json_t *)object, key, value) counts[i++] =
		(struct count){ key, json_integer_value(value) };
	qsort(counts, nr, sizeof(*counts), compare_counts);
	if (nr)
		fprintf(out, "\n%-24s %12s %8s\n", title, unit, "SHARE");
	for (i = 0; i < nr; i++) {
		char share[UNITS_MAX];

		fprintf(out, "%-24s %12" PRId64 " %8s\n", counts[i].name, counts[i].count,
			units_share(share,
				    requests ? (double)counts[i].count / (double)requests : 0));
	}
	free(counts);
	return 0;
}

/* --- times */

static void print_part(FILE *out, const char *name, const json_t *part)
{
	static const char *const keys[] = { "p50", "p99", "max" };
	int64_t count = print_number(part, "count");
	char text[UNITS_MAX];

	fprintf(out, "%-15s %12" PRId64, name, count);
	print_right(out, units_time(text, count ? print_number(part, "sum") / count : 0), 10);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		print_right(out, units_time(text, print_number(part, keys[i])), 10);
	fputc('\n', out);
}

static void print_times(FILE *out, const json_t *time)
{
	fprintf(out, "\n%-15s %12s %9s %9s %9s %9s\n", "RESPONSE TIME", "REQUESTS", "MEAN", "P50",
		"P99", "MAX");
	for (size_t i = 0; i < NR_PARTS; i++)
		print_part(out, parts[i].name, json_object_get(time, parts[i].key));
}

/* --- histogram */

#define NO_BOUND INT64_MAX

/* A part's buckets, from the one at `at` on still to be printed. */
struct histogram {
	const json_t *buckets;
	size_t at;
	int64_t most;
};

static int64_t bucket_bound(const struct histogram *histogram)
{
	const json_t *bound = json_array_get(json_array_get(histogram->buckets, histogram->at), 0);

	return json_is_integer(bound) ? json_integer_value(bound) : NO_BOUND;
}

static int64_t bucket_count(const struct histogram *histogram)
{
	return json_integer_value(
		json_array_get(json_array_get(histogram->buckets, histogram->at), 1));
}

static void histogram_open(struct histogram *histogram, const json_t *part)
{
	*histogram = (struct histogram){ .buckets = json_object_get(part, "buckets") };
	for (; histogram->at < json_array_size(histogram->buckets); histogram->at++)
		if (bucket_count(histogram) > histogram->most)
			histogram->most = bucket_count(histogram);
	histogram->at = 0;
}

/* The least bound that some part still has. Return: false when there is none. */
static bool next_bound(const struct histogram *histograms, int64_t *bound)
{
	bool any = false;

	*bound = NO_BOUND;
	for (size_t i = 0; i < NR_PARTS; i++) {
		if (histograms[i].at == json_array_size(histograms[i].buckets))
			continue;
		any = true;
		if (bucket_bound(&histograms[i]) < *bound)
			*bound = bucket_bound(&histograms[i]);
	}
	return any;
}

/* @last: nothing follows it on the line */
static void print_bar(FILE *out, int64_t count, int64_t most, bool last)
{
	/* What is there at all is to be seen. */
	int length = most ? (int)((double)count / (double)most * BAR_MAX + 0.5) : 0;

	if (count && !length)
		length = 1;
	fprintf(out, "%s%.*s%*s", length || !last ? " " : "", length, "#############",
		last ? 0 : BAR_MAX - length, "");
}

static void print_row(FILE *out, struct histogram *histograms, int64_t bound)
{
	char text[UNITS_MAX];

	print_right(out, bound == NO_BOUND ? "more" : units_time(text, bound), 8);
	for (size_t i = 0; i < NR_PARTS; i++) {
		struct histogram *histogram = &histograms[i];
		int64_t count = 0;

		if (histogram->at < json_array_size(histogram->buckets) &&
		    bucket_bound(histogram) == bound) {
			count = bucket_count(histogram);
			histogram->at++;
		}
		fprintf(out, " %9" PRId64, count);
		print_bar(out, count, histogram->most, i + 1 == NR_PARTS);
	}
	fputc('\n', out);
}

static void print_histogram(FILE *out, const json_t *time)
{
	struct histogram histograms[NR_PARTS];
	int64_t bound;

	for (size_t i = 0; i < NR_PARTS; i++)
		histogram_open(&histograms[i], json_object_get(time, parts[i].key));
	if (!next_bound(histograms, &bound))
		return;
	fprintf(out, "\n%8s", "BELOW");
	for (size_t i = 0; i < NR_PARTS; i++)
		fprintf(out, " %9s %-*s", i ? "" : "REQUESTS", i + 1 < NR_PARTS ? BAR_MAX : 0,
			parts[i].name);
	fputc('\n', out);
	while (next_bound(histograms, &bound))
		print_row(out, histograms, bound);
}

/* --- all */

static const struct {
	const char *key;
	enum counter_unit unit;
	const char *label;
	const char *text;
} lines[COUNTERS] = {
#define COUNTER(name, unit, place, width, heading, label, text, ...) \
	{ #name, COUNTER_##unit, label, text },
#include "protocol/counters.def"
};

static const char *counter_text(char text[UNITS_MAX], enum counter_unit unit, int64_t count)
{
	switch (unit) {
	case COUNTER_OCTET:
		return units_octets(text, (double)count);
	case COUNTER_NS:
		return units_time(text, count);
	case COUNTER_ONE:
		break;
	}
	snprintf(text, UNITS_MAX, "%" PRId64, count);
	return text;
}

static void print_counters(FILE *out, const json_t *stats)
{
	char text[UNITS_MAX];

	for (int i = 0; i < COUNTERS; i++) {
		if (i && !strcmp(lines[i].label, lines[i - 1].label))
			fputs(", ", out);
		else
			fprintf(out, "%s%-10s ", i ? "\n" : "", lines[i].label);
		fprintf(out, lines[i].text,
			counter_text(text, lines[i].unit, print_number(stats, lines[i].key)));
	}
	fputc('\n', out);
}

static void print_sums(FILE *out, const json_t *stats, int64_t requests, int64_t errors)
{
	fprintf(out, "sessions   %" PRId64 "\n", print_number(stats, "sessions"));
	fprintf(out, "requests   %" PRId64 "\n", requests);
	fprintf(out, "errors     %" PRId64 "\n", errors);
	print_counters(out, stats);
}

int statistics_print(FILE *out, const json_t *stats)
{
	const json_t *by_op = json_object_get(stats, "requests");
	const json_t *by_name = json_object_get(stats, "errors");
	const json_t *time = json_object_get(stats, "time");
	int64_t requests = sum_counts(by_op);
	int r;

	print_sums(out, stats, requests, sum_counts(by_name));
	r = print_counts(out, "OPERATION", "REQUESTS", by_op, requests);
	if (!r)
		r = print_counts(out, "ERROR", "COUNT", by_name, requests);
	print_times(out, time);
	print_histogram(out, time);
	return r;
}
