/* SPDX-License-Identifier: MIT */
/*
 * ring_files - the files of a capture that goes on in another one whenever one is full: each has a
 * number and a time in its name, and all but the last ones may be removed.
 *
 * Called by ctl/cmd_capture. Must never write to, or remove, a file that it has not made.
 */
#ifndef XSPROXY_CTL_RING_FILES_H
#define XSPROXY_CTL_RING_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "migration/report.h"
#include "trace/outbuf.h"

struct ring_files;

/**
 * ring_files_new() - a ring without a file yet.
 * @name: guests.pcapng stands for guests_00001_20261201060444.pcapng and so on; outlives it
 * @keep: how many stay; 0: all
 * @report: told of what cannot be removed, which is no failure; outlives it
 *
 * Return: NULL when memory ran out.
 */
struct ring_files *ring_files_new(const char *name, uint32_t keep, const struct report *report);

/** ring_files_free() - NULL is fine. The files stay; the last one's descriptor is its owner's. */
void ring_files_free(struct ring_files *ring);

/**
 * ring_files_next() - make the next file, and remove the one that is one too many.
 *
 * Return: its descriptor, which the caller closes; or -ENOMEM, or what open() failed with: -EEXIST,
 * too, for what is there is somebody's.
 */
int ring_files_next(struct ring_files *ring);

/** ring_files_name() - of the file that was made last, or could not be. */
const char *ring_files_name(const struct ring_files *ring);

#endif
