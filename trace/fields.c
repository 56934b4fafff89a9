// SPDX-License-Identifier: MIT
#include "trace/fields.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "protocol/message.h"

static const char words[] = "w*"; /* of a type that nobody knows */

static const char *shape_of(const struct view *view)
{
	const struct message_info *info = message_info(view->msg.type);

	if (!info)
		return words;
	return view->frame.kind == FRAME_REQUEST ? info->request : info->reply;
}

void fields_begin(struct fields *fields, const struct view *view)
{
	fields->at = view->payload;
	fields->end = view->payload + view->len;
	fields->cut = view_cut(view);
	fields->shape = shape_of(view);
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
	const struct message_info *info = message_info(type);

	return info && strchr(info->reply, '*');
}

const char *fields_type_name(uint32_t type, char out[FIELDS_NAME_MAX])
{
	if (message_info(type))
		return message_name(type);
	snprintf(out, FIELDS_NAME_MAX, "UNKNOWN 0x%x", type);
	return out;
}

int fields_type_parse(const char *name, uint32_t *type)
{
	for (*type = 0; *type < MESSAGE_OURS_END; ++*type) {
		const struct message_info *info = message_info(*type);

		if (info && info->who != MESSAGE_NOBODY && !strcasecmp(name, info->name))
			return 0;
	}
	return message_number_parse(name, type) ? 0 : -ENOENT;
}
