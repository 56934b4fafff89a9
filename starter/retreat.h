/* SPDX-License-Identifier: MIT */
/*
 * retreat - become again the native daemon that has executed us for a live update.
 *
 * It gets what it would have got from itself: the arguments that it has given us, which have it
 * read its state, the state where it has left it, the environment and the descriptors as they are.
 * Which program it was LINK_NATIVE says; where that cannot be executed any other one of its kind is
 * tried that the running Xen has. Without a daemon a host has no Xenstore, so there is no giving
 * up.
 *
 * Called by entering.c. Must never change anything that the daemon inherits.
 */
#ifndef XSPROXY_STARTER_RETREAT_H
#define XSPROXY_STARTER_RETREAT_H

#include "starter/left.h"

/**
 * retreat_begin() - to be called first: signals by which the daemon has its log opened anew, and
 * which would end us, are ignored until it is there again.
 */
void retreat_begin(void);

/**
 * retreat_become() - become it.
 * @dir: the run directory
 * @held: its state; NULL: it is only known where it is
 * @argv: as of entering_run()
 */
_Noreturn void retreat_become(const char *dir, const struct left_held *held, char **argv);

#endif
