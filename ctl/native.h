/* SPDX-License-Identifier: MIT */
/*
 * native - the xenstored that runs on this host, as Xen's own start has it: by its pid file; and
 * whether our bridge is in it.
 *
 * Used by enter and leave. Must never signal or trace it.
 */
#ifndef XSPROXY_CTL_NATIVE_H
#define XSPROXY_CTL_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl/program.h"

enum native_state {
	NATIVE_NONE,	/* there is none */
	NATIVE_RUNS,	/* without the bridge: it knows nothing of us */
	NATIVE_BRIDGED, /* behind us */
	NATIVE_CHANGES, /* it is a program of ours, which becomes one */
};

struct native {
	int64_t pid;
	struct program program; /* where it is a xenstored; a path that was upgraded may be gone */
};

/** native_pid_file() - where its pid is, as systemd/run-xenstored has it. Static memory. */
const char *native_pid_file(void);

/** native_find() - look for it. @native: filled in, unless there is none */
enum native_state native_find(struct native *native);

/**
 * native_has_dir() - whether a program that it executes would look for xsproxyd in a directory:
 * that is by its environment, or where it is by default.
 */
bool native_has_dir(const struct native *native, const char *run_dir);

/** native_is_awake() - whether the bridge in it serves, or has given up (its log says why). */
bool native_is_awake(const struct native *native);

/** native_look() - what a process is now. @native: its pid; the rest is filled in */
enum native_state native_look(struct native *native);

#endif
