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

#include <stdbool.h>
#include <stdio.h>

struct conns_record;
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
 * form.h has it or there twice; -ENOBUFS: more for the front than a fifo holds; -ENOMEM. A watch
 * that is longer than we can keep is lost, which is logged. After an error the session is of no use
 * but for session_free().
 */
int hand_in(struct session *s, const struct conns_view *view);

/**
 * hand_out() - write what a session has as one record, as hand_in() takes it.
 * @s: with nothing between it and upstream (renew_rests()), no request that we are to answer, and a
 *     front that is not read meanwhile. A socket moves no octets from now on (sock_halt()): of the
 *     two queues towards the client, too, what is in them is in the record
 * @file: gets it
 * @like: the record's kind, number, port, frame and target
 *
 * Nothing of the session changes. Transactions that it has open are not in a record, nor that it
 * stands still. A request may be there whole (hand_waits()).
 *
 * Return: 0; -EBUSY: it is not at rest; -E2BIG: a client has sent more than one request that nobody
 * has taken, or one that is too long; -ENOMEM; -EIO: @file failed.
 */
int hand_out(const struct session *s, FILE *file, const struct conns_record *like);

/**
 * hand_waits() - whether a request is there whole that has not gone upstream: the session could not
 * take it yet, or has taken its octets from the front and could not forward it. Another daemon that
 * is handed it may look at it only when the front sends the next octet, which may be never; so it
 * is to go before fronts are read no more. One that lies in a ring waits for nobody.
 */
bool hand_waits(const struct session *s);

/**
 * hand_is_clear() - whether nothing of a request was taken that has not gone upstream, and nothing
 * waits that the front has yet to get: oxenstored has no place for either.
 */
bool hand_is_clear(const struct session *s);

/**
 * hand_withdraw() - the C daemon is to serve a guest's ring without us. It answers no reconnection,
 * so none is offered any more; if the ring is ours after all it is offered anew.
 */
void hand_withdraw(struct session *s);

#endif
