/* SPDX-License-Identifier: MIT */
/*
 * clock - what time it is. No call enters the kernel where its clock can be read from user space.
 *
 * Used by all sides. Must never keep state.
 */
#ifndef XSPROXY_PROTOCOL_CLOCK_H
#define XSPROXY_PROTOCOL_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NS_OF_MS 1000000u
#define CLOCK_NS_OF_S  1000000000u

/** clock_ns() - nanoseconds of clock @id. */
static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_NS_OF_S + (uint64_t)ts.tv_nsec;
}

/** clock_monotonic() - nanoseconds of CLOCK_MONOTONIC, for durations. */
static inline uint64_t clock_monotonic(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/** clock_seconds() - whole seconds of the same. */
static inline uint64_t clock_seconds(void)
{
	return clock_monotonic() / CLOCK_NS_OF_S;
}

/** clock_realtime_offset() - what CLOCK_REALTIME is ahead of CLOCK_MONOTONIC. */
static inline uint64_t clock_realtime_offset(void)
{
	return clock_ns(CLOCK_REALTIME) - clock_monotonic();
}

#endif
