// SPDX-License-Identifier: MIT
/*
 * cmd_stream - the commands about migration streams: export, import, show. Thin: what they do is in
 * migration/.
 */
#include "ctl/command.h"
#include "migration/export.h"
#include "migration/format/libxl_stream.h"
#include "migration/import.h"
#include "migration/show.h"

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

int command_show(const struct options *options, const struct report *report)
{
	const char *name = strcmp(options->file, "-") ? options->file : "standard input";
	struct libxl_reader *reader = NULL;
	struct record_fault fault;
	int fd = name == options->file ? open(name, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	int r;

	if (fd < 0)
		return report_fail(report, -errno, "cannot open %s: %s", name, strerror(errno));
	r = libxl_reader_open(&reader, fd, options->max_stream, &fault);
	if (fd != STDIN_FILENO)
		close(fd);
	if (r == -EBADMSG)
		return report_fail(report, r,
				   "%s is no good stream: record %" PRIu64 ", octet %" PRIu64
				   ": %s",
				   name, fault.record, fault.offset, fault.reason);
	if (r)
		return report_fail(report, r, "cannot read %s: %s", name, report_local_reason(r));
	r = show_stream(reader, stdout, options->json);
	libxl_reader_free(reader);
	return r ? report_fail(report, r, "cannot show %s: %s", name, report_local_reason(r)) : 0;
}
