// SPDX-License-Identifier: MIT
/*
 * options_capture - the values of those options that are capture's alone.
 */
#include "ctl/options_set.h"

#include <errno.h>
#include <stdlib.h>

#define DURATION_MAX 31536000 /* s: a year */

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
