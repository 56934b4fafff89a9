/* SPDX-License-Identifier: MIT */
/*
 * spool - input that may be a pipe, kept in an unnamed temporary file so that it can be read twice.
 * A memfd that nobody can change any more is read where it is: then nothing needs a place on disk.
 *
 * The file has no name from birth and mode 0600 (tmpfile(), O_TMPFILE): a stream holds secrets such
 * as VNC passwords, and nothing is left behind when the process dies. Called by the
 * readers of this folder. Must never keep more than a stdio buffer, and a line, in memory.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_SPOOL_H
#define XSPROXY_MIGRATION_FORMAT_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool;

/**
 * spool_new() - copy @fd, up to its end or until there is more than @max, and go to the start.
 * @out: gets the spool; spool_free() it
 * @fd: readable and blocking; stays the caller's and is not needed afterwards. A memfd with all of
 *	its seals is read from its start, and its position changes
 * @max: octets
 *
 * Return: 0 (also when there is more, see spool_cut()), -ENOMEM, or what reading or writing failed
 * with.
 */
int spool_new(struct spool **out, int fd, uint64_t max);

/** spool_free() - free @spool, which may be NULL. */
void spool_free(struct spool *spool);

/** spool_rewind() - go to the start. Return: 0, or what seeking failed with. */
int spool_rewind(struct spool *spool);

/**
 * spool_get() - read exactly @len octets, no more than spool_left().
 *
 * Return: 0, or what reading failed with.
 */
int spool_get(struct spool *spool, void *data, size_t len);

/**
 * spool_line() - read up to a newline and with it, or up to the end, if that comes first.
 * @line: gets what was read, @len octets; the spool's, until the next call
 *
 * Return: 0, also at the end, where @len is 0; -ENOMEM; or what reading failed with.
 */
int spool_line(struct spool *spool, char **line, size_t *len);

/**
 * spool_skip() - pass over @len octets, no more than spool_left().
 *
 * Return: 0, or what seeking failed with.
 */
int spool_skip(struct spool *spool, uint64_t len);

/** spool_pos() - octets read so far since the start. */
uint64_t spool_pos(const struct spool *spool);

/** spool_left() - octets yet to read. */
uint64_t spool_left(const struct spool *spool);

/** spool_cut() - whether the input went on after what was kept. */
bool spool_cut(const struct spool *spool);

/** spool_fd() - the file, for pread(); stays the spool's. */
int spool_fd(const struct spool *spool);

#endif
