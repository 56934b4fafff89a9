/* SPDX-License-Identifier: MIT */
/*
 * virq - VIRQ_DOM_EXC, by which Xen tells of domains that end, in event channels that are handed
 * on.
 *
 * oxenstored is told its port there with the others; the C daemon binds it itself. Xen lets it be
 * bound once, so who hands them on must not have it.
 *
 * Called by restore.c. Must never close what it is given.
 */
#ifndef XSPROXY_STARTER_VIRQ_H
#define XSPROXY_STARTER_VIRQ_H

#include <stdint.h>

#include "starter/reason.h"

/**
 * virq_bind() - bind it.
 * @evtchn: a descriptor of the event channels' device
 * @port: gets where
 * @reason: gets why not
 *
 * Return: 0 or a negative errno.
 */
int virq_bind(int evtchn, uint32_t *port, struct reason *reason);

/** virq_unbind() - undo it, so that another daemon can. */
void virq_unbind(int evtchn, uint32_t port);

#endif
