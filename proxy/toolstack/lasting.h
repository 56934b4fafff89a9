/* SPDX-License-Identifier: MIT */
/*
 * lasting - what CONTROL told the running xenstored for as long as it runs: quotas, what it logs.
 *
 * No state of a daemon has it, so it is noted as it passes, and said again to one that takes the
 * place of another (exchange/). It lies with the domains' ledgers, and goes when they do. Only the
 * C daemon is told such things this way.
 *
 * Noted by toolstack_gate.c, read by exchange/. Whether xenstored takes what is noted does not
 * matter: said again it has the same effect.
 */
#ifndef XSPROXY_PROXY_TOOLSTACK_LASTING_H
#define XSPROXY_PROXY_TOOLSTACK_LASTING_H

#include <stdint.h>

struct daemon;
struct message;

/** lasting_note() - @msg, of a privileged session, is about to go upstream. */
void lasting_note(const struct daemon *daemon, const struct message *msg);

/**
 * lasting_each() - call @fn with the payload of each, in the order in which they were said, until
 * it returns other than 0.
 *
 * Return: 0 or what @fn returned.
 */
int lasting_each(const struct daemon *daemon,
		 int (*fn)(void *arg, const char *payload, uint32_t len), void *arg);

#endif
