// SPDX-License-Identifier: MIT
/*
 * libxl_record - see libxl_record.h. Bottom up: the table of fields, how a field is sized, encoded
 * and decoded, and the loops over the table.
 *
 * Offsets in this file count from the start of the body; the stream adds where the body is.
 */
#include "migration/format/libxl_record.h"

#include "migration/format/rules.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define ALIGNMENT 4 /* of every field in a body */

/* A body being written or read; size - pos octets of it are still to come. */
struct cursor {
	union {
		const uint8_t *in;
		uint8_t *out;
	};
	size_t size;
	size_t pos;
	struct record_fault *fault;
};

/* A field is one u32, or a u32 that counts items, the items, and zeroes up to a multiple of 4. */
struct field {
	const char *name;
	size_t unit;   /* octets of an item; 0: the field is one u32 */
	size_t value;  /* where struct record has the u32, or the pointer to the items */
	size_t len;    /* where struct record has the number of items */
	rules_fn rule; /* may be NULL */
	bool key;      /* part of what identifies the record; such fields come first */
};

/* --- the table: the proposal's NODE_DATA, WATCH_DATA and TRANSACTION_DATA */

#define U32(text, member, check)                                                           \
	{                                                                                  \
		.name = (text), .value = offsetof(struct record, member), .rule = (check), \
		.key = true                                                                \
	}

#define ARRAY(text, member, count, check, is_key)                                                \
	{                                                                                        \
		.name = (text), .unit = sizeof(*((struct record *)NULL)->member),                \
		.value = offsetof(struct record, member), .len = offsetof(struct record, count), \
		.rule = (check), .key = (is_key)                                                 \
	}

static const struct field node_fields[] = {
	ARRAY("path", node.path, node.path_len, rules_node_path, true),
	ARRAY("permissions", node.perms, node.nr_perms, rules_perms, false),
	ARRAY("value", node.value, node.value_len, NULL, false),
	{ 0 },
};

static const struct field watch_fields[] = {
	ARRAY("path", watch.path, watch.path_len, rules_watch_path, true),
	ARRAY("token", watch.token, watch.token_len, rules_token, true),
	{ 0 },
};

static const struct field transaction_fields[] = {
	U32("tx_id", transaction.tx_id, rules_tx_id),
	{ 0 },
};

/* The fields of @kind up to one without a name, or NULL for an unknown kind. */
static const struct field *record_fields(uint32_t kind)
{
	switch (kind) {
	case RECORD_NODE:
		return node_fields;
	case RECORD_WATCH:
		return watch_fields;
	case RECORD_TRANSACTION:
		return transaction_fields;
	default:
		return NULL;
	}
}

/* --- one field; struct record's members are found by offset, so they are copied by memcpy */

static const void *field_value(const struct field *field, const struct record *rec)
{
	const char *member = (const char *)rec + field->value;
	const void *items;

	if (!field->unit)
		return member;
	memcpy(&items, member, sizeof(items));
	return items;
}

static size_t field_len(const struct field *field, const struct record *rec)
{
	size_t len;

	if (!field->unit)
		return 1;
	memcpy(&len, (const char *)rec + field->len, sizeof(len));
	return len;
}

static int field_check(const struct field *field, const struct record *rec, size_t at,
		       struct record_fault *fault)
{
	if (!field->rule)
		return 0;
	return field->rule(field_value(field, rec), field_len(field, rec), at, fault);
}

static size_t padding(size_t pos)
{
	return -pos % ALIGNMENT;
}

/* 64 bits hold the size of any field whose count fits its u32. */
static uint64_t field_size(const struct field *field, const struct record *rec)
{
	uint64_t octets = (uint64_t)field_len(field, rec) * field->unit;

	return sizeof(uint32_t) + octets + padding(octets);
}

static void put_u32(struct cursor *cur, uint32_t value)
{
	uint32_t le = htole32(value);

	memcpy(cur->out + cur->pos, &le, sizeof(le));
	cur->pos += sizeof(le);
}

static int get_u32(struct cursor *cur, const char *name, uint32_t *value)
{
	uint32_t le;

	if (cur->size - cur->pos < sizeof(le))
		return record_refuse(cur->fault, cur->pos, "the record ends inside the %s", name);
	memcpy(&le, cur->in + cur->pos, sizeof(le));
	cur->pos += sizeof(le);
	*value = le32toh(le);
	return 0;
}

static int encode_u32(struct cursor *cur, const struct field *field, const struct record *rec)
{
	uint32_t value;
	int r = field_check(field, rec, cur->pos, cur->fault);

	if (r)
		return r;
	memcpy(&value, field_value(field, rec), sizeof(value));
	put_u32(cur, value);
	return 0;
}

static int decode_u32(struct cursor *cur, const struct field *field, struct record *rec)
{
	size_t at = cur->pos;
	uint32_t value = 0;
	int r = get_u32(cur, field->name, &value);

	if (r)
		return r;
	memcpy((char *)rec + field->value, &value, sizeof(value));
	return field_check(field, rec, at, cur->fault);
}

static int encode_array(struct cursor *cur, const struct field *field, const struct record *rec)
{
	size_t len = field_len(field, rec);
	int r;

	put_u32(cur, (uint32_t)len);
	r = field_check(field, rec, cur->pos, cur->fault);
	if (r)
		return r;
	if (len) /* without items the pointer may be NULL */
		memcpy(cur->out + cur->pos, field_value(field, rec), len * field->unit);
	cur->pos += len * field->unit;
	memset(cur->out + cur->pos, 0, padding(cur->pos));
	cur->pos += padding(cur->pos);
	return 0;
}

static int decode_padding(struct cursor *cur, const struct field *field)
{
	for (size_t left = padding(cur->pos); left; left--, cur->pos++) {
		if (cur->pos == cur->size)
			return record_refuse(cur->fault, cur->pos,
					     "the record ends inside the padding of the %s",
					     field->name);
		if (cur->in[cur->pos])
			return record_refuse(cur->fault, cur->pos, "non-zero padding after the %s",
					     field->name);
	}
	return 0;
}

static int decode_array(struct cursor *cur, const struct field *field, struct record *rec)
{
	size_t at = cur->pos;
	const void *items;
	uint32_t count = 0;
	size_t len;
	int r = get_u32(cur, field->name, &count);

	if (r)
		return r;
	if (count > (cur->size - cur->pos) / field->unit)
		return record_refuse(cur->fault, at,
				     "%s: length %" PRIu32
				     ", but %zu octets are left in the record",
				     field->name, count, cur->size - cur->pos);
	items = cur->in + cur->pos;
	len = count;
	memcpy((char *)rec + field->value, &items, sizeof(items));
	memcpy((char *)rec + field->len, &len, sizeof(len));
	r = field_check(field, rec, cur->pos, cur->fault);
	if (r)
		return r;
	cur->pos += len * field->unit;
	return decode_padding(cur, field);
}

/* --- the whole body */

size_t libxl_record_size(const struct record *rec)
{
	const struct field *field = record_fields(rec->kind);
	uint64_t size = sizeof(uint32_t);

	if (!field)
		return 0;
	for (; field->name; field++) {
		if (field_len(field, rec) > UINT32_MAX)
			return SIZE_MAX;
		size += field_size(field, rec);
	}
	return size > UINT32_MAX ? SIZE_MAX : size;
}

size_t libxl_record_key_size(const struct record *rec)
{
	const struct field *field = record_fields(rec->kind);
	size_t size = sizeof(uint32_t);

	for (; field->key; field++)
		size += field_size(field, rec);
	return size;
}

int libxl_record_check(const struct record *rec, struct record_fault *fault)
{
	const struct field *field = record_fields(rec->kind);
	int r = 0;

	if (!field)
		return record_refuse(fault, 0, "unknown sub-type %u", (unsigned int)rec->kind);
	for (; field->name && !r; field++)
		r = field_check(field, rec, 0, fault);
	return r;
}

int libxl_record_encode(const struct record *rec, void *buf, size_t size,
			struct record_fault *fault)
{
	struct cursor cur = { .out = buf, .size = size, .fault = fault };
	const struct field *field = record_fields(rec->kind);
	int r = 0;

	if (!field)
		return record_refuse(fault, 0, "unknown sub-type %u", (unsigned int)rec->kind);
	if (size != libxl_record_size(rec) || size == SIZE_MAX) {
		record_refuse(fault, 0, "the record does not have %zu octets", size);
		return -EMSGSIZE;
	}
	put_u32(&cur, rec->kind);
	for (; field->name && !r; field++)
		r = field->unit ? encode_array(&cur, field, rec) : encode_u32(&cur, field, rec);
	return r;
}

int libxl_record_decode(struct record *rec, const void *buf, size_t size,
			struct record_fault *fault)
{
	struct cursor cur = { .in = buf, .size = size, .fault = fault };
	const struct field *field;
	uint32_t kind = 0;
	int r = get_u32(&cur, "sub-type", &kind);

	if (r)
		return r;
	field = record_fields(kind);
	if (!field)
		return record_refuse(fault, 0, "unknown sub-type %" PRIu32, kind);
	rec->kind = kind;
	for (; field->name && !r; field++)
		r = field->unit ? decode_array(&cur, field, rec) : decode_u32(&cur, field, rec);
	if (!r && cur.pos != size)
		r = record_refuse(fault, cur.pos, "%zu octets are left over after the fields",
				  size - cur.pos);
	return r;
}
