/* SPDX-License-Identifier: MIT */
/*
 * sift - which of the events that wait for a domain only the watches of a failed batch explain.
 *
 * There may be 4 MiB of events and thousands of watches to compare each with, so it is done some a
 * turn. Nothing changes before sift_end(), which drops them in one commit; who dies before begins
 * anew. Used by batch.c, while nothing goes to the front.
 */
#ifndef XSPROXY_PROXY_TOOLSTACK_SIFT_H
#define XSPROXY_PROXY_TOOLSTACK_SIFT_H

#include <stdbool.h>
#include <stdint.h>

struct session;
struct sift;

/**
 * sift_new() - begin.
 * @batch: the batch whose watches explain nothing
 *
 * Return: 0 or -ENOMEM.
 */
int sift_new(struct sift **out, struct session *target, uint32_t batch);

/** sift_free() - NULL is fine; returns NULL. */
struct sift *sift_free(struct sift *sift);

/** sift_some() - look at some more. Return: whether all that waits has been looked at. */
bool sift_some(struct sift *sift);

/**
 * sift_end() - drop what is to go, after sift_some() said that all has been looked at, and while no
 * message is under way from upstream.
 *
 * Return: 0, or -ENOMEM (nothing has changed).
 */
int sift_end(struct sift *sift);

#endif
