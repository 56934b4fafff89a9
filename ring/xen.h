/* SPDX-License-Identifier: MIT */
/*
 * xen - the real pages and event channels of guests, by libxengnttab and libxenevtchn.
 *
 * Called by proxy/host/ only, and freed with the daemon. Opened at the first attach, since the
 * service is up before /dev/xen is. Never keeps a page or a port that it was not asked for: a
 * mapping that outlives its domain leaves a "(null)" zombie in `xl list`.
 */
#ifndef XSPROXY_RING_XEN_H
#define XSPROXY_RING_XEN_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/io/xs_wire.h>

struct xen;

/**
 * xen_open() - open the grant table and the event channel device.
 * @out: the handle; the caller calls xen_free()
 *
 * Return: 0, or a negative errno: the devices are not there, or not for us.
 */
int xen_open(struct xen **out);

/** xen_free() - close both devices, which unbinds every port. NULL is fine; returns NULL. */
struct xen *xen_free(struct xen *xen);

/**
 * xen_anew() - open the event channels' device anew: all that was bound in the one before is
 * unbound, be it by us or by somebody else who had it.
 *
 * Return: 0, or a negative errno: then all is as it was.
 */
int xen_anew(struct xen *xen);

/** xen_fd() - the descriptor that is readable while an event is pending. */
int xen_fd(struct xen *xen);

/**
 * xen_map() - map a domain's Xenstore page: grant reference 1, or dom0's own.
 * @page: the page; the caller calls xen_unmap()
 *
 * Return: 0, or a negative errno.
 */
int xen_map(struct xen *xen, uint32_t domid, struct xenstore_domain_interface **page);

/** xen_unmap() - the reverse of xen_map(). */
void xen_unmap(struct xen *xen, uint32_t domid, struct xenstore_domain_interface *page);

/**
 * xen_bind() - bind a domain's event channel.
 * @remote_port: the domain's port
 *
 * Return: our local port, which is pending once at first; or a negative errno.
 */
int xen_bind(struct xen *xen, uint32_t domid, uint32_t remote_port);

/** xen_exists() - whether Xen has a domain, be it a dying one; true if that cannot be told. */
bool xen_exists(struct xen *xen, uint32_t domid);

/** xen_unbind() - close a local port. */
void xen_unbind(struct xen *xen, uint32_t port);

/** xen_notify() - send an event; one to a port that nobody holds any more is lost. */
void xen_notify(struct xen *xen, uint32_t port);

/**
 * xen_pending() - take one pending event and unmask its port, so that the ring is to be examined
 * after this call.
 *
 * Return: the local port, or a negative errno: -EAGAIN when none is pending.
 */
int xen_pending(struct xen *xen);

#endif
