/* SPDX-License-Identifier: MIT */
/*
 * image - the mirror as a state that the starter takes, like what a xenstored has written of
 * itself.
 *
 * Called by exchange/. Must never change the mirror.
 */
#ifndef XSPROXY_PROXY_MEND_IMAGE_H
#define XSPROXY_PROXY_MEND_IMAGE_H

#include <stdbool.h>

struct daemon;
struct mirror;

/**
 * image_make() - all nodes, as a state of the C daemon's, which holds most, and what it has offered
 * each domain; no connections.
 * @bare: of the nodes only the root, and what is beside it
 *
 * Return: a memfd, the caller's; or a negative errno.
 */
int image_make(const struct daemon *daemon, const struct mirror *mirror, bool bare);

#endif
