// SPDX-License-Identifier: MIT
#include "trace/json.h"

#include <string.h>

#include "text/escape.h"
#include "trace/fields.h"

/* An object in the making: what fails is remembered until it is printed. */
struct maker {
	struct buffer *scratch;
	json_t *object;
	bool failed;
};

/* Takes over @value, which is NULL when memory ran out. */
static void set(struct maker *maker, const char *key, json_t *value)
{
	if (json_object_set_new_nocheck(maker->object, key, value))
		maker->failed = true;
}

static void set_number(struct maker *maker, const char *key, uint64_t number)
{
	set(maker, key, json_integer((json_int_t)number));
}

static json_t *string(struct maker *maker, const struct field *field)
{
	return escape_json(maker->scratch, field->octets, field->len);
}

/* Append to the list @key. */
static void append(struct maker *maker, const char *key, json_t *value)
{
	json_t *list = json_object_get(maker->object, key);

	if (!list) {
		list = json_array();
		set(maker, key, list);
	}
	if (json_array_append_new(list, value))
		maker->failed = true;
}

static void set_arguments(struct maker *maker, const struct view *view)
{
	struct fields fields;
	struct field field;
	bool open = false;

	fields_begin(&fields, view);
	while (fields_next(&fields, &field)) {
		json_t *text = string(maker, &field);

		open |= field.open;
		if (field.kind == FIELD_PATH)
			set(maker, "path", text);
		else if (field.kind == FIELD_TOKEN)
			set(maker, "token", text);
		else if (field.kind == FIELD_VALUE)
			set(maker, "value", text);
		else
			append(maker, field.kind == FIELD_PERM ? "perms" : "args", text);
	}
	if (open)
		set(maker, "unterminated", json_true());
	if (view_cut(view))
		set_number(maker, "cut", view_cut(view));
}

static void set_result(struct maker *maker, const struct view *view)
{
	bool list = fields_is_list(view->msg.type);
	struct fields fields;
	struct field field;

	if (list)
		set(maker, "reply", json_array());
	fields_begin(&fields, view);
	while (fields_next(&fields, &field)) {
		if (list)
			append(maker, "reply", string(maker, &field));
		else if (!json_object_get(maker->object, "reply"))
			set(maker, "reply", string(maker, &field));
		else
			append(maker, "rest", string(maker, &field));
	}
	if (view_cut(view))
		set_number(maker, "reply_cut", view_cut(view));
}

static void set_reply(struct maker *maker, const struct view *view)
{
	struct field error = { .octets = view->payload, .len = strnlen(view->payload, view->len) };

	if (view_is_error(view))
		set(maker, "error", string(maker, &error));
	else
		set_result(maker, view);
	set_number(maker, "took", view->frame.took);
	set_number(maker, "upstream", view->frame.upstream);
	if (view->frame.flags & FRAME_OURS)
		set(maker, "ours", json_true());
}

static void set_head(struct maker *maker, const struct view *view)
{
	static const char *const kinds[] = {
		[FRAME_REQUEST] = "request",
		[FRAME_REPLY] = "reply",
		[FRAME_EVENT] = "event",
		[FRAME_LOST] = "lost",
	};
	char name[FIELDS_NAME_MAX];

	set_number(maker, "time", view->frame.time);
	set(maker, "kind", json_string(kinds[view->frame.kind]));
	if (view->frame.kind == FRAME_LOST) {
		set_number(maker, "count", view->frame.number);
		return;
	}
	set_number(maker, "domid", view->frame.domid);
	set_number(maker, "session", view->frame.session);
	if (view->frame.flags & FRAME_CLIENT)
		set(maker, "client", json_true());
	if (view->frame.kind != FRAME_EVENT) {
		set_number(maker, "number", view->frame.number);
		set_number(maker, "req_id", view->msg.req_id);
		set_number(maker, "tx", view->msg.tx_id);
	}
	if (!view_is_error(view))
		set(maker, "op", json_string(fields_type_name(view->msg.type, name)));
}

static void set_exchange(struct maker *maker, const struct exchange *exchange)
{
	const struct view *request = exchange->request, *answer = exchange->answer;

	set_head(maker, request ? request : answer);
	if (request) {
		set_arguments(maker, request);
		set(maker, "answered", json_boolean(answer));
	}
	if (answer && answer->frame.kind == FRAME_REPLY)
		set_reply(maker, answer);
	else if (answer && answer->frame.kind == FRAME_EVENT)
		set_arguments(maker, answer);
}

static void set_caller(struct maker *maker, const struct json_caller *caller)
{
	if (caller->name)
		set(maker, "name", escape_json(maker->scratch, caller->name, strlen(caller->name)));
	if (caller->program)
		set(maker, "program",
		    escape_json(maker->scratch, caller->program, strlen(caller->program)));
}

static int add_octets(const char *octets, size_t len, void *arg)
{
	outbuf_add(arg, octets, len);
	return 0;
}

int json_exchange(struct buffer *scratch, struct outbuf *out, const struct exchange *exchange,
		  const struct json_caller *caller)
{
	struct maker maker = { .scratch = scratch, .object = json_object() };

	set_exchange(&maker, exchange);
	if (caller)
		set_caller(&maker, caller);
	if (!maker.failed &&
	    json_dump_callback(maker.object, add_octets, out, JSON_COMPACT | JSON_ENSURE_ASCII))
		maker.failed = true;
	outbuf_char(out, '\n');
	json_decref(maker.object);
	return maker.failed ? -ENOMEM : 0;
}
