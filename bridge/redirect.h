/* SPDX-License-Identifier: MIT */
/*
 * redirect - xenstored's own socket lives below the run directory, so that xsproxyd can own the
 * public name.
 *
 * The OCaml daemon's socket path is compiled in, the C daemon's comes from XENSTORED_PATH; either
 * way the names that it binds, unlinks and chmods come through here. Works before the wake-up: both
 * daemons bind their socket before they open their event channels.
 *
 * Called by interpose_libc.c, and by bridge.c when the bridge has given up. Must never lead another
 * name elsewhere.
 */
#ifndef XSPROXY_BRIDGE_REDIRECT_H
#define XSPROXY_BRIDGE_REDIRECT_H

#include <stdbool.h>
#include <sys/socket.h>

struct bridge;

/**
 * redirect_path() - the name to use instead of @path.
 *
 * Return: @path itself unless it is the daemon's socket; lives as long as the bridge.
 */
const char *redirect_path(struct bridge *b, const char *path);

/** redirect_bind() - bind(), at the redirected path, 0600 from birth. Return: as bind(). */
int redirect_bind(struct bridge *b, int fd, const struct sockaddr *addr, socklen_t len);

/**
 * redirect_give_back() - make the public name lead to the socket that was bound below the run
 * directory, because nobody else will: the bridge has given up.
 */
void redirect_give_back(struct bridge *b);

/** redirect_is_kva() - whether @path names dom0's page, and that is to be a back ring. */
bool redirect_is_kva(const struct bridge *b, const char *path);

#endif
