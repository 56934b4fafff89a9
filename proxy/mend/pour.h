/* SPDX-License-Identifier: MIT */
/*
 * pour - the mirror told to a xenstored that has nothing, node by node, as a toolstack would.
 *
 * Used by exchange/ where a xenstored has ended while it loaded the store as a state. A node that
 * ends it that way, too, is left out the next time. Must never change the mirror.
 */
#ifndef XSPROXY_PROXY_MEND_POUR_H
#define XSPROXY_PROXY_MEND_POUR_H

#include <stdbool.h>

struct daemon;
struct mirror;
struct pour;

/** pour_new() - nothing has been told. Return: 0 or -ENOMEM. */
int pour_new(struct pour **out, struct daemon *daemon);

/** pour_free() - NULL is fine; returns NULL. */
struct pour *pour_free(struct pour *pour);

/**
 * pour_begin() - tell all nodes but the root, from the first one on.
 * @mirror: must not change before pour_end()
 * @fd: a connection to xenstored, taken over
 *
 * Return: 0 or a negative errno.
 */
int pour_begin(struct pour *pour, const struct mirror *mirror, int fd);

/** pour_is_under_way() - since pour_begin(): its connection is there. */
bool pour_is_under_way(const struct pour *pour);

/** pour_is_done() - whether all of it was answered. */
bool pour_is_done(const struct pour *pour);

/**
 * pour_end() - what was told is told anew.
 * @died: xenstored has ended. From the first time on one node is told at a time, and one that was
 * not answered twice in a row is left out from then on.
 */
void pour_end(struct pour *pour, bool died);

#endif
