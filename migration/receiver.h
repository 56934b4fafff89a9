/* SPDX-License-Identifier: MIT */
/*
 * receiver - a command that takes an exported stream on its standard input, and by its exit status
 * says whether it has taken it.
 *
 * Called by export. Must never outlive it: who frees a receiver ends the command.
 */
#ifndef XSPROXY_MIGRATION_RECEIVER_H
#define XSPROXY_MIGRATION_RECEIVER_H

#include "migration/interrupt.h"

struct receiver;

/**
 * receiver_start() - start @command by /bin/sh, with signals as they are by default.
 * @out: gets it; receiver_free() it
 * @fd: gets where to write the stream to, the caller's; closing it is the end of the stream
 *
 * Return: 0, -ENOMEM, or what starting it failed with.
 */
int receiver_start(struct receiver **out, const char *command, int *fd);

/**
 * receiver_wait() - wait until it ends. To be called once.
 * @interrupt: see interrupt_poll(); NULL: no signal ends the wait
 * @status: gets its exit status; as the shell has it, 128 and the signal that it died from
 *
 * Return: 0; -EINTR for a signal to us; or what waiting failed with.
 */
int receiver_wait(struct receiver *receiver, const struct interrupt *interrupt, int *status);

/**
 * receiver_free() - free @receiver, which may be NULL; one that has not been waited for is ended by
 * SIGTERM first.
 */
void receiver_free(struct receiver *receiver);

#endif
