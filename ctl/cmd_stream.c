// SPDX-License-Identifier: MIT
/*
 * cmd_stream - the commands about streams: export, import, show, convert, splice, split. Thin: what
 * they do is in migration/.
 */
#include "ctl/command.h"
#include "migration/convert.h"
#include "migration/export.h"
#include "migration/format/state_stream.h"
#include "migration/image.h"
#include "migration/import.h"
#include "migration/show.h"
#include "migration/show_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

int command_export(const struct options *options, const struct report *report)
{
	const struct export_options how = {
		.socket = options->socket,
		.domid = options->domid,
		.file = options->file,
		.command = options->command,
		.roots = options->roots,
		.nr_roots = options->nr_roots,
		.keep = options->keep,
		.resume = options->resume,
		.strict = options->strict,
		.list = options->list,
	};

	if (!options->file && !options->command && isatty(STDOUT_FILENO))
		return report_fail(report, -EINVAL,
				   "a stream is not for a terminal; use -o FILE, or a pipe to "
				   "xsproxyctl show -");
	return export_domain(&how, report);
}

int command_import(const struct options *options, const struct report *report)
{
	const struct import_options how = {
		.socket = options->socket,
		.intake = {
			.file = options->file,
			.max_stream = options->max_stream,
			.domid = options->domid,
			.roots = options->roots,
			.nr_roots = options->nr_roots,
			.maps = options->maps,
			.nr_maps = options->nr_maps,
			.keep_perms = options->keep_permissions,
			.map_values = options->map_values,
			.drop_foreign = options->drop_foreign,
			.max_nodes = options->max_nodes,
		},
		.dir = options->journal,
		.overwrite = options->overwrite,
		.drop_foreign = options->drop_foreign,
		.resume = options->resume,
		.strict = options->strict,
		.list = options->list,
	};

	return options->recover ? import_recover(&how, report) : import_domain(&how, report);
}

static const char *stream_name(const char *file)
{
	return strcmp(file, "-") ? file : "standard input";
}

/* Opens and checks a stream of any format. Return: 0, or a negative errno, which was reported. */
static int open_stream(struct state_reader **reader, const char *file, uint64_t max_stream,
		       const struct report *report)
{
	const char *name = stream_name(file);
	int fd = name == file ? open(name, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	struct record_fault fault;
	int r;

	if (fd < 0)
		return report_fail(report, -errno, "cannot open %s: %s", name, strerror(errno));
	r = state_reader_open(reader, fd, max_stream, &fault);
	if (fd != STDIN_FILENO)
		close(fd);
	if (r == -EBADMSG)
		return report_fail(report, r,
				   "%s is no good stream: record %" PRIu64 ", octet %" PRIu64
				   ": %s",
				   name, fault.record, fault.offset, fault.reason);
	return r ? report_fail(report, r, "cannot read %s: %s", name, report_local_reason(r)) : 0;
}

int command_show(const struct options *options, const struct report *report)
{
	const char *name = stream_name(options->argument);
	struct state_reader *reader = NULL;
	int r = open_stream(&reader, options->argument, options->max_stream, report);

	if (r)
		return r;
	if (state_reader_libxl(reader))
		r = show_stream(state_reader_libxl(reader), stdout, options->json);
	else
		r = show_state(reader, stdout, options->json);
	state_reader_free(reader);
	return r ? report_fail(report, r, "cannot show %s: %s", name, report_local_reason(r)) : 0;
}

int command_convert(const struct options *options, const struct report *report)
{
	struct convert_options how = {
		.name = stream_name(options->argument),
		.file = options->file,
		.strict = options->strict,
		.list = options->list,
		.how = { .to = options->format,
			 .one = options->has_domid,
			 .domid = options->domid,
			 .roots = options->roots,
			 .nr_roots = options->nr_roots },
	};
	struct state_reader *reader = NULL;
	int r;

	if (!options->file && isatty(STDOUT_FILENO))
		return report_fail(report, -EINVAL, "a stream is not for a terminal; use -o FILE");
	r = open_stream(&reader, options->argument, options->max_stream, report);
	if (r)
		return r;
	r = convert_stream(reader, &how, report);
	state_reader_free(reader);
	return r;
}

static struct image_options image_options(const struct options *options)
{
	const char *name = stream_name(options->argument);

	return (struct image_options){
		.image = name == options->argument ? name : NULL,
		.name = name,
		.file = options->file,
		.stream = strcmp(options->stream, "-") ? options->stream : NULL,
		.max_stream = options->max_stream,
	};
}

static int refuse_terminal(const struct report *report)
{
	return report_fail(report, -EINVAL, "an image is not for a terminal; use -o FILE");
}

int command_splice(const struct options *options, const struct report *report)
{
	const struct image_options how = image_options(options);
	struct state_reader *reader = NULL;
	int r;

	if (!options->file && isatty(STDOUT_FILENO))
		return refuse_terminal(report);
	r = open_stream(&reader, options->stream, options->max_stream, report);
	if (r)
		return r;
	if (state_reader_libxl(reader))
		r = image_splice(&how, state_reader_libxl(reader), report);
	else
		r = report_fail(
			report, -EINVAL,
			"%s is not of one domain; xsproxyctl convert --to libxl makes it so",
			stream_name(options->stream));
	state_reader_free(reader);
	return r;
}

int command_split(const struct options *options, const struct report *report)
{
	const struct image_options how = image_options(options);

	if ((!how.file || !how.stream) && isatty(STDOUT_FILENO))
		return refuse_terminal(report);
	return image_split(&how, report);
}
