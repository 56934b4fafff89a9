/* SPDX-License-Identifier: MIT */
/*
 * Is this process part of a simulated machine? XENSIM_DIR says so, and names it. Used by all
 * interposers; without XENSIM_DIR each of them passes its call on.
 */
#ifndef XENSIM_ACTIVE_H
#define XENSIM_ACTIVE_H

#include "tests/sim/common/state.h"

/* What the dynamic linker would bind without this library. */
#define SIM_EXPORT __attribute__((visibility("default")))

/* The machine's directory, or NULL: inert. Ends the process when it is not absolute. */
const char *active_dir(void);

/* The machine, or NULL with errno set. Only when active_dir() is not NULL. */
struct sim *active_sim(void);

/* The next definition of @name after this library; ends the process when there is none. */
void *active_next(const char *name);

/* Declare next_FN, the next definition of fn. */
#define SIM_NEXT(fn)                        \
	static __typeof__(&(fn)) next_##fn; \
	if (!next_##fn)                     \
	next_##fn = (__typeof__(&(fn)))active_next(#fn)

/* A negative errno as the Xen libraries return it. */
int active_errno(int rc);

#endif
