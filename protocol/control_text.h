/* SPDX-License-Identifier: MIT */
/*
 * control_text - our requests as `xenstore-control` sends and prints them (docs/protocol.md,
 * "By CONTROL").
 *
 * Translates CONTROL's strings into the payload of the wire request, and the wire reply's payload
 * into lines of printable text. Knows nothing of sessions.
 */
#ifndef XSPROXY_PROTOCOL_CONTROL_TEXT_H
#define XSPROXY_PROTOCOL_CONTROL_TEXT_H

#include "protocol/message.h"

/**
 * control_text_named() - the request that the payload of a CONTROL message names.
 *
 * Return: enum message_type; MESSAGE_LIVE_UPDATE for live-update; or 0 when
 * the command is upstream's.
 */
uint32_t control_text_named(const void *payload, uint32_t len);

/** control_text_type() - the same of any message; 0 if it is no CONTROL. */
uint32_t control_text_type(const struct message *msg);

/**
 * control_text_request() - make the wire request out of a CONTROL message.
 * @out: its payload is filled in; arguments that the tool leaves out get their default
 */
void control_text_request(const struct message *msg, struct message *out);

/**
 * control_text_reply() - turn the payload of the wire reply to a request of @type into text: an
 * item a line, cut at an item so that it fits.
 *
 * Return: 0, or -E2BIG when not even the first watch fits: an empty page would mean the list's end.
 */
int control_text_reply(uint32_t type, struct message *msg);

/* What our part of the help may take */
#define CONTROL_TEXT_HELP_MAX 512u

/** control_text_is_help() - whether a CONTROL message asks for the list of commands. */
bool control_text_is_help(const struct message *msg);

/** control_text_help() - append our commands, at most CONTROL_TEXT_HELP_MAX octets, to a reply. */
void control_text_help(struct message *msg);

/* What a CONTROL wants of xenstored's quotas (docs/daemons.md, "Quotas") */
enum control_text_quota {
	CONTROL_TEXT_QUOTA_NOT,
	CONTROL_TEXT_QUOTA_SHOW, /* those of all domains */
	CONTROL_TEXT_QUOTA_SET,
};

/** control_text_quota() - which of these a CONTROL message is. */
enum control_text_quota control_text_quota(const struct message *msg);

/** control_text_quota_watches() - the number of watches in a list of quotas; 0: it has none. */
uint32_t control_text_quota_watches(const struct message *msg);

#endif
