// SPDX-License-Identifier: MIT
/*
 * ox_dump_reader - oxenstored's dump, read: line by line.
 *
 * oxenstored itself passes over a line that it does not understand, and the state is short of it;
 * here such a line is refused. What it writes itself and cannot read is a permission for what is no
 * domain ("r9223372036854775803", for SET_PERMS takes any number): that becomes one for nobody.
 */
#include "migration/format/ox_format.h"
#include "migration/format/rules.h"
#include "migration/format/state_codec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 5
#define DIGITS_MAX 20 /* of 64 bits */

struct field {
	const char *text;
	size_t len;
	uint64_t at; /* in the stream */
};

struct line {
	struct state_source *source;
	struct field fields[FIELDS_MAX + 1]; /* the first is the keyword */
	size_t nr;			     /* how many follow it */
	char *room;			     /* for what is decoded */
};

#define refuse(line, field, ...) record_refuse((line)->source->fault, (field)->at, __VA_ARGS__)

/* --- fields */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Decimal, of @len octets that are digits. Return: false if it does not fit. */
static bool parse_decimal(const char *text, size_t len, uint64_t *value)
{
	*value = 0;
	if (!len || len > DIGITS_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_digit(text[i]) || __builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(text[i] - '0'), value))
			return false;
	return true;
}

static int get_number(const struct line *line, const struct field *field, int64_t min, int64_t max,
		      int64_t *value)
{
	bool minus = field->len && field->text[0] == '-';
	uint64_t magnitude;

	if (parse_decimal(field->text + minus, field->len - minus, &magnitude) &&
	    magnitude <= INT64_MAX) {
		*value = minus ? -(int64_t)magnitude : (int64_t)magnitude;
		if (*value >= min && *value <= max)
			return 0;
	}
	return refuse(line, field, "this is no number from %" PRId64 " to %" PRId64, min, max);
}

static int get_u32(const struct line *line, size_t nr, uint32_t max, uint32_t *value)
{
	int64_t number = 0;
	int r = get_number(line, &line->fields[nr], 0, max, &number);

	if (!r)
		*value = (uint32_t)number;
	return r;
}

static int get_fd(const struct line *line, size_t nr, int32_t *fd)
{
	int64_t number = 0;
	int r = get_number(line, &line->fields[nr], STATE_NO_FD, INT32_MAX, &number);

	if (!r)
		*fd = (int32_t)number;
	return r;
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The octets that the field has in hex. */
static int get_octets(struct line *line, size_t nr, const char **octets, size_t *len)
{
	const struct field *field = &line->fields[nr];

	if (field->len % 2)
		return refuse(line, field, "half an octet is missing");
	*octets = line->room;
	*len = field->len / 2;
	for (size_t i = 0; i < *len; i++) {
		int high = hex_digit(field->text[2 * i]), low = hex_digit(field->text[2 * i + 1]);

		if (high < 0 || low < 0)
			return record_refuse(line->source->fault, field->at + 2 * i,
					     "this is no octet in hex");
		*line->room++ = (char)(high << 4 | low);
	}
	return 0;
}

/* What a rule said of the octets, of the field that they came from. */
static int in_hex(const struct line *line, size_t nr, int r)
{
	struct record_fault *fault = line->source->fault;

	if (r)
		fault->offset = line->fields[nr].at + 2 * fault->offset;
	return r;
}

/* --- lines, by keyword */

static int decode_global(struct line *line, struct state_item *item)
{
	struct state_global *global = &item->global;
	int r;

	*global = (struct state_global){ .evtchn = STATE_NO_FD, .read_only = STATE_NO_FD };
	r = get_fd(line, 1, &global->socket);
	if (!r && line->nr > 1)
		r = get_fd(line, 2, &global->read_only);
	return r;
}

/* Belongs to the line before it. */
static int decode_evtchn(struct line *line, struct state_item *item)
{
	struct state_global *global = &item->global;
	int r = get_fd(line, 1, &global->evtchn);

	if (!r)
		r = get_u32(line, 2, INT32_MAX, &global->virq);
	global->has_virq = true;
	return r;
}

static int decode_dom(struct line *line, struct state_item *item)
{
	struct state_connection *connection = &item->connection;
	int r;

	*connection = (struct state_connection){ .has_remote = true, .has_local = line->nr > 3 };
	r = get_u32(line, 1, UINT16_MAX, &connection->peer.number);
	if (!r)
		r = get_number(line, &line->fields[2], -INT64_MAX, INT64_MAX, &connection->gfn);
	if (!r)
		r = get_u32(line, 3, INT32_MAX, &connection->remote);
	if (!r && connection->has_local)
		r = get_u32(line, 4, INT32_MAX, &connection->local);
	return r;
}

static int decode_socket(struct line *line, struct state_item *item)
{
	item->connection = (struct state_connection){ .peer.socket = true };
	return get_u32(line, 1, INT32_MAX, &item->connection.peer.number);
}

/* Its token stands behind its path, for the rule. */
static int check_watch(const struct line *line, const struct state_watch *watch)
{
	struct record_fault *fault = line->source->fault;
	size_t token_at = watch->path_len + 1;
	int r = state_check_watch(watch, 0, token_at, fault);

	if (r && fault->offset >= token_at) {
		fault->offset -= token_at;
		return in_hex(line, 3, r);
	}
	return in_hex(line, 2, r);
}

static int decode_watch(struct line *line, struct state_item *item)
{
	struct state_watch *watch = &item->watch;
	int64_t id = 0, depth = 0;
	int r;

	*watch = (struct state_watch){ .has_depth = line->nr > 3 };
	r = get_number(line, &line->fields[1], -INT32_MAX, UINT16_MAX, &id);
	if (!r)
		r = get_octets(line, 2, &watch->path, &watch->path_len);
	if (!r)
		r = get_octets(line, 3, &watch->token, &watch->token_len);
	if (!r && watch->has_depth)
		r = get_number(line, &line->fields[4], 0, INT64_MAX, &depth);
	if (r)
		return r;
	watch->peer = (struct state_peer){ id < 0, (uint32_t)(id < 0 ? -id : id) };
	watch->depth = (uint64_t)depth;
	return check_watch(line, watch);
}

/* "n7"; @len octets. */
static bool parse_perm(const char *text, size_t len, struct record_perm *perm)
{
	uint64_t domid;

	if (!len || !text[0] || !strchr("wrbn", text[0]) ||
	    !parse_decimal(text + 1, len - 1, &domid))
		return false;
	*perm = record_perm_make(text[0],
				 domid > UINT16_MAX ? STATE_DOMID_NOBODY : (uint16_t)domid);
	if (domid > UINT16_MAX)
		perm->pad = STATE_PERM_STALE | STATE_PERM_ODD;
	return true;
}

/* With a NUL between two of them. */
static int get_perms(struct line *line, size_t nr, struct record_node *node)
{
	struct record_perm *perms;
	const char *text = NULL, *end;
	size_t len = 0;
	int r = get_octets(line, nr, &text, &len);

	if (r)
		return r;
	perms = (struct record_perm *)line->room;
	node->perms = perms;
	for (end = text + len; text <= end; text++) {
		const char *nul = len ? memchr(text, 0, (size_t)(end - text)) : NULL;
		size_t each = (size_t)((nul ? nul : end) - text);

		if (!parse_perm(text, each, &perms[node->nr_perms++]))
			return record_refuse(line->source->fault,
					     line->fields[nr].at + line->fields[nr].len -
						     2 * (uint64_t)(end - text),
					     "this is no permission");
		text += each;
	}
	line->room = (char *)(perms + node->nr_perms);
	return 0;
}

static int decode_store(struct line *line, struct state_item *item)
{
	struct record_node *node = &item->node.node;
	int r;

	item->node = (struct state_node){ 0 };
	r = get_octets(line, 1, &node->path, &node->path_len);
	if (!r)
		r = in_hex(line, 1,
			   rules_node_path(node->path, node->path_len, 0, line->source->fault));
	if (!r)
		r = get_perms(line, 2, node);
	if (!r)
		r = get_octets(line, 3, &node->value, &node->value_len);
	if (!r && state_path_known(node->path + 1, node->path_len - 1)) {
		node->path++;
		node->path_len--;
	}
	return r;
}

static const struct keyword {
	const char *name;
	enum state_kind kind;
	size_t min; /* fields */
	size_t max;
	int (*decode)(struct line *line, struct state_item *item);
} keywords[] = {
	{ "global", STATE_GLOBAL, 1, 2, decode_global },
	{ "dom", STATE_CONNECTION, 3, 4, decode_dom },
	{ "socket", STATE_CONNECTION, 1, 1, decode_socket },
	{ "watch", STATE_WATCH, 3, 4, decode_watch },
	{ "store", STATE_NODE, 3, 3, decode_store },
};

static const struct keyword evtchn = { "evtchn-dev", STATE_GLOBAL, 2, 2, decode_evtchn };

/* --- the dump */

/* A line that was looked at, but is not the current one yet. */
struct ahead {
	bool is;
	bool at_end; /* there was none */
	char *text;  /* the spool's */
	size_t len;
	uint64_t start;
	uint64_t record;
};

/*
 * Take apart; what is decoded needs less than twice the octets of the line: half of them as octets,
 * and four for each permission, which takes four at least.
 */
static int split(struct line *line, struct state_source *source, const char *text, size_t len)
{
	struct field *field = line->fields;
	int r = buffer_reserve(&source->decoded, 2 * len + sizeof(struct record_perm));

	if (r)
		return r;
	*line = (struct line){ .source = source, .room = source->decoded.data };
	*field = (struct field){ text, 0, source->start };
	for (size_t i = 0; i < len; i++) {
		if (text[i] != ',') {
			field->len++;
			continue;
		}
		if (line->nr == FIELDS_MAX)
			return record_refuse(source->fault, source->start + i,
					     "the line has more than %d fields", FIELDS_MAX);
		line->nr++;
		*++field = (struct field){ text + i + 1, 0, source->start + i + 1 };
	}
	return 0;
}

static bool is_keyword(const struct line *line, const struct keyword *keyword)
{
	return line->fields[0].len == strlen(keyword->name) &&
	       !memcmp(line->fields[0].text, keyword->name, line->fields[0].len);
}

static int decode(struct line *line, const struct keyword *keyword, struct state_item *item)
{
	if (line->nr < keyword->min || line->nr > keyword->max)
		return refuse(line, line->fields, "a line '%s' with %zu fields", keyword->name,
			      line->nr);
	item->kind = keyword->kind;
	return keyword->decode(line, item);
}

static int decode_line(struct line *line, struct state_item *item)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (is_keyword(line, &keywords[i]))
			return decode(line, &keywords[i], item);
	if (is_keyword(line, &evtchn))
		return refuse(line, line->fields, "a line '%s' that does not follow 'global'",
			      evtchn.name);
	return refuse(line, line->fields, "an unknown line");
}

/* The next one, without its newline. Return: 1, 0 at the end, -EBADMSG, or another errno. */
static int get_line(struct state_source *source, char **text, size_t *len)
{
	int r;

	source->start = spool_pos(source->spool);
	source->record++;
	r = spool_line(source->spool, text, len);
	if (r)
		return r;
	if (!*len)
		return spool_cut(source->spool) ? state_refuse_end(source, "early") : 0;
	if ((*text)[*len - 1] != '\n')
		return state_refuse_end(source, "inside a line");
	(*len)--;
	return 1;
}

/* What belongs to the line 'global' may follow it; any other line is kept for the next call. */
static int join_evtchn(struct state_source *source, struct state_item *item)
{
	struct ahead *ahead = source->memory;
	uint64_t start = source->start, record = source->record;
	struct line line;
	int r = get_line(source, &ahead->text, &ahead->len);

	if (r > 0)
		r = split(&line, source, ahead->text, ahead->len);
	else if (!r)
		ahead->at_end = true;
	if (r)
		return r;
	if (!ahead->at_end && is_keyword(&line, &evtchn))
		return decode(&line, &evtchn, item);
	ahead->is = true;
	ahead->start = source->start;
	ahead->record = source->record;
	source->start = start;
	source->record = record;
	return 0;
}

/* Return: as get_line(). */
static int take_line(struct state_source *source, struct ahead *ahead)
{
	if (!ahead->is)
		return get_line(source, &ahead->text, &ahead->len);
	ahead->is = false;
	source->start = ahead->start;
	source->record = ahead->record;
	return !ahead->at_end;
}

static int ox_next(struct state_source *source, struct state_item *item)
{
	struct ahead *ahead = source->memory;
	struct line line = { 0 };
	int r = take_line(source, ahead);

	if (r <= 0)
		return r;
	r = split(&line, source, ahead->text, ahead->len);
	if (!r)
		r = decode_line(&line, item);
	if (!r && item->kind == STATE_GLOBAL)
		r = join_evtchn(source, item);
	return r ? r : 1;
}

static int ox_start(struct state_source *source)
{
	char *text;
	size_t len;
	int r = get_line(source, &text, &len);

	source->record = 0; /* the header is none */
	source->format = STATE_OX;
	if (r < 0)
		return r;
	if (len != strlen(OX_HEADER))
		return record_refuse(source->fault, 0, "octets behind '%s'", OX_HEADER);
	free(source->memory);
	source->memory = calloc(1, sizeof(struct ahead));
	return source->memory ? 0 : -ENOMEM;
}

static void ox_stop(struct state_source *source)
{
	free(source->memory);
}

const struct state_reading ox_state_reading = { OX_HEADER, ox_start, ox_next, ox_stop };
