/* SPDX-License-Identifier: MIT */
/*
 * units - durations, octets and rates as people read them: three digits and a unit.
 *
 * Used by stats and top. Writes the micro sign only where the locale has it, so main() must have
 * set LC_CTYPE.
 */
#ifndef XSPROXY_CTL_UNITS_H
#define XSPROXY_CTL_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_MAX 32 /* octets of a text, NUL included */

/* All return @out, so that they can be arguments of a format. */

/** units_time() - a duration in ns: 850ns, 12.3us, 4.56ms, 1.23s. */
const char *units_time(char out[UNITS_MAX], int64_t ns);

/** units_octets() - a number of octets: 512, 1.50K, 12.3M. */
const char *units_octets(char out[UNITS_MAX], double octets);

/** units_rate() - how often a second: 0, 0.50, 12.3, 123k. */
const char *units_rate(char out[UNITS_MAX], double rate);

/** units_share() - a share of 1 as 12.3%. */
const char *units_share(char out[UNITS_MAX], double share);

/** units_columns() - how many columns @text takes. */
size_t units_columns(const char *text);

#endif
