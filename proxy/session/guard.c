// SPDX-License-Identifier: MIT
#include "proxy/session/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/form.h"
#include "proxy/daemon.h"
#include "proxy/observe/tap.h"
#include "proxy/session/session.h"

/*
 * The C daemon of 4.17 answers these from errno when the payload is not one terminated string, and
 * aborts when that is 0. What is no such string no daemon takes.
 */
static bool wants_string(uint32_t type)
{
	switch (type) {
	case XS_READ:
	case XS_DIRECTORY:
	case XS_GET_PERMS:
	case XS_MKDIR:
	case XS_RM:
	case XS_GET_DOMAIN_PATH:
		return true;
	default:
		return false;
	}
}

static bool begins_with_path(uint32_t type)
{
	switch (type) {
	case XS_WATCH:
	case XS_UNWATCH:
	case XS_WRITE:
	case XS_SET_PERMS:
	case XS_DIRECTORY_PART:
		return true;
	default:
		return wants_string(type);
	}
}

/* XSA-481: the C daemons of 4.18 to 4.21 abort on this path, which is none for any daemon. */
static bool has_fatal_path(const struct message *msg)
{
	static const char path[] = "/local/domain/";

	return msg->hdr.len >= sizeof(path) && !memcmp(msg->payload, path, sizeof(path));
}

/*
 * C daemons of 4.22, which offer permissions for all domains: told of one over a socket they look
 * for the features of a domain that is none.
 */
static bool is_for_all_domains(const struct message *msg)
{
	const char *at = (const char *)msg->payload, *end = at + msg->hdr.len;

	if (!msg->hdr.len || end[-1])
		return false;
	for (at += strlen(at) + 1; at < end; at += strlen(at) + 1)
		if (*at && strtoul(at + 1, NULL, 0) == MESSAGE_DOMID_ANY)
			return true;
	return false;
}

static bool harms_by_socket(const struct session *s, const struct message *msg)
{
	return s->socket && s->daemon->flavour == RINGS_FLAVOUR_C &&
	       (s->daemon->features & MESSAGE_FEATURE_DOMID_ANY) && msg->hdr.type == XS_SET_PERMS &&
	       is_for_all_domains(msg);
}

static bool is_harmful(const struct session *s, const struct message *msg)
{
	if (s->daemon->config.guard_malformed == CONFIG_PASS)
		return false;
	if (s->privileged)
		return harms_by_socket(s, msg);
	if (wants_string(msg->hdr.type) && !form_is_string(msg))
		return true;
	return begins_with_path(msg->hdr.type) && has_fatal_path(msg);
}

/*
 * Whether upstream refuses the request without a look at its payload. It also refuses what is in no
 * open transaction, but that nothing here depends on, only what we answer (guard_error()).
 */
static bool is_unread(const struct session *s, const struct xsd_sockmsg *hdr)
{
	const struct message_info *info = message_info(hdr->type);

	return !s->privileged && info && info->who == MESSAGE_TOOLSTACK;
}

static bool is_ocaml(const struct session *s)
{
	return s->daemon->flavour == RINGS_FLAVOUR_OCAML;
}

int guard_form(struct session *s, const struct message *msg, struct message *unified)
{
	if (is_unread(s, &msg->hdr))
		return 0;
	return is_harmful(s, msg) ? -EBADMSG : form_unify(msg, is_ocaml(s), unified);
}

int guard_error(struct session *s, const struct xsd_sockmsg *hdr)
{
	/* These are in no transaction, whatever they say. */
	if (!hdr->tx_id || hdr->type == XS_WATCH || hdr->type == XS_UNWATCH)
		return EINVAL;
	if (transaction_find(&s->transactions, hdr->tx_id) >= 0)
		return EINVAL;
	return is_ocaml(s) ? EIO : ENOENT;
}

void guard_note(struct session *s, uint32_t type, int why)
{
	tap_malformed(s->tap, type);
	if (why == -EBADMSG)
		log_limited(&s->source, LOG_WARNING,
			    "refused a malformed %s that can end xenstored; see [guard] malformed",
			    message_name(type));
}
