/* SPDX-License-Identifier: MIT */
/*
 * output - where an exported stream goes: a file that appears when it is complete, or not at all,
 * or a pipe.
 *
 * A regular file is written under a temporary name beside it and renamed, mode 0600, for a stream
 * holds secrets such as VNC passwords. What exists and is no regular file (/dev/null, a fifo) is
 * written to as it is, like standard output. A signal ends the wait for a slow reader.
 *
 * Called by export. Must never leave a temporary file behind, or replace a file by half a stream.
 */
#ifndef XSPROXY_MIGRATION_OUTPUT_H
#define XSPROXY_MIGRATION_OUTPUT_H

#include <stdio.h>

#include "migration/interrupt.h"

struct output;

/**
 * output_open() - a file that appears when it is complete, or what there is already to write to.
 * @out: gets the output; output_free() it
 * @path: NULL is standard output
 * @interrupt: see interrupt_poll(); outlives it
 *
 * Return: 0, -ENOMEM, or what opening failed with.
 */
int output_open(struct output **out, const char *path, const struct interrupt *interrupt);

/**
 * output_adopt() - the same for a pipe that is open: @fd is taken over, also if it fails.
 *
 * Return: 0 or -ENOMEM.
 */
int output_adopt(struct output **out, int fd, const struct interrupt *interrupt);

/**
 * output_file() - the file to write to; stays the output's. Writing fails with EINTR for a signal,
 * EPIPE when the reader of a pipe is gone.
 */
FILE *output_file(struct output *output);

/**
 * output_commit() - what was written is complete: flush it, and let the file appear. To be called
 * once.
 *
 * Return: 0, or what any writing, fsync() or rename() failed with.
 */
int output_commit(struct output *output);

/** output_free() - free @output, which may be NULL; a file that was not committed disappears. */
void output_free(struct output *output);

#endif
