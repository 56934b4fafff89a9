// SPDX-License-Identifier: MIT
#include "proxy/observe/stats.h"

#include "proxy/util.h"

#define FIRST_BIT	       10 /* durations below 2^10 ns are in the first bucket */

#define XEN(number, name, ...) _Static_assert((number) < STATS_OURS, #name " has a place");
#include "protocol/requests.def"

const char *stats_counter_name(uint32_t counter)
{
	static const char *const names[] = {
#define COUNTER(name, ...) #name,
#include "protocol/counters.def"
	};

	return names[counter];
}

uint32_t stats_op(uint32_t type)
{
	/* What has no name would be counted where nobody shows it. */
	if (!message_info(type))
		return STATS_UNKNOWN;
	return message_is_ours(type) ? STATS_OURS + type - MESSAGE_QUIESCE : type;
}

const char *stats_op_name(uint32_t op)
{
	const struct message_info *info;

	if (op == STATS_UNKNOWN)
		return "UNKNOWN";
	info = message_info(op < STATS_OURS ? op : op - STATS_OURS + MESSAGE_QUIESCE);
	return info ? info->name : NULL;
}

const char *stats_error_name(uint32_t error)
{
	return error == STATS_ERRORS - 1 ? "OTHER" : message_error_at(error);
}

uint32_t stats_request(struct stats *stats, uint32_t type, uint32_t octets)
{
	uint32_t op = stats_op(type);

	stats->requests[op]++;
	stats->octets_in += octets;
	return op;
}

void stats_reply(struct stats *stats, int err, uint32_t octets)
{
	stats->octets_out += octets;
	if (err)
		stats->errors[min_u32(message_error_index(err), STATS_ERRORS - 1)]++;
}

static uint32_t bucket_of(uint64_t ns)
{
	uint32_t bit;

	if (ns < 1u << FIRST_BIT)
		return 0;
	bit = 63 - (uint32_t)__builtin_clzll(ns);
	return min_u32(1 + (bit - FIRST_BIT) * 2 + (ns >> (bit - 1) & 1), STATS_BUCKETS - 1);
}

static uint64_t lower_bound(uint32_t bucket)
{
	uint32_t step = bucket - 1;

	return bucket ? (2 + (step & 1ULL)) << (step / 2 + FIRST_BIT - 1) : 0;
}

uint64_t stats_bound(uint32_t bucket)
{
	return bucket == STATS_BUCKETS - 1 ? UINT64_MAX : lower_bound(bucket + 1);
}

static void add_time(struct stats_times *times, uint64_t ns)
{
	times->count++;
	times->sum += ns;
	times->bucket[bucket_of(ns)]++;
	if (ns > times->max)
		times->max = ns;
}

void stats_took(struct stats *stats, uint64_t total, uint64_t upstream)
{
	add_time(&stats->total, total);
	add_time(&stats->in_proxy, total - upstream);
	add_time(&stats->upstream, upstream);
}

uint64_t stats_sum(const uint64_t *counts, uint32_t n)
{
	uint64_t sum = 0;

	while (n--)
		sum += counts[n];
	return sum;
}

static void merge_counts(uint64_t *counts, const uint64_t *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		counts[i] += from[i];
}

static void merge_times(struct stats_times *times, const struct stats_times *from)
{
	times->count += from->count;
	times->sum += from->sum;
	if (from->max > times->max)
		times->max = from->max;
	merge_counts(times->bucket, from->bucket, STATS_BUCKETS);
}

void stats_merge(struct stats *stats, const struct stats *from)
{
	stats->sessions += from->sessions;
	merge_counts(stats->requests, from->requests, STATS_OPS);
	merge_counts(stats->errors, from->errors, STATS_ERRORS);
	merge_counts(stats->counter, from->counter, COUNTERS);
	merge_times(&stats->total, &from->total);
	merge_times(&stats->in_proxy, &from->in_proxy);
	merge_times(&stats->upstream, &from->upstream);
}

uint64_t stats_quantile(const struct stats_times *times, uint32_t permille)
{
	/*
	 * Which of them, counted from 1; as 128 bits would be exact, counts never get that large.
	 */
	uint64_t rank = (times->count * permille + 999) / 1000, low, high;

	if (!times->count)
		return 0;
	for (uint32_t i = 0; i < STATS_BUCKETS; i++) {
		if (rank > times->bucket[i]) {
			rank -= times->bucket[i];
			continue;
		}
		low = lower_bound(i);
		high = stats_bound(i) < times->max ? stats_bound(i) : times->max;
		if (high <= low)
			return high;
		return low +
		       (uint64_t)((double)(high - low) * (double)rank / (double)times->bucket[i]);
	}
	return times->max;
}
