/* SPDX-License-Identifier: MIT */
/*
 * message - the Xenstore wire format: the header, our own request types, names and errors.
 *
 * Used by all of proxy/, and by migration/, ctl/ and trace/ for names and sizes. Knows no session
 * and must never keep state.
 */
#ifndef XSPROXY_PROTOCOL_MESSAGE_H
#define XSPROXY_PROTOCOL_MESSAGE_H

/* xs_wire.h declares its table of errors only where errno is known. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/io/xs_wire.h>

/* Largest message that a ring may carry */
#define MESSAGE_HEADER ((uint32_t)sizeof(struct xsd_sockmsg))
#define MESSAGE_MAX    (MESSAGE_HEADER + XENSTORE_PAYLOAD_MAX)

/* A GET_DOMAIN_WATCHES reply must hold each watch beside its gencnt (docs/protocol.md). */
#define MESSAGE_WATCH_MAX 4064

/*
 * The transaction id for what is to be unknown upstream. OCaml daemons count below 2^30; C daemons
 * may have given it, after 2^32 of one connection (transaction_upstream_id()).
 */
#define MESSAGE_TX_UNKNOWN 0xfffffffeu

/* Our requests (docs/protocol.md); the last one of the list has the largest number */
enum message_type {
#define OURS(number, name, ...) MESSAGE_##name = (number),
#include "protocol/requests.def"
	MESSAGE_OURS_END,
	MESSAGE_LIVE_UPDATE =
		MESSAGE_OURS_END, /* on no wire: a CONTROL command that is ours, too */
};

/* Those that headers of the oldest Xen do not name */
enum message_later {
#define LATER(number, name, ...) MESSAGE_##name = (number),
#include "protocol/requests.def"
};

/* Nor these, of 4.22: in permissions all domains, and the bit of server_features that says so */
#define MESSAGE_DOMID_ANY	  0x7ff5u
#define MESSAGE_FEATURE_DOMID_ANY 8u

/* A message in private memory, where nobody else can change it any more. */
struct message {
	struct xsd_sockmsg hdr;
	uint8_t payload[XENSTORE_PAYLOAD_MAX];
};

_Static_assert(sizeof(struct message) == MESSAGE_MAX, "header and payload must be adjacent");

static inline uint32_t message_size(const struct xsd_sockmsg *hdr)
{
	return MESSAGE_HEADER + hdr->len;
}

/** message_is_ours() - whether a request type is one of ours. */
static inline bool message_is_ours(uint32_t type)
{
	return type >= MESSAGE_QUIESCE && type < MESSAGE_OURS_END;
}

/* Who may ask for a type */
enum message_who {
	MESSAGE_ANYBODY,
	MESSAGE_TOOLSTACK, /* privileged connections */
	MESSAGE_ROOT,	   /* those of them that are root's, by default */
	MESSAGE_NOBODY,	   /* xenstored says it */
};

/* What is known of a type, from requests.def, which says what the letters of a payload are. */
struct message_info {
	const char *name;
	enum message_who who;
	const char *request, *reply;
};

/** message_info() - what is known of a type, or NULL. */
const struct message_info *message_info(uint32_t type);

/** message_name() - a type's name, "UNKNOWN" for one that nobody knows. */
const char *message_name(uint32_t type);

/**
 * message_number_parse() - a type that is given by its number, decimal or 0x and hexadecimal.
 * @type: gets it
 *
 * Return: whether @text is one.
 */
bool message_number_parse(const char *text, uint32_t *type);

/** message_error_name() - the protocol's name of an errno; EINVAL's for one it does not name. */
const char *message_error_name(int err);

/** message_error_at() - the names of all errors, from 0 on; NULL behind the last one. */
const char *message_error_at(uint32_t index);

/** message_error_index() - where message_error_at() has an errno; UINT32_MAX for others. */
uint32_t message_error_index(int err);

/** message_error_parse() - the errno that an XS_ERROR's payload names; EIO when unknown. */
int message_error_parse(const uint8_t *payload, uint32_t len);

/**
 * message_set_error() - turn @msg into the XS_ERROR for @err, keeping req_id and tx_id.
 * @err: a positive errno
 */
void message_set_error(struct message *msg, int err);

/** message_set_text() - replace the payload by @len octets of @text, keeping type and ids. */
void message_set_text(struct message *msg, const void *text, uint32_t len);

/**
 * message_strings() - split a payload into NUL-terminated strings.
 * @payload: @len octets
 * @vec: where each string starts
 * @max: room in @vec
 *
 * Return: the number of strings, @max + 1 when there are more, or -EINVAL when the last one is not
 * terminated.
 */
int message_strings(const uint8_t *payload, uint32_t len, const char **vec, int max);

#endif
