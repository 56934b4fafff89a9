/* SPDX-License-Identifier: MIT */
/*
 * program - the xenstoreds that there are on this host: the one that runs, and those that could.
 *
 * Used by xenstored replace, enter and leave. Must never start one.
 */
#ifndef XSPROXY_CTL_PROGRAM_H
#define XSPROXY_CTL_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "migration/report.h"

enum program_kind {
	PROGRAM_C,
	PROGRAM_OX,
};

struct program {
	enum program_kind kind;
	char path[PATH_MAX]; /* absolute; "": not known */
};

/** program_name() - what a daemon of a kind is called, for the file system and for people. */
const char *program_name(enum program_kind kind);

/**
 * program_running() - the daemon that serves.
 * @name: of it, as xsproxyd has it
 * @pid: of it; where it was started from is no more than a help, and need not be found
 */
void program_running(struct program *program, const char *name, int64_t pid);

/**
 * program_of() - the program that a process executes.
 *
 * Return: 0; -ESRCH: there is no such process; -EINVAL: it is no xenstored; only its path is set.
 */
int program_of(struct program *program, int64_t pid);

/**
 * program_find() - a daemon that could take its place.
 * @with: c, oxenstored, or a path; NULL: one of the kind that runs
 * @running: beside which it is looked for first, then where the wrapper looks
 * (systemd/xenstored-wrapper)
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int program_find(struct program *program, const char *with, const struct program *running,
		 const struct report *report);

/**
 * program_option() - the value of a word of the form OPTION=VALUE, or of two words, on a process'
 * command line.
 * @out: gets it
 *
 * Return: whether it is there, and fits.
 */
bool program_option(int64_t pid, const char *option, char out[PATH_MAX]);

/**
 * program_in_domain() - whether a file that Xen's start reads has xenstored run in a domain of its
 * own.
 * @file: need not exist
 */
bool program_in_domain(const char *file);

#endif
