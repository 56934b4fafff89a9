/* SPDX-License-Identifier: MIT */
/*
 * lasting - what the running xenstored was told for as long as it runs: quotas, features, what it
 * logs.
 *
 * Not each state of a daemon has it, so it is noted as it passes, and said again to one that takes
 * the place of another (exchange/). It lies with the domains' ledgers, and goes when they do; what
 * is about a domain goes with that. Only the C daemon is told such things.
 *
 * Noted by toolstack_gate.c, read by exchange/; domain.c says who has gone. Whether xenstored takes
 * what is noted does not matter: said again it has the same effect.
 */
#ifndef XSPROXY_PROXY_HOST_LASTING_H
#define XSPROXY_PROXY_HOST_LASTING_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct message;

/** lasting_note() - @msg, of a privileged session, is about to go upstream. */
void lasting_note(const struct daemon *daemon, const struct message *msg);

/** lasting_domain_gone() - what was said about a domain does not hold for the next one. */
void lasting_domain_gone(const struct daemon *daemon, uint32_t domid);

/** lasting_only() - the same for all domains that are not there. */
void lasting_only(const struct daemon *daemon, bool (*there)(void *arg, uint32_t domid), void *arg);

/**
 * lasting_each() - call @fn with each request, in the order in which they were said, until it
 * returns other than 0.
 *
 * Return: 0 or what @fn returned.
 */
int lasting_each(const struct daemon *daemon,
		 int (*fn)(void *arg, uint32_t type, const char *payload, uint32_t len), void *arg);

#endif
