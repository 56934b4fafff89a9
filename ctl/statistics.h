/* SPDX-License-Identifier: MIT */
/*
 * statistics - the answer to `stats` (docs/protocol.md, "Control socket") as tables for people.
 *
 * Used by the commands stats and top. At most 80 columns wide.
 */
#ifndef XSPROXY_CTL_STATISTICS_H
#define XSPROXY_CTL_STATISTICS_H

#include <jansson.h>
#include <stdio.h>

/**
 * statistics_print() - print an answer to `stats`.
 * @out: errors are left in it for the caller to find
 *
 * Return: 0 or -ENOMEM.
 */
int statistics_print(FILE *out, const json_t *stats);

#endif
