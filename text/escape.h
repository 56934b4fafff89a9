/* SPDX-License-Identifier: MIT */
/*
 * escape - a guest's octets in a form for people and for JSON (show.h describes both).
 *
 * Called by migration/, ctl/ and trace/json.c. Must never let an octet through that a terminal or a
 * JSON parser could take for more than itself.
 */
#ifndef XSPROXY_TEXT_ESCAPE_H
#define XSPROXY_TEXT_ESCAPE_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "text/buffer.h"

/**
 * escape_text() - print octets, with \xHH for those outside printable ASCII and for those in @also.
 * @out: errors are left in it for the caller to find
 */
void escape_text(FILE *out, const char *octets, size_t len, const char *also);

/**
 * escape_json() - a JSON string of octets, with \xHH for those that are not UTF-8, for DEL and for
 * backslashes.
 * @scratch: used and kept for the next call
 *
 * Return: a new string, or NULL when memory ran out.
 */
json_t *escape_json(struct buffer *scratch, const char *octets, size_t len);

#endif
