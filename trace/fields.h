/* SPDX-License-Identifier: MIT */
/*
 * fields - what a message of the Xenstore protocol says: its operation, and its payload as paths,
 * tokens, values, permissions and words.
 *
 * Called by trace/text, trace/json and ctl/. Must never fail: whatever a guest sent is some field.
 */
#ifndef XSPROXY_TRACE_FIELDS_H
#define XSPROXY_TRACE_FIELDS_H

#include "trace/view.h"

enum field_kind {
	FIELD_PATH,
	FIELD_TOKEN,
	FIELD_VALUE, /* any octets */
	FIELD_PERM,  /* as n0, r7 */
	FIELD_NAME,  /* of a child */
	FIELD_WORD,  /* anything else; also what nobody expects there */
};

struct field {
	enum field_kind kind;
	const char *octets;
	size_t len;
	bool open; /* the NUL that should end it is not there */
};

/* Goes through the fields of a message. */
struct fields {
	const char *at, *end;
	const char *shape; /* of the fields to come (protocol/requests.def) */
	bool cut;
};

/** fields_begin() - begin with the fields of @view, a message that has a payload. */
void fields_begin(struct fields *fields, const struct view *view);

/** fields_next() - the next field. Return: false when there is none left. */
bool fields_next(struct fields *fields, struct field *field);

/** fields_is_list() - whether a reply to @type has a list of any length. */
bool fields_is_list(uint32_t type);

#define FIELDS_NAME_MAX 32

/**
 * fields_type_name() - the name of a type, "UNKNOWN 0x2a" of one that nobody knows; @out may be
 * used for it.
 */
const char *fields_type_name(uint32_t type, char out[FIELDS_NAME_MAX]);

/**
 * fields_type_parse() - the type of a request's name, in any case, or of a number, which need not
 * have a name.
 * @type: gets it
 *
 * Return: 0, or -ENOENT when there is none.
 */
int fields_type_parse(const char *name, uint32_t *type);

#endif
