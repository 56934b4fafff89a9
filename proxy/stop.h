/* SPDX-License-Identifier: MIT */
/*
 * stop - ending on a signal.
 *
 * With a keeper (host/keeper.h) the loop ends after the step under way, for the next xsproxyd goes
 * on with everybody from there.
 *
 * Without one toolstack clients are answered, for their connections end with us, and guests' pages
 * are left at a message boundary. First no further request is taken from toolstack clients; each
 * one's connection is closed when all that it sent is answered. Then the same for guests, who were
 * served until now: once all that was taken is answered, and the answers are in the guests' rings
 * whole, the loop ends. Nobody is waited for longer than a second: neither a client whose request
 * takes longer or who does not read, nor a guest that does not make room, or stops within a
 * request; the ledger says where the next xsproxyd goes on. A QUIESCE that waits is carried out in
 * that time or not at all.
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
