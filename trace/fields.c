// SPDX-License-Identifier: MIT
#include "trace/fields.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "protocol/message.h"

/*
 * A payload's shape: a letter for each string. p path, t token, m permission, n child's name,
 * w word, v value: all that is left, whatever it holds. A star: the last one again and again.
 */
static const char *const requests[] = {
	[XS_CONTROL] = "w*",
	[XS_DIRECTORY] = "p",
	[XS_READ] = "p",
	[XS_GET_PERMS] = "p",
	[XS_WATCH] = "ptw",
	[XS_UNWATCH] = "pt",
	[XS_TRANSACTION_START] = "",
	[XS_TRANSACTION_END] = "w",
	[XS_WRITE] = "pv",
	[XS_MKDIR] = "p",
	[XS_RM] = "p",
	[XS_SET_PERMS] = "pm*",
	[XS_WATCH_EVENT] = "pt",
	[XS_RESET_WATCHES] = "",
	[XS_DIRECTORY_PART] = "pw",
};

static const char *const replies[] = {
	[XS_DIRECTORY] = "n*",	    [XS_READ] = "v",	     [XS_GET_PERMS] = "m*",
	[XS_GET_DOMAIN_PATH] = "p", [XS_WATCH_EVENT] = "pt", [XS_DIRECTORY_PART] = "wn*",
};

static const char words[] = "w*"; /* of what is in none of the tables */

#define NR(table) (sizeof(table) / sizeof((table)[0]))

static const char *request_shape(uint32_t type)
{
	return type < NR(requests) && requests[type] ? requests[type] : words;
}

static const char *reply_shape(uint32_t type)
{
	return type < NR(replies) && replies[type] ? replies[type] : words;
}

void fields_begin(struct fields *fields, const struct view *view)
{
	bool request = view->frame.kind == FRAME_REQUEST;

	fields->at = view->payload;
	fields->end = view->payload + view->len;
	fields->cut = view_cut(view);
	fields->shape = request ? request_shape(view->msg.type) : reply_shape(view->msg.type);
	/* A request without arguments has an empty string for a payload. */
	if (!*fields->shape && view->len == 1 && !view->payload[0])
		fields->at = fields->end;
}

static enum field_kind next_kind(struct fields *fields)
{
	static const enum field_kind kinds[] = {
		['p'] = FIELD_PATH, ['t'] = FIELD_TOKEN, ['v'] = FIELD_VALUE,
		['m'] = FIELD_PERM, ['n'] = FIELD_NAME,	 ['w'] = FIELD_WORD,
	};
	char letter = *fields->shape;

	if (!letter)
		return FIELD_WORD;
	if (fields->shape[1] != '*')
		fields->shape++;
	return kinds[(unsigned char)letter];
}

bool fields_next(struct fields *fields, struct field *field)
{
	size_t left = (size_t)(fields->end - fields->at);
	const char *nul;

	/* A value is there even if it is empty. */
	if (!left && (*fields->shape != 'v' || fields->cut))
		return false;
	*field = (struct field){ .kind = next_kind(fields), .octets = fields->at, .len = left };
	nul = field->kind == FIELD_VALUE || !left ? NULL : memchr(fields->at, 0, left);
	if (nul) {
		field->len = (size_t)(nul - fields->at);
		left = field->len + 1;
	} else if (field->kind != FIELD_VALUE) {
		field->open = !fields->cut;
		fields->shape = ""; /* nothing follows what does not end */
	}
	fields->at += left;
	return true;
}

bool fields_is_list(uint32_t type)
{
	switch (type) {
	case XS_DIRECTORY:
	case XS_GET_PERMS:
	case XS_DIRECTORY_PART:
	case MESSAGE_GET_DOMAIN_WATCHES:
	case MESSAGE_GET_DOMAIN_TRANSACTIONS:
		return true;
	default:
		return false;
	}
}

static bool has_name(uint32_t type)
{
	return strcmp(message_name(type), "UNKNOWN") != 0;
}

const char *fields_type_name(uint32_t type, char out[FIELDS_NAME_MAX])
{
	if (has_name(type))
		return message_name(type);
	snprintf(out, FIELDS_NAME_MAX, "TYPE 0x%x", type);
	return out;
}

int fields_type_parse(const char *name)
{
	for (uint32_t type = 0; type < MESSAGE_OURS_END; type++)
		if (has_name(type) && type != XS_WATCH_EVENT && type != XS_ERROR &&
		    !strcasecmp(name, message_name(type)))
			return (int)type;
	return -ENOENT;
}
