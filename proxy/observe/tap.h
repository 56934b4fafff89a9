/* SPDX-License-Identifier: MIT */
/*
 * tap - where the traffic of a session is seen: counted (stats.h), kept for a while (flight.h), and
 * shown to who asks (trace.h).
 *
 * Called by session.c, up.c and down.c wherever a whole message passes. Changes nothing of what
 * passes, never waits and never fails: without memory it sees less. Its numbers begin and end with
 * xsproxyd.
 */
#ifndef XSPROXY_PROXY_OBSERVE_TAP_H
#define XSPROXY_PROXY_OBSERVE_TAP_H

#include <stdint.h>

#include "protocol/message.h"
#include "proxy/log.h"
#include "proxy/observe/flight.h"
#include "proxy/observe/stats.h"
#include "proxy/observe/wording.h"

#define TAP_SLOTS   32u /* where requests that are under way have their places */
#define TAP_NO_SLOT (-1)

struct config;
struct tap;
struct taps;
struct traces;

/**
 * taps_new() - of the daemon: what gone sessions did.
 * @traces: who looks on; NULL: nobody
 * @config: kept, and read at each message
 *
 * Return: 0 or -ENOMEM.
 */
int taps_new(struct taps **out, struct traces *traces, const struct config *config);

/** taps_free() - every session's must have gone. NULL is fine; returns NULL. */
struct taps *taps_free(struct taps *taps);

/** taps_total() - the sum of all sessions since the start. */
void taps_total(const struct taps *taps, struct stats *total);

/** taps_clients() - the sum of all toolstack sockets since the start. */
void taps_clients(const struct taps *taps, struct stats *total);

/** taps_trim() - the configuration has changed: forget what is beyond its [flight] messages now. */
void taps_trim(struct taps *taps);

/**
 * taps_round_over() - the loop's round is over. One reading of the clock is good for all that a
 * round finds in the rings: it was there when the round began, and the next one takes another.
 */
void taps_round_over(struct taps *taps);

/** taps_malformed() - requests refused for their form, by operation (stats_op()). */
const uint64_t *taps_malformed(const struct taps *taps);

/**
 * tap_new() - for a new session.
 * @taps: NULL: nobody looks at the traffic
 * @source: whose traffic it is
 * @socket: whether it is a toolstack client's
 *
 * Return: NULL without memory, which is no error.
 */
struct tap *tap_new(struct taps *taps, const struct log_source *source, bool socket);

/** tap_free() - the session ends. NULL is fine; returns NULL. */
struct tap *tap_free(struct tap *tap);

/** tap_stats() - the numbers of a session as of now; zeroes without a tap. */
void tap_stats(const struct tap *tap, struct stats *stats);

/**
 * tap_oldest() - for how long, in ns, the oldest request that is under way has been so, since it
 * was whole and this xsproxyd knew of it.
 * @slots: a bit for each that is
 *
 * Return: that, or 0.
 */
uint64_t tap_oldest(const struct tap *tap, uint32_t slots);

/**
 * tap_asked() - what the request in @slot is about, as wording_first() says it.
 *
 * Return: @text; "" where that is not kept.
 */
const char *tap_asked(const struct tap *tap, int slot, char text[WORDING_FIRST_MAX]);

/** tap_full() - for how long, in ns, its front has had no room for what is to be delivered, or 0.
 */
uint64_t tap_full(const struct tap *tap);

/** tap_flight() - the last messages, or NULL. Their times are CLOCK_MONOTONIC's. */
const struct flight *tap_flight(const struct tap *tap);

/** tap_dump() - write the last messages to the log: the session has ended in an error. */
void tap_dump(const struct tap *tap);

/**
 * tap_turn_moved() - a turn of the session has moved what it will, and is about to wake the others:
 * what it answered is delivered, and upstream's time begins for what it forwarded.
 * @full: its front has no room for what is to be delivered
 * @unread: it has sent what is not taken
 */
void tap_turn_moved(struct tap *tap, bool full, bool unread);

/**
 * tap_request() - a whole request was taken, as the guest sent it.
 * @slot: where its answer will be found; TAP_NO_SLOT: it follows at once
 * @ours: upstream never sees it
 */
void tap_request(struct tap *tap, int slot, bool ours, const struct message *msg);

/**
 * tap_reply() - the reply to a request was delivered.
 * @slot: the request's, as for tap_request()
 * @len: octets of its payload that @payload has; 0 if it only passes in pieces
 */
void tap_reply(struct tap *tap, int slot, const struct xsd_sockmsg *hdr, const void *payload,
	       uint32_t len);

/** tap_malformed() - a request of @type was refused for its form. */
void tap_malformed(struct tap *tap, uint32_t type);

/** tap_event() - a watch event was delivered. */
void tap_event(struct tap *tap, const struct message *msg);

#endif
