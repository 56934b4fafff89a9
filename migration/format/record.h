/* SPDX-License-Identifier: MIT */
/*
 * record - the bodies of DOMAIN_XENSTORE_DATA records (libxl record type 7).
 *
 * One body holds one node, one watch or one open transaction of a domain. The layout is the
 * proposal's "New Save Record" as docs/protocol.md, "Migration stream", fixes it: a u32 sub-type,
 * then the fields, little-endian, each padded to 4 octets. One table in record.c describes the
 * fields; encoder, decoder and size all read that table, so they cannot drift apart, and both
 * directions apply the same rules: what can be written can be read.
 *
 * Called by migration/format/libxl_stream (framing), and by export and import, which fill and read
 * struct record. Must never allocate, do I/O, or keep anything between two calls.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_RECORD_H
#define XSPROXY_MIGRATION_FORMAT_RECORD_H

#include <stddef.h>
#include <stdint.h>

#define RECORD_PATH_MAX	  3072 /* octets; Xen's docs/misc/xenstore.txt forbids longer paths */
#define RECORD_REASON_MAX 192

/* The values are the sub-types of the proposal. */
enum record_kind {
	RECORD_NODE = 1,
	RECORD_WATCH = 2,
	RECORD_TRANSACTION = 3,
};

/* A permission, laid out as on the wire, so that decoding can point at it. */
struct record_perm {
	uint8_t letter;	  /* 'w', 'r', 'b' or 'n' */
	uint8_t pad;	  /* 0 */
	uint8_t domid[2]; /* little-endian */
};

_Static_assert(sizeof(struct record_perm) == 4, "a permission has 4 octets");
_Static_assert(_Alignof(struct record_perm) == 1, "a permission may lie anywhere");

/* Lengths are octets; nothing is NUL-terminated; the record does not own what it points at. */
struct record_node {
	const char *path;
	size_t path_len;
	const struct record_perm *perms; /* the first one names the owner */
	size_t nr_perms;
	const char *value; /* any octets; may be NULL if value_len is 0 */
	size_t value_len;
};

struct record_watch {
	const char *path; /* absolute, relative or @special, in the guest's own spelling */
	size_t path_len;
	const char *token; /* any octets but NUL; may be NULL if token_len is 0 */
	size_t token_len;
};

struct record_transaction {
	uint32_t tx_id; /* not 0 */
};

struct record {
	enum record_kind kind;
	union {
		struct record_node node;
		struct record_watch watch;
		struct record_transaction transaction;
	};
};

/* Why a record or a stream was refused, and where. */
struct record_fault {
	uint64_t record; /* number in the stream, from 1; 0 is the header, or no stream at all */
	uint64_t offset; /* octets from the start of the stream (or body, without one) */
	char reason[RECORD_REASON_MAX];
};

/*
 * Fill @fault (may be NULL) with @offset, record 0 and a formatted reason.
 * Returns -EBADMSG, so that a refusal is one statement.
 */
int record_refuse(struct record_fault *fault, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A permission from its parts. Nothing is checked here; record_encode() does. */
struct record_perm record_perm_make(char letter, uint16_t domid);

/* The domid of @perm. */
uint16_t record_perm_domid(const struct record_perm *perm);

/*
 * The octets that the encoded body of @rec has, its padding to 4 included, that to 8 not.
 * Returns 0 for an unknown kind, SIZE_MAX for what does not fit a record's 32-bit length.
 */
size_t record_size(const struct record *rec);

/*
 * How many octets at the start of the encoded body identify it: two records of a stream are
 * duplicates (same node path; same watch path and token; same transaction) exactly if they agree
 * in these. The encoding is prefix-free, so comparing them is enough. @rec must be encodable.
 */
size_t record_key_size(const struct record *rec);

/*
 * Whether every field of @rec obeys the rules that a reader applies: what a guest wrote may not.
 * Returns 0, or -EBADMSG with the reason in @fault, which may be NULL.
 */
int record_check(const struct record *rec, struct record_fault *fault);

/*
 * Encode @rec into @buf of @size octets (proposal, "New Save Record").
 *
 * @size: what record_size() said
 * @fault: may be NULL; gets the offset in the body and the reason of a refusal
 *
 * Returns 0; -EBADMSG if @rec breaks a rule that a reader would refuse; -EMSGSIZE if it fits no
 * record, or @size is not its size. @buf is undefined after a failure.
 */
int record_encode(const struct record *rec, void *buf, size_t size, struct record_fault *fault);

/*
 * Decode and check the body @buf of @size octets (docs/protocol.md, "Migration stream").
 *
 * @rec: gets pointers into @buf, so it is valid for as long as that memory
 * @fault: may be NULL; gets the offset in the body and the reason of a refusal
 *
 * Returns 0, or -EBADMSG if anything is wrong; @rec is undefined then.
 */
int record_decode(struct record *rec, const void *buf, size_t size, struct record_fault *fault);

#endif
