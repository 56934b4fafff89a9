// SPDX-License-Identifier: MIT
/*
 * show - see show.h. A format is a pair of functions; show_stream() runs them over the records.
 */
#include "migration/show.h"

#include "migration/show_parts.h"
#include "text/buffer.h"
#include "text/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

struct totals {
	uint64_t nodes;
	uint64_t watches;
	uint64_t transactions;
	uint64_t skipped;
	uint64_t octets;
};

struct show {
	FILE *out;
	struct buffer escaped; /* of one string; JSON only */
};

/* Each returns 0 or negative errno; what writing itself fails with may wait for the flush. */
struct format {
	int (*record)(struct show *show, const struct record *rec);
	int (*summary)(struct show *show, const struct totals *totals);
};

/* --- text */

static void text_node(FILE *out, const struct record_node *node)
{
	show_path(out, "node", node->path, node->path_len);
	show_perms(out, node);
	fputc(' ', out);
	show_quoted(out, node->value, node->value_len);
	fputc('\n', out);
}

static void text_watch(FILE *out, const struct record_watch *watch)
{
	show_path(out, "watch", watch->path, watch->path_len);
	show_quoted(out, watch->token, watch->token_len);
	fputc('\n', out);
}

static int text_record(struct show *show, const struct record *rec)
{
	switch (rec->kind) {
	case RECORD_NODE:
		text_node(show->out, &rec->node);
		break;
	case RECORD_WATCH:
		text_watch(show->out, &rec->watch);
		break;
	case RECORD_TRANSACTION:
		fprintf(show->out, "transaction %" PRIu32 "\n", rec->transaction.tx_id);
		break;
	}
	return 0;
}

static int text_summary(struct show *show, const struct totals *totals)
{
	fprintf(show->out,
		"nodes: %" PRIu64 ", watches: %" PRIu64 ", transactions: %" PRIu64
		", skipped: %" PRIu64 ", octets: %" PRIu64 "\n",
		totals->nodes, totals->watches, totals->transactions, totals->skipped,
		totals->octets);
	return 0;
}

static const struct format text_format = { text_record, text_summary };

/* --- JSON */

/* Takes over @line, which is NULL when memory ran out. */
static int json_line(struct show *show, json_t *line)
{
	return show_json_line(show->out, line);
}

static json_t *json_node(struct show *show, const struct record_node *node)
{
	return json_pack("{s:{s:o,s:o,s:o}}", "node", "path",
			 escape_json(&show->escaped, node->path, node->path_len), "permissions",
			 show_json_perms(node), "value",
			 escape_json(&show->escaped, node->value, node->value_len));
}

static json_t *json_watch(struct show *show, const struct record_watch *watch)
{
	return json_pack("{s:{s:o,s:o}}", "watch", "path",
			 escape_json(&show->escaped, watch->path, watch->path_len), "token",
			 escape_json(&show->escaped, watch->token, watch->token_len));
}

static int json_record(struct show *show, const struct record *rec)
{
	switch (rec->kind) {
	case RECORD_NODE:
		return json_line(show, json_node(show, &rec->node));
	case RECORD_WATCH:
		return json_line(show, json_watch(show, &rec->watch));
	case RECORD_TRANSACTION:
		return json_line(show, json_pack("{s:{s:I}}", "transaction", "id",
						 (json_int_t)rec->transaction.tx_id));
	}
	return 0;
}

static int json_summary(struct show *show, const struct totals *totals)
{
	return json_line(
		show, json_pack("{s:{s:I,s:I,s:I,s:I,s:I}}", "summary", "nodes",
				(json_int_t)totals->nodes, "watches", (json_int_t)totals->watches,
				"transactions", (json_int_t)totals->transactions, "skipped",
				(json_int_t)totals->skipped, "octets", (json_int_t)totals->octets));
}

static const struct format json_format = { json_record, json_summary };

/* --- all of it */

static void totals_count(struct totals *totals, const struct record *rec)
{
	switch (rec->kind) {
	case RECORD_NODE:
		totals->nodes++;
		break;
	case RECORD_WATCH:
		totals->watches++;
		break;
	case RECORD_TRANSACTION:
		totals->transactions++;
		break;
	}
}

/* What only the reader's position at END can tell. */
static void totals_close(struct totals *totals, const struct libxl_reader *reader)
{
	struct record_fault end;

	libxl_reader_locate(reader, &end);
	totals->skipped = end.record - 1 - totals->nodes - totals->watches - totals->transactions;
	totals->octets = end.offset + 8; /* END is the last thing in a stream */
}

static int show_records(struct libxl_reader *reader, struct show *show, const struct format *format)
{
	struct totals totals = { 0 };
	struct record rec;
	int r = libxl_reader_rewind(reader);

	if (r)
		return r;
	while ((r = libxl_reader_next(reader, &rec)) > 0) {
		totals_count(&totals, &rec);
		r = format->record(show, &rec);
		if (!r && ferror(show->out))
			r = show_error();
		if (r)
			return r;
	}
	if (r)
		return r;
	totals_close(&totals, reader);
	return format->summary(show, &totals);
}

int show_stream(struct libxl_reader *reader, FILE *out, bool json)
{
	struct show show = { .out = out };
	int r;

	errno = 0;
	r = show_records(reader, &show, json ? &json_format : &text_format);

	free(show.escaped.data);
	return show_finish(out, r);
}
