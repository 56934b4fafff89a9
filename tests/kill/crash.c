// SPDX-License-Identifier: MIT
/*
 * crash - an xsproxyd that crashes whenever domain CRASH_DOMID has a turn in which its front may be
 * asked, or is taken up while it stands still, in place of bugs that one guest knows of.
 */
#include "proxy/session/session.h"
#include "proxy/toolstack/toolstack.h"

#define CRASH_DOMID 66

bool __real_up_step(struct session *s);
bool __wrap_up_step(struct session *s);

bool __wrap_up_step(struct session *s)
{
	if (s->domid == CRASH_DOMID && s->front_open)
		__builtin_trap();
	return __real_up_step(s);
}

int __real_toolstack_recover(struct session *s);
int __wrap_toolstack_recover(struct session *s);

int __wrap_toolstack_recover(struct session *s)
{
	if (s->domid == CRASH_DOMID && session_state(s) == LEDGER_QUIET)
		__builtin_trap();
	return __real_toolstack_recover(s);
}
