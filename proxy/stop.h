/* SPDX-License-Identifier: MIT */
/*
 * stop - ending on a signal: guests' pages are left at a message boundary.
 *
 * No guest is taken a further request from; once all that was taken is answered, and the answers
 * are in the guests' rings whole, the loop ends. A guest that does not make room, or stops within a
 * request, is not waited for longer than a second: the ledger says where the next xsproxyd goes on.
 */
#ifndef XSPROXY_PROXY_STOP_H
#define XSPROXY_PROXY_STOP_H

struct daemon;
struct stop;

/** stop_new() - nothing stops yet. Return: 0 or -ENOMEM. */
int stop_new(struct stop **out, struct daemon *daemon);

/** stop_free() - NULL is fine; returns NULL. */
struct stop *stop_free(struct stop *stop);

/** stop_begin() - end the loop as soon as can be; at once when called again. */
void stop_begin(struct stop *stop);

#endif
