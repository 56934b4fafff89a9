/* SPDX-License-Identifier: MIT */
/*
 * print - what commands print on standard output, and what they find in xsproxyd's answers.
 *
 * Used by the commands. Must never leave an error of standard output unreported: each command ends
 * with print_end().
 */
#ifndef XSPROXY_CTL_PRINT_H
#define XSPROXY_CTL_PRINT_H

#include <jansson.h>
#include <stdint.h>

#include "migration/report.h"
#include "trace/text.h"

/* What it means that there is no keeper, and what to do */
#define PRINT_NO_KEEPER                                                \
	"a restart of xsproxyd closes toolstacks' connections; start " \
	"xsproxy-keeper.service"

/* The same for one that has what an xsproxyd of another version left */
#define PRINT_FOREIGN_KEEPER                                                                 \
	"has connections that another version left; install that version again and restart " \
	"xsproxy, or restart xsproxy-keeper to close them"

/** print_json() - a line of JSON. @value: NULL means that memory ran out. Return: 0 or -ENOMEM. */
int print_json(const json_t *value);

/** print_json_new() - the same; takes over @value. */
int print_json_new(json_t *value);

/**
 * print_end() - have it all written.
 * @r: what printing came to
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int print_end(int r, const struct report *report);

/** print_text() - a member of an answer: a string, or "-" where there is none. */
const char *print_text(const json_t *object, const char *key);

/** print_look() - how lines of messages look where standard output goes to. */
void print_look(struct text *text);

/** print_number() - a member of an answer: a number, or 0 where there is none. */
int64_t print_number(const json_t *object, const char *key);

#endif
