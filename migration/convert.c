// SPDX-License-Identifier: MIT
/*
 * convert - see convert.h.
 */
#include "migration/convert.h"

#include "migration/libxl_items.h"
#include "migration/output.h"

#include <errno.h>
#include <inttypes.h>

struct converter {
	const struct convert_options *options;
	const struct report *report;
	struct state_reader *reader;
	struct libxl_items *items; /* instead, for libxl's */
	struct interrupt interrupt;
	struct omissions *omissions;
	struct conversion_options how;
	struct conversion *conversion;
	struct output *output;
	struct state_writer *state;
	struct libxl_writer *libxl; /* instead, for libxl's */
};

#define fail(converter, err, ...) report_fail((converter)->report, err, __VA_ARGS__)

/* --- from and to, whatever the formats */

static int next_item(struct converter *converter, struct state_item *item)
{
	return converter->items ? libxl_items_next(converter->items, item)
				: state_reader_next(converter->reader, item);
}

static int put_libxl(struct converter *converter, const struct state_item *item,
		     struct record_fault *fault)
{
	struct record rec;

	switch (item->kind) {
	case STATE_NODE:
		rec = (struct record){ .kind = RECORD_NODE, .node = item->node.node };
		break;
	case STATE_WATCH:
		rec = (struct record){ .kind = RECORD_WATCH,
				       .watch = { item->watch.path, item->watch.path_len,
						  item->watch.token, item->watch.token_len } };
		break;
	case STATE_TRANSACTION:
		rec = (struct record){ .kind = RECORD_TRANSACTION,
				       .transaction = { item->transaction.tx_id } };
		break;
	default:
		return 0;
	}
	return libxl_writer_append(converter->libxl, &rec, fault);
}

static int put_item(struct converter *converter, const struct state_item *item)
{
	struct record_fault fault;
	int r = converter->libxl ? put_libxl(converter, item, &fault)
				 : state_writer_append(converter->state, item, &fault);

	if (r == -EBADMSG)
		return fail(converter, r, "cannot write record %" PRIu64 ": %s", fault.record,
			    fault.reason);
	return r ? fail(converter, r, "cannot write the stream: %s", report_local_reason(r)) : 0;
}

static int copy_items(struct converter *converter)
{
	struct state_item item;
	int r;

	for (;;) {
		r = next_item(converter, &item);
		if (!r)
			return 0;
		if (r > 0)
			r = conversion_item(converter->conversion, &item);
		if (r < 0)
			return fail(converter, r, "cannot read %s: %s", converter->options->name,
				    report_local_reason(r));
		if (r)
			r = put_item(converter, &item);
		if (r)
			return r;
	}
}

/* --- before and after */

/* Whose, and which nodes: a libxl stream has nothing that is not its domain's. */
static int choose(struct converter *converter)
{
	static const char *const all[] = { "/" };
	bool from_libxl = state_reader_libxl(converter->reader);

	converter->how = converter->options->how;
	if (from_libxl) {
		converter->how.roots = all;
		converter->how.nr_roots = 1;
	}
	if (converter->how.one)
		return 0;
	if (from_libxl)
		return fail(converter, -EINVAL,
			    "%s does not say whose stream it is; say --domain DOMID",
			    converter->options->name);
	if (converter->how.to == STATE_LIBXL)
		return fail(converter, -EINVAL,
			    "a libxl stream is of one domain; say --domain DOMID");
	return 0;
}

static int open_source(struct converter *converter)
{
	struct libxl_reader *libxl = state_reader_libxl(converter->reader);
	int r = libxl ? libxl_items_new(&converter->items, libxl, converter->options->how.domid)
		      : state_reader_rewind(converter->reader);

	return r ? fail(converter, r, "cannot read %s: %s", converter->options->name,
			report_local_reason(r))
		 : 0;
}

static int open_list(struct converter *converter)
{
	const char *list = converter->options->list;
	int r = omissions_new(&converter->omissions, converter->report, list);

	if (r)
		return fail(converter, r, "cannot write %s: %s", list ? list : "a list",
			    report_local_reason(r));
	r = conversion_new(&converter->conversion, &converter->how, converter->omissions);
	return r ? fail(converter, r, "%s", report_local_reason(r)) : 0;
}

static int open_output(struct converter *converter)
{
	const char *file = converter->options->file;
	enum state_format to = converter->options->how.to;
	int r = output_open(&converter->output, file, &converter->interrupt);

	if (!r && to == STATE_LIBXL)
		r = libxl_writer_new(&converter->libxl, output_file(converter->output));
	else if (!r)
		r = state_writer_new(&converter->state, output_file(converter->output), to);
	return r ? fail(converter, r, "cannot write %s: %s", file ? file : "to standard output",
			report_local_reason(r))
		 : 0;
}

static int list_losses(struct converter *converter)
{
	int r = omissions_finish(converter->omissions);

	if (r)
		return fail(converter, r, "cannot write %s: %s", converter->options->list,
			    report_local_reason(r));
	if (converter->options->strict &&
	    (omissions_count(converter->omissions, OMISSION_LEFT_OUT) ||
	     omissions_count(converter->omissions, OMISSION_REWRITTEN)))
		return fail(converter, -EOPNOTSUPP,
			    "not all of %s can be converted, and --strict is given",
			    converter->options->name);
	return 0;
}

static int finish(struct converter *converter)
{
	int r = list_losses(converter);

	if (r)
		return r;
	r = converter->libxl ? libxl_writer_finish(converter->libxl)
			     : state_writer_finish(converter->state);
	if (!r)
		r = output_commit(converter->output);
	return r ? fail(converter, r, "cannot write the stream: %s", report_local_reason(r)) : 0;
}

static int run(struct converter *converter)
{
	int r = interrupt_catch(&converter->interrupt);

	if (r)
		return fail(converter, r, "cannot catch signals: %s", report_local_reason(r));
	r = choose(converter);
	if (!r)
		r = open_source(converter);
	if (!r)
		r = open_list(converter);
	if (!r)
		r = open_output(converter);
	if (!r)
		r = copy_items(converter);
	return r ? r : finish(converter);
}

int convert_stream(struct state_reader *reader, const struct convert_options *options,
		   const struct report *report)
{
	struct converter converter = { .options = options, .report = report, .reader = reader };
	int r = run(&converter);

	state_writer_free(converter.state);
	libxl_writer_free(converter.libxl);
	output_free(converter.output);
	conversion_free(converter.conversion);
	omissions_free(converter.omissions);
	libxl_items_free(converter.items);
	return r;
}
