/* SPDX-License-Identifier: MIT */
/*
 * domain - the domains that xenstored knows: their pages, event channels and sessions.
 *
 * A domain appears when xenstored maps its page and ends when xenstored unmaps it
 * (docs/architecture.md, "Xenstored owns a domain's life"); what is on the wire plays no part.
 * Called by upstream.c with the bridge's news, and by the event channel device. Once a domain is
 * gone its page is unmapped before anybody is answered.
 */
#ifndef XSPROXY_PROXY_HOST_DOMAIN_H
#define XSPROXY_PROXY_HOST_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "link/link.h"

struct daemon;
struct domains;
struct missing;
struct session;

/** domains_new() - Return: 0 or -ENOMEM. */
int domains_new(struct domains **out, struct daemon *daemon);

/** domains_free() - detaches all, keeping their ledgers. NULL is fine; returns NULL. */
struct domains *domains_free(struct domains *domains);

/**
 * domains_change() - carry out what xenstored did to a domain.
 *
 * Return: 0, or a negative errno for xenstored (LINK_MAP and LINK_BIND only).
 */
int domains_change(struct domains *domains, const struct link_msg *msg);

/**
 * domains_attach_all() - take up every domain that the bridge says is mapped.
 *
 * One that cannot be is left out, and logged. Return: 0, or -ENOMEM: then none may go on before all
 * are taken up, for nobody knows which extents belong to those that are not. Detach and try again.
 */
int domains_attach_all(struct domains *domains);

/** domains_local_port() - of a domain's event channel, in our device; -1: it is not bound. */
int domains_local_port(struct domains *domains, uint32_t domid);

/** domains_rest() - take no events of theirs, for another one does; or again. @rest: which */
void domains_rest(const struct domains *domains, bool rest);

/**
 * domains_anew() - all event channels are bound anew, and what else was bound in our device is not
 * bound any more, by whomever that was who had it.
 */
void domains_anew(struct domains *domains);

/**
 * domains_bind() - bind the event channels that are bound for xenstored and not for us yet.
 *
 * Return: of how many domains that Xen has they could not be.
 */
uint32_t domains_bind(struct domains *domains);

/**
 * domains_detach_all() - unmap and unbind everything; pages and ledgers stay as they are.
 */
void domains_detach_all(struct domains *domains);

/** domains_missing() - those that this xenstored does not know, and the one before did. */
const struct missing *domains_missing(const struct domains *domains);

/**
 * domains_failed() - why a domain that xenstored has is not served, or NULL.
 *
 * It may have a session all the same, if only its event channel could not be bound.
 */
const char *domains_failed(const struct domains *domains, uint32_t domid);

/** domains_bell() - xenstored rang for a domain. */
void domains_bell(struct domains *domains, uint32_t domid);

/** domains_ready_all() - run every session once, and wake every guest. */
void domains_ready_all(struct domains *domains);

/**
 * domains_next_session() - the session of the attached domain with the lowest id from @domid on, or
 * NULL.
 */
struct session *domains_next_session(struct domains *domains, uint32_t domid);

/* DOMAINS_EACH_SESSION() - the statement that follows runs for each of them, as @s. */
// NOLINTBEGIN(bugprone-macro-parentheses): @s is declared here
#define DOMAINS_EACH_SESSION(domains, s)                                \
	for (struct session *s = domains_next_session(domains, 0); (s); \
	     (s) = domains_next_session(domains, (s)->domid + 1))
// NOLINTEND(bugprone-macro-parentheses)

/**
 * domains_in_xen() - whether Xen has a domain, introduced or not.
 *
 * Return: 1, 0, or -ENODEV: Xen cannot be asked before the first domain is attached, which is dom0.
 */
int domains_in_xen(struct domains *domains, uint32_t domid);

/** domains_session() - the session of an attached domain, or NULL. */
struct session *domains_session(struct domains *domains, uint32_t domid);

#endif
