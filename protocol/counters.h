/* SPDX-License-Identifier: MIT */
/*
 * counters - which plain numbers a session counts: COUNTER_name for each of counters.def.
 *
 * Used by whoever counts, asks for, or shows them, on both sides of the control socket.
 */
#ifndef XSPROXY_PROTOCOL_COUNTERS_H
#define XSPROXY_PROTOCOL_COUNTERS_H

enum counter {
#define COUNTER(name, ...) COUNTER_##name,
#include "protocol/counters.def"
	COUNTERS,
};

enum counter_unit {
	COUNTER_ONE,
	COUNTER_OCTET,
	COUNTER_NS, /* of the time that passes: its share of a second says more than its rate */
};

#endif
