/* SPDX-License-Identifier: MIT */
/*
 * afresh - a session whose ledger cannot be trusted any more: the guest or memory has gone its own
 * way.
 *
 * Upstream's idea of the connection is dropped, and the guest's ring reset as if it had asked for
 * it. But the back ring is a stream: what upstream has got of a request, and what it has sent of a
 * message, must come to an end before anything else can pass.
 *
 * Called by domain.c.
 */
#ifndef XSPROXY_PROXY_SESSION_AFRESH_H
#define XSPROXY_PROXY_SESSION_AFRESH_H

struct session;
struct session_params;

/**
 * session_afresh() - a session in place of one that could not be recovered.
 * @why: what session_new() said, for the log
 *
 * Return: as session_new().
 */
int session_afresh(struct session **out, const struct session_params *params, int why);

#endif
