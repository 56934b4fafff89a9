/* SPDX-License-Identifier: MIT */
/*
 * readback - a capture file, read back: its frames go where a live trace's go (tracing.h).
 *
 * No xsproxyd is asked, and none need run. A file that still grows, or a pipe, is read as it comes.
 *
 * Called by ctl/cmd_trace and ctl/cmd_replay. Must never wait for input with output in hand, nor
 * pass on a frame of a block that is not sound.
 */
#ifndef XSPROXY_CTL_READBACK_H
#define XSPROXY_CTL_READBACK_H

#include "ctl/tracing.h"

/**
 * readback_run() - pass the frames of a file to @sink and write out what it makes of them, to the
 * file's end.
 * @file: its name; "-" is standard input
 *
 * Return: 0, also when @sink has enough; or a negative errno, which has been reported: -EBADMSG for
 * what is no capture, when the frames before that have been passed on.
 */
int readback_run(const char *file, struct tracing_sink *sink, const struct report *report);

#endif
