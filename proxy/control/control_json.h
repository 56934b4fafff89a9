/* SPDX-License-Identifier: MIT */
/*
 * control_json - what guests wrote, as JSON strings.
 *
 * Paths and tokens are octets; JSON holds Unicode. What is valid UTF-8 and printable stays as it
 * is; every other octet becomes `\xHH`, and a backslash `\\`, so that nothing is ambiguous and no
 * guest writes escape sequences to a terminal. Used by proxy/control/ for all that a guest chose.
 */
#ifndef XSPROXY_PROXY_CONTROL_CONTROL_JSON_H
#define XSPROXY_PROXY_CONTROL_CONTROL_JSON_H

#include <jansson.h>

/** control_json_text() - a new reference, or NULL without memory. */
json_t *control_json_text(const char *text);

/**
 * control_json_append() - add to a list.
 * @list: freed, and set to NULL, without memory; NULL is fine
 * @value: taken over; NULL: there was no memory for it
 */
void control_json_append(json_t **list, json_t *value);

#endif
