// SPDX-License-Identifier: MIT
/*
 * units - see units.h.
 */
#include "ctl/units.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>

struct scale {
	double step; /* how many of one unit the next one is */
	int nr;
	const char *units[5];
};

static const struct scale octets_scale = { 1024, 5, { "", "K", "M", "G", "T" } };
static const struct scale rate_scale = { 1000, 4, { "", "k", "M", "G" } };

/* Three digits, after the unit has been chosen so that they suffice. */
static const char *scaled(char out[UNITS_MAX], double value, const struct scale *scale)
{
	int i = 0, digits;

	while (i + 1 < scale->nr && value >= (scale->step > 1000 ? 1023.5 : 999.5)) {
		value /= scale->step;
		i++;
	}
	digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
	snprintf(out, UNITS_MAX, "%.*f%s", digits, value, scale->units[i]);
	return out;
}

const char *units_time(char out[UNITS_MAX], int64_t ns)
{
	const char *micro = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "µs" : "us";
	const struct scale scale = { 1000, 4, { "ns", micro, "ms", "s" } };

	if (ns >= 1000)
		return scaled(out, (double)ns, &scale);
	snprintf(out, UNITS_MAX, "%d%s", (int)ns, ns ? "ns" : "");
	return out;
}

const char *units_octets(char out[UNITS_MAX], double octets)
{
	if (octets >= 1023.5)
		return scaled(out, octets, &octets_scale);
	snprintf(out, UNITS_MAX, "%.0f", octets);
	return out;
}

const char *units_rate(char out[UNITS_MAX], double rate)
{
	if (rate > 0)
		return scaled(out, rate, &rate_scale);
	snprintf(out, UNITS_MAX, "0");
	return out;
}

const char *units_share(char out[UNITS_MAX], double share)
{
	snprintf(out, UNITS_MAX, "%.1f%%", share * 100);
	return out;
}

size_t units_columns(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}
