/* SPDX-License-Identifier: MIT */
/*
 * stats - what a session has done, in numbers: requests, errors, octets, and how long they took.
 *
 * Counted by tap.c; read by control_tap.c and metrics.c. Plain numbers that live and end with
 * xsproxyd: nothing here allocates, and adding to them costs a few stores.
 */
#ifndef XSPROXY_PROXY_OBSERVE_STATS_H
#define XSPROXY_PROXY_OBSERVE_STATS_H

#include <stdint.h>
#include <xen/io/xs_wire.h>

#include "protocol/counters.h"
#include "protocol/message.h"

/* Operations: the protocol's, ours, and one for all that nobody knows. */
#define STATS_OURS    32
#define STATS_UNKNOWN (STATS_OURS + MESSAGE_OURS_END - MESSAGE_QUIESCE)
#define STATS_OPS     (STATS_UNKNOWN + 1)

/* Errors: those of message_error_at(), and one for others. */
#define STATS_ERRORS 24

/* Two buckets each time that the duration doubles, from 1 us on to over 8 s. */
#define STATS_BUCKETS 48

struct stats_times {
	uint64_t count;
	uint64_t sum; /* ns */
	uint64_t max;
	uint64_t bucket[STATS_BUCKETS];
};

struct stats {
	uint64_t sessions;
	uint64_t requests[STATS_OPS];
	uint64_t errors[STATS_ERRORS];
	union {
		struct {
#define COUNTER(name, ...) uint64_t name;
#include "protocol/counters.def"
		};
		uint64_t counter[COUNTERS];
	};
	struct stats_times total;    /* from a whole request to its reply in the front's queue */
	struct stats_times in_proxy; /* the part of it that was ours */
	struct stats_times upstream; /* the part of it that was xenstored's */
};

/** stats_counter_name() - a counter's name in JSON. */
const char *stats_counter_name(uint32_t counter);

/** stats_op() - where requests of a type are counted. */
uint32_t stats_op(uint32_t type);

/** stats_op_name() - the name of an operation, or NULL for a place that none has. */
const char *stats_op_name(uint32_t op);

/** stats_error_name() - the name of an error, or NULL for a place that none has. */
const char *stats_error_name(uint32_t error);

/** stats_request() - count a request of @octets. Return: stats_op(@type). */
uint32_t stats_request(struct stats *stats, uint32_t type, uint32_t octets);

/** stats_reply() - count a reply of @octets. @err: a positive errno, or 0 */
void stats_reply(struct stats *stats, int err, uint32_t octets);

/** stats_took() - a request was answered. @total, @upstream: in ns */
void stats_took(struct stats *stats, uint64_t total, uint64_t upstream);

/** stats_sum() - requests or errors in all. */
uint64_t stats_sum(const uint64_t *counts, uint32_t n);

/** stats_merge() - add @from to @stats. */
void stats_merge(struct stats *stats, const struct stats *from);

/** stats_bound() - the duration in ns that a bucket's are below; UINT64_MAX for the last one. */
uint64_t stats_bound(uint32_t bucket);

/** stats_quantile() - about what @permille of all durations are not above, in ns; 0 without any. */
uint64_t stats_quantile(const struct stats_times *times, uint32_t permille);

#endif
