/* SPDX-License-Identifier: MIT */
/*
 * public - the socket that toolstacks connect to: systemd's, if it passes one, or one that we make.
 *
 * Called by client.c, which accepts. Must never remove a socket that systemd holds.
 */
#ifndef XSPROXY_PROXY_HOST_PUBLIC_H
#define XSPROXY_PROXY_HOST_PUBLIC_H

#include <stdbool.h>

/**
 * public_listen() - listen for toolstacks; what goes wrong has been logged.
 * @path: where, if systemd passes no socket; directories that are missing are made
 * @inherited: set to whether systemd passes one
 *
 * Return: a descriptor that the caller owns, or a negative errno.
 */
int public_listen(const char *path, bool *inherited);

#endif
