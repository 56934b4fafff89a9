/* SPDX-License-Identifier: MIT */
/*
 * channels - what is at the other end of an event channel of dom0's.
 *
 * A native C daemon's state has the local ports of rings alone, and xsproxyd binds those of
 * domains. Xen knows both as long as the local one is open. Asked by libxencall, for libxenevtchn
 * has no word for it.
 *
 * Called by entering.c. Must never change anything in Xen.
 */
#ifndef XSPROXY_STARTER_CHANNELS_H
#define XSPROXY_STARTER_CHANNELS_H

#include <stdint.h>

struct channels;

/** channels_new() - Return: it, or NULL without memory. Nothing is opened before it is needed. */
struct channels *channels_new(void);

/** channels_free() - free @channels, which may be NULL. */
void channels_free(struct channels *channels);

/**
 * channels_remote() - the port of a domain that a local port is connected to.
 * @opaque: of channels_new(); an inventory_remote_fn has it so
 * @local: whoever has it bound
 *
 * Return: the port; 0, if that domain has closed it, or is gone; -EBADMSG, if the local port
 * belongs to anything else; or another negative errno, if Xen does not answer.
 */
int channels_remote(void *opaque, uint16_t domid, uint32_t local);

#endif
