// SPDX-License-Identifier: MIT
/*
 * cmd_stream - the commands about streams: export, import, show, convert. Thin: what they do is in
 * migration/.
 */
#include "ctl/command.h"
#include "migration/convert.h"
#include "migration/export.h"
#include "migration/format/state_stream.h"
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
static int open_stream(struct state_reader **reader, const struct options *options,
		       const struct report *report)
{
	const char *name = stream_name(options->argument);
	int fd = name == options->argument ? open(name, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	struct record_fault fault;
	int r;

	if (fd < 0)
		return report_fail(report, -errno, "cannot open %s: %s", name, strerror(errno));
	r = state_reader_open(reader, fd, options->max_stream, &fault);
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
	int r = open_stream(&reader, options, report);

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
	r = open_stream(&reader, options, report);
	if (r)
		return r;
	r = convert_stream(reader, &how, report);
	state_reader_free(reader);
	return r;
}
