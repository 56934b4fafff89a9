// SPDX-License-Identifier: MIT
/*
 * crash - an xsproxyd that crashes whenever domain CRASH_DOMID has a turn in which its front may be
 * asked, in place of a bug that one guest knows of.
 */
#include "proxy/session/session.h"

#define CRASH_DOMID 66

bool __real_up_step(struct session *s);
bool __wrap_up_step(struct session *s);

bool __wrap_up_step(struct session *s)
{
	if (s->domid == CRASH_DOMID && s->front_open)
		__builtin_trap();
	return __real_up_step(s);
}
