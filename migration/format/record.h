/* SPDX-License-Identifier: MIT */
/*
 * record - a node, a watch or an open transaction, as streams of any format hold them in memory.
 *
 * Permissions lie in memory as libxl's stream has them, so that reading one copies nothing.
 *
 * Used by the readers and writers of this folder, and by all that makes or takes such records.
 * Must never allocate, do I/O, or know how a format lays them out.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_RECORD_H
#define XSPROXY_MIGRATION_FORMAT_RECORD_H

#include <stddef.h>
#include <stdint.h>

#define RECORD_REASON_MAX 192

/* The values are the sub-types of libxl's records. */
enum record_kind {
	RECORD_NODE = 1,
	RECORD_WATCH = 2,
	RECORD_TRANSACTION = 3,
};

/* A permission, laid out as in libxl's records, so that decoding can point at it. */
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

/**
 * record_refuse() - fill @fault (may be NULL) with @offset, record 0 and a formatted reason.
 *
 * Return: -EBADMSG, so that a refusal is one statement.
 */
int record_refuse(struct record_fault *fault, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** record_perm_make() - a permission from its parts. Nothing is checked here. */
struct record_perm record_perm_make(char letter, uint16_t domid);

/** record_perm_domid() - the domid of @perm. */
uint16_t record_perm_domid(const struct record_perm *perm);

#endif
