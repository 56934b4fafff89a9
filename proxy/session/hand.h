/* SPDX-License-Identifier: MIT */
/*
 * hand - what a session has, handed to it or by it: its watches, the request that was taken in
 * part, and the octets that its front has yet to get. So a connection comes from a native xenstored
 * to xsproxyd, and goes back to one.
 *
 * Called by proxy/exchange/, for rings and for toolstack sockets alike. Must never touch a guest's
 * page, nor say anything to upstream.
 */
#ifndef XSPROXY_PROXY_SESSION_HAND_H
#define XSPROXY_PROXY_SESSION_HAND_H

struct conns_view;
struct session;

/**
 * hand_in() - give a session what its connection has; upstream is to be told of the watches by
 * renew_begin(), or has them.
 * @s: fresh, over a formatted ledger, and never run
 * @view: as conns_next() has it. The record's kind, number, port, frame and target are not looked
 * at
 *
 * All of it is taken, whatever [limits] says: xenstored has granted it. How much the front got of a
 * message in part is not known, nor what it is. It counts as a reply, so that a QUIESCE waits for
 * its end; and nobody can take it back (part.h).
 *
 * Several commits: who dies meanwhile leaves a session that has some of it. The caller knows, and
 * has nobody take that up.
 *
 * Return: 0; -EBADMSG: no octets of one request, or of messages, or a watch in another form than
 * form.h has it or there twice; -E2BIG: a watch that is longer than we can keep; -ENOBUFS: more for
 * the front than a fifo holds; -ENOMEM. After an error the session is of no use but for
 * session_free().
 */
int hand_in(struct session *s, const struct conns_view *view);

#endif
