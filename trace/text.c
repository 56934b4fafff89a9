// SPDX-License-Identifier: MIT
#include "trace/text.h"

#include <ctype.h>
#include <string.h>

#include "trace/fields.h"

#define NS_OF_S	 1000000000u
#define NS_OF_US 1000u

enum colour {
	DIM = 2,
	BOLD = 1,
	RED = 31,
	YELLOW = 33,
	CYAN = 36,
};

static void begin(const struct text *text, struct outbuf *out, enum colour colour)
{
	if (!text->colour)
		return;
	outbuf_text(out, "\033[");
	outbuf_number(out, colour, 0);
	outbuf_char(out, 'm');
}

static void end(const struct text *text, struct outbuf *out)
{
	if (text->colour)
		outbuf_text(out, "\033[0m");
}

/* Time of day, in microseconds. */
static void add_time(struct text *text, struct outbuf *out, uint64_t ns)
{
	time_t second = (time_t)(ns / NS_OF_S);
	struct tm tm;

	/* localtime_r() is too slow for each line. */
	if (!text->clock[0] || second != text->second) {
		text->second = second;
		if (!localtime_r(&second, &tm) ||
		    !strftime(text->clock, sizeof(text->clock), "%H:%M:%S", &tm))
			strcpy(text->clock, "--:--:--");
	}
	begin(text, out, DIM);
	outbuf_text(out, text->clock);
	outbuf_char(out, '.');
	outbuf_number(out, ns % NS_OF_S / NS_OF_US, 6);
	end(text, out);
}

/* --- the message */

/* Whether a word needs no quotes to be seen as one. */
static bool is_bare(const struct field *field)
{
	for (size_t i = 0; i < field->len; i++)
		if (!isascii((unsigned char)field->octets[i]) ||
		    (!isalnum((unsigned char)field->octets[i]) && !strchr("_-.", field->octets[i])))
			return false;
	return field->len;
}

static void add_field(const struct text *text, struct outbuf *out, const struct field *field)
{
	bool path = field->kind == FIELD_PATH;

	outbuf_char(out, ' ');
	if ((field->kind == FIELD_WORD || field->kind == FIELD_PERM) && is_bare(field)) {
		outbuf_add(out, field->octets, field->len);
	} else {
		if (path)
			begin(text, out, CYAN);
		outbuf_char(out, '"');
		outbuf_escape(out, field->octets, field->len, text->utf8);
		outbuf_char(out, '"');
		if (path)
			end(text, out);
	}
	if (field->open)
		outbuf_text(out, "(no NUL)");
}

/* The payload of @view. */
static void add_fields(const struct text *text, struct outbuf *out, const struct view *view,
		       const char *empty)
{
	struct fields fields;
	struct field field;
	bool any = false;

	fields_begin(&fields, view);
	while (fields_next(&fields, &field)) {
		add_field(text, out, &field);
		any = true;
	}
	if (view_cut(view)) {
		outbuf_text(out, " ...+");
		outbuf_number(out, view_cut(view), 0);
	} else if (!any) {
		outbuf_text(out, empty);
	}
}

static void add_error(const struct text *text, struct outbuf *out, const struct view *view)
{
	size_t len = strnlen(view->payload, view->len);

	outbuf_char(out, ' ');
	begin(text, out, RED);
	outbuf_escape(out, view->payload, len, text->utf8);
	end(text, out);
}

static void add_reply(const struct text *text, struct outbuf *out, const struct view *view)
{
	outbuf_text(out, " =");
	if (view_is_error(view))
		add_error(text, out, view);
	else
		add_fields(text, out, view, " (empty)");
	outbuf_text(out, "  ");
	begin(text, out, DIM);
	outbuf_number(out, view->frame.took / NS_OF_US, 0);
	if (view->frame.flags & FRAME_OURS) {
		outbuf_text(out, " us, by xsproxyd");
	} else {
		outbuf_text(out, " us, ");
		outbuf_number(out, view->frame.upstream / NS_OF_US, 0);
		outbuf_text(out, " upstream");
	}
	end(text, out);
}

static void add_who(const struct text *text, struct outbuf *out, const struct frame *frame)
{
	const char *name = text->name ? text->name(text->arg, frame) : NULL;

	outbuf_text(out, " d");
	outbuf_number(out, frame->domid, 0);
	if (name) {
		outbuf_char(out, '(');
		outbuf_text(out, name);
		outbuf_char(out, ')');
	}
	outbuf_text(out, frame->flags & FRAME_CLIENT ? " c" : " s");
	outbuf_number(out, frame->session, 0);
}

/* Who, which way, in which transaction, and what. */
static void add_head(struct text *text, struct outbuf *out, const struct view *view)
{
	char name[FIELDS_NAME_MAX];

	add_time(text, out, view->frame.time);
	add_who(text, out, &view->frame);
	outbuf_text(out, view->frame.kind == FRAME_REQUEST ? " > " : " < ");
	if (view->msg.tx_id) {
		outbuf_char(out, 't');
		outbuf_number(out, view->msg.tx_id, 0);
		outbuf_char(out, ' ');
	}
	begin(text, out, view->frame.kind == FRAME_EVENT ? YELLOW : BOLD);
	outbuf_text(out, fields_type_name(view->msg.type, name));
	end(text, out);
}

static void add_lost(struct text *text, struct outbuf *out, const struct frame *frame)
{
	add_time(text, out, frame->time);
	outbuf_char(out, ' ');
	begin(text, out, RED);
	outbuf_number(out, frame->number, 0);
	outbuf_text(out, " frames lost here: they came faster than they were read");
	end(text, out);
}

void text_exchange(struct text *text, struct outbuf *out, const struct exchange *exchange)
{
	const struct view *answer = exchange->answer;

	if (exchange->request) {
		add_head(text, out, exchange->request);
		add_fields(text, out, exchange->request, "");
		if (answer)
			add_reply(text, out, answer);
		else
			outbuf_text(out, " = (no reply)");
	} else if (answer->frame.kind == FRAME_LOST) {
		add_lost(text, out, &answer->frame);
	} else {
		add_head(text, out, answer);
		if (answer->frame.kind == FRAME_REPLY)
			add_reply(text, out, answer);
		else
			add_fields(text, out, answer, "");
	}
	outbuf_char(out, '\n');
}
