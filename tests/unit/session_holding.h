/* SPDX-License-Identifier: MIT */
/* session_holding - a session of a guest that comes to hold watches and transactions. */
#ifndef XSPROXY_TESTS_UNIT_SESSION_HOLDING_H
#define XSPROXY_TESTS_UNIT_SESSION_HOLDING_H

#include "tests/unit/session_rig.h"

static inline int setup(void **state)
{
	static struct rig rig;

	rig_open(&rig, 7, 0u - 300);
	*state = &rig;
	return 0;
}

static inline void watch(struct rig *rig, const char *payload, uint32_t len)
{
	rig_exchange(rig, XS_WATCH, 0, payload, len, XS_WATCH, "OK");
}

static inline void open_transaction(struct rig *rig)
{
	rig_exchange(rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, "5");
}

static inline uint32_t holdings(const struct rig *rig)
{
	return rig->s->watches.count + transaction_count(&rig->s->transactions);
}

/* RESET_WATCHES of ours reaches upstream and is answered. */
static inline void answer_reset(struct rig *rig)
{
	uint32_t id = STORED_GETS(rig, XS_RESET_WATCHES, 0, "");

	STORED_SENDS(rig, XS_RESET_WATCHES, id, 0, "OK");
	rig_run(rig);
}

#endif
