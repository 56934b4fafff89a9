/* SPDX-License-Identifier: MIT */
/*
 * libxl_record - the bodies of DOMAIN_XENSTORE_DATA records (libxl record type 7).
 *
 * One body holds one node, one watch or one open transaction of a domain. The layout is the
 * proposal's "New Save Record" as docs/protocol.md, "Migration stream", fixes it: a u32 sub-type,
 * then the fields, little-endian, each padded to 4 octets. One table in libxl_record.c describes
 * the fields; encoder, decoder and size all read that table, so they cannot drift apart, and both
 * directions apply the same rules: what can be written can be read.
 *
 * Called by libxl_reader.c and libxl_writer.c (framing), by migration/journal.c, which keeps nodes
 * in this form, and by export.c and walk.c, which ask what fits. Must never allocate, do I/O, or
 * keep anything between two calls.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_LIBXL_RECORD_H
#define XSPROXY_MIGRATION_FORMAT_LIBXL_RECORD_H

#include <stddef.h>

#include "migration/format/record.h"

/**
 * libxl_record_size() - the octets that the encoded body of @rec has, its padding to 4 included,
 * that to 8 not.
 *
 * Return: 0 for an unknown kind, SIZE_MAX for what does not fit a record's 32-bit length.
 */
size_t libxl_record_size(const struct record *rec);

/**
 * libxl_record_key_size() - how many octets at the start of the encoded body identify it: two
 * records of a stream are duplicates (same node path; same watch path and token; same transaction)
 * exactly if they agree in these. The encoding is prefix-free, so comparing them is enough. @rec
 * must be encodable.
 */
size_t libxl_record_key_size(const struct record *rec);

/**
 * libxl_record_check() - whether every field of @rec obeys the rules that a reader applies: what a
 * guest wrote may not.
 *
 * Return: 0, or -EBADMSG with the reason in @fault, which may be NULL.
 */
int libxl_record_check(const struct record *rec, struct record_fault *fault);

/**
 * libxl_record_encode() - encode @rec into @buf of @size octets (proposal, "New Save Record").
 * @size: what libxl_record_size() said
 * @fault: may be NULL; gets the offset in the body and the reason of a refusal
 *
 * Return: 0; -EBADMSG if @rec breaks a rule that a reader would refuse; -EMSGSIZE if it fits no
 * record, or @size is not its size. @buf is undefined after a failure.
 */
int libxl_record_encode(const struct record *rec, void *buf, size_t size,
			struct record_fault *fault);

/**
 * libxl_record_decode() - decode and check the body @buf of @size octets (docs/protocol.md,
 * "Migration stream").
 * @rec: gets pointers into @buf, so it is valid for as long as that memory
 * @fault: may be NULL; gets the offset in the body and the reason of a refusal
 *
 * Return: 0, or -EBADMSG if anything is wrong; @rec is undefined then.
 */
int libxl_record_decode(struct record *rec, const void *buf, size_t size,
			struct record_fault *fault);

#endif
