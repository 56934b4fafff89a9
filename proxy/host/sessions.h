/* SPDX-License-Identifier: MIT */
/*
 * sessions - all that there are: those of rings and those of toolstacks' sockets.
 *
 * Called by exchange/ and mend/. Must never choose among them.
 */
#ifndef XSPROXY_PROXY_HOST_SESSIONS_H
#define XSPROXY_PROXY_HOST_SESSIONS_H

struct daemon;
struct session;

/** sessions_each() - call @fn for each session. */
void sessions_each(struct daemon *daemon, void (*fn)(struct session *s, void *arg), void *arg);

#endif
