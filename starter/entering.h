/* SPDX-License-Identifier: MIT */
/*
 * entering - what a native daemon, one without the bridge, has executed for a live update: gives
 * xsproxyd all that the daemon had, and ends; or becomes that daemon again.
 *
 * All of it is the daemon's until START_ENOUGH: its state lies where it was, its descriptors are
 * open and untouched. As long as not all was given, whatever goes wrong, and whatever xsproxyd says
 * that makes no sense, has it become the daemon again at once, for so nothing can be lost. From
 * then on xsproxyd may have taken it, so one is asked until it says which; it is waited for without
 * limit.
 *
 * Called by main.c. Must never end before START_ENOUGH.
 */
#ifndef XSPROXY_STARTER_ENTERING_H
#define XSPROXY_STARTER_ENTERING_H

#include <stdbool.h>

/** entering_is_native() - whether the daemon that has executed us runs without the bridge. */
bool entering_is_native(void);

/**
 * entering_run() - all of it.
 * @dir: the run directory
 * @argv: what the daemon has executed us with; its first word changes
 *
 * Return: the exit status; not, if the process has become the daemon again.
 */
int entering_run(const char *dir, char **argv);

#endif
