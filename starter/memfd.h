/* SPDX-License-Identifier: MIT */
/*
 * memfd - memfds that go to xsproxyd, and what comes from it in one.
 */
#ifndef XSPROXY_STARTER_MEMFD_H
#define XSPROXY_STARTER_MEMFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/**
 * memfd_copy() - all of a file, from its start, in a memfd that nobody can change any more.
 * @fd: stays the caller's
 *
 * Return: the memfd, or a negative errno.
 */
int memfd_copy(int fd);

/**
 * memfd_file() - a memfd that is written.
 * @out: gets what to write to; fclose() it
 *
 * Return: the memfd, or a negative errno.
 */
int memfd_file(FILE **out);

/** memfd_seal() - nobody can change it any more. Return: 0 or a negative errno. */
int memfd_seal(int memfd);

/** memfd_is() - whether a file has what is in a memfd. @fd: of the file */
bool memfd_is(int memfd, int fd);

/** memfd_put() - write all that is in a memfd to @fd. Return: 0 or a negative errno. */
int memfd_put(int memfd, int fd);

/** memfd_text() - a memfd with @text, without its NUL. Return: it, or a negative errno. */
int memfd_text(const char *text);

/**
 * memfd_octets() - what is in a memfd.
 * @out: gets it, and one octet more, a NUL; free() it
 * @len: gets how many octets there are
 * @fd: stays the caller's
 * @max: octets
 *
 * Return: 0; -EFBIG, if there is more; -ENOMEM; or what reading failed with.
 */
int memfd_octets(uint8_t **out, size_t *len, int fd, size_t max);

/**
 * memfd_string() - what is in a memfd, as a string.
 * @out: gets it; free() it
 * @fd, @max: as of memfd_octets()
 *
 * Return: as memfd_octets(); -EBADMSG, if there is a NUL in it.
 */
int memfd_string(char **out, int fd, size_t max);

#endif
