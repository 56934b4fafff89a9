/* SPDX-License-Identifier: MIT */
/*
 * times - response times of the programs of `make bench`: a histogram, and how it is reported.
 */
#ifndef XSPROXY_TESTS_BENCH_TIMES_H
#define XSPROXY_TESTS_BENCH_TIMES_H

#include <stdint.h>
#include <stdio.h>

/* Latencies in buckets that grow by 1/32: 20 powers of two from 1 us. */
#define SUB	32
#define BUCKETS (24 * SUB)

struct times {
	uint64_t count;
	uint64_t histogram[BUCKETS];
};

static inline int bucket(uint64_t ns)
{
	uint64_t us32 = ns * SUB / 1000;
	int power = 0;

	while (us32 >= 2 * SUB && power < BUCKETS / SUB - 2) {
		us32 /= 2;
		power++;
	}
	return power * SUB + (int)(us32 < 2 * SUB ? us32 : 2 * SUB - 1);
}

static inline double bucket_us(int index)
{
	int power = index / SUB - (index >= SUB ? 1 : 0);
	int sub = index - power * SUB;

	return (double)sub / SUB * (double)(1u << power);
}

static inline void times_add(struct times *times, uint64_t ns)
{
	times->histogram[bucket(ns)]++;
	times->count++;
}

static inline void times_merge(struct times *times, const struct times *from)
{
	times->count += from->count;
	for (int b = 0; b < BUCKETS; b++)
		times->histogram[b] += from->histogram[b];
}

/* The beginning of an object: the caller ends it. */
static inline void times_print(const struct times *times, double seconds)
{
	double p50 = -1, p99 = -1;
	uint64_t seen = 0;

	for (int b = 0; b < BUCKETS; b++) {
		seen += times->histogram[b];
		if (p50 < 0 && seen * 2 >= times->count)
			p50 = bucket_us(b);
		if (p99 < 0 && seen * 100 >= times->count * 99)
			p99 = bucket_us(b);
	}
	printf("{\"requests\": %llu, \"seconds\": %.3f, \"p50_us\": %.2f, \"p99_us\": %.2f",
	       (unsigned long long)times->count, seconds, p50, p99);
}

#endif
