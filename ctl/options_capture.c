// SPDX-License-Identifier: MIT
/*
 * options_capture - the values of those options that are capture's alone.
 */
#include "ctl/options_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MAX  31536000 /* s: a year */
#define FILE_SIZE_MIN 4096
#define FILE_SIZE_MAX (1ULL << 40)
#define FILES_MIN     2 /* or what it ended with would hardly ever be there */
#define FILES_MAX     100000

int options_set_duration(struct parsing *parsing, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);

	if (*end || value[0] < '0' || value[0] > '9' || !(seconds >= 0.001) ||
	    seconds > DURATION_MAX)
		return wrong(parsing,
			     "--duration %s: must be a number of seconds, from 0.001 to %d", value,
			     DURATION_MAX);
	parsing->options->duration_ms = (uint64_t)(seconds * 1000 + 0.5);
	return 0;
}

int options_set_file_size(struct parsing *parsing, const char *value)
{
	uint64_t *size = &parsing->options->file_size;

	if (!options_octets(value, FILE_SIZE_MAX, size) || *size < FILE_SIZE_MIN)
		return wrong(
			parsing,
			"--file-size %s: must be a number of octets from 4K to 1024G; K, M and G "
			"may follow it",
			value);
	return 0;
}

int options_set_files(struct parsing *parsing, const char *value)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || *end || value[0] < '0' || value[0] > '9' || n < FILES_MIN || n > FILES_MAX)
		return wrong(parsing, "--files %s: must be a number from %d to %d", value,
			     FILES_MIN, FILES_MAX);
	parsing->options->files = (uint32_t)n;
	return 0;
}

int options_capture(struct parsing *parsing)
{
	const struct options *options = parsing->options;

	if (!options->file)
		return wrong(parsing, "--write FILE is missing; see --help");
	if (options->files && !options->file_size)
		return wrong(parsing, "--files is only for --file-size; see --help");
	if (options->file_size && !strcmp(options->file, "-"))
		return wrong(parsing, "--file-size is for files, not for standard output");
	return 0;
}
