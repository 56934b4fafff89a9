/* SPDX-License-Identifier: MIT */
/*
 * guard - in what form a request may reach xenstored, and what is refused for its form.
 *
 * What both of us read goes upstream in one form (form.h) or not at all. And xenstored's faults are
 * its own, but where one message of a guest is enough to end it, and no legal client sends such a
 * message, xsproxy answers EINVAL itself: docs/security.md lists them. [guard] malformed = pass
 * leaves those to xenstored.
 *
 * Called by up.c for each request that would be forwarded.
 */
#ifndef XSPROXY_PROXY_SESSION_GUARD_H
#define XSPROXY_PROXY_SESSION_GUARD_H

#include <stdint.h>

struct message;
struct session;
struct xsd_sockmsg;

/**
 * guard_form() - the form in which a request goes upstream.
 * @unified: room for it
 *
 * Return: 0: as it is; 1: @unified; else it is to be refused with guard_error(), and then noted:
 * -EINVAL from form_unify(), -EBADMSG for what can end xenstored.
 */
int guard_form(struct session *s, const struct message *msg, struct message *unified);

/**
 * guard_error() - what a request that guard_form() refuses is answered: as upstream would, which
 * looks for the transaction before it looks at the payload.
 *
 * Return: EINVAL, ENOENT or EIO.
 */
int guard_error(struct session *s, const struct xsd_sockmsg *hdr);

/**
 * guard_note() - a request was refused for its form: count it; log now and then what is harmful.
 * @why: what guard_form() said
 */
void guard_note(struct session *s, uint32_t type, int why);

#endif
