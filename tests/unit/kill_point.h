/* SPDX-License-Identifier: MIT */
/*
 * kill_point - the real proxy/session/ledger.c, compiled into the test so that it can be stopped
 *before each of its stores, as a SIGKILL would, or that others act between two of them. Include
 *this after everything else. The linker takes these functions instead of libunit.a's.
 */
#ifndef XSPROXY_TESTS_UNIT_KILL_POINT_H
#define XSPROXY_TESTS_UNIT_KILL_POINT_H

#include <setjmp.h>
#include <stdatomic.h>

#include "proxy/session/ledger.h"

static jmp_buf kill_jump;
static long kill_at = -1;
static void (*kill_point_visit)(void *arg); /* called before each store, if set */
static void *kill_point_arg;

static void kill_point_store(_Atomic uint32_t *word, uint32_t value)
{
	if (kill_point_visit)
		kill_point_visit(kill_point_arg);
	if (kill_at >= 0 && kill_at-- == 0)
		longjmp(kill_jump, 1);
	atomic_store_explicit(word, value, memory_order_release);
}

#pragma push_macro("atomic_store_explicit")
#undef atomic_store_explicit
#define atomic_store_explicit(word, value, order) kill_point_store(word, value)
#include "proxy/session/ledger.c"
#pragma pop_macro("atomic_store_explicit")

/* Run @fn, but no further than to its store number @at, counted from 0. Return: whether it died. */
static inline bool die_at_store(long at, void (*fn)(void *arg), void *arg)
{
	kill_at = at;
	if (setjmp(kill_jump))
		return true;
	fn(arg);
	kill_at = -1;
	return false;
}

#endif
