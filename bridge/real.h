/* SPDX-License-Identifier: MIT */
/*
 * real - the functions that the bridge stands in front of.
 *
 * Each finds its namesake in the libraries behind this one (dlsym RTLD_NEXT; cached) and calls it
 * with the same arguments. Where there is none they fail with ENOSYS.
 *
 * Called by the other files of the bridge. Must never decide anything: interpose_*.c do.
 */
#ifndef XSPROXY_BRIDGE_REAL_H
#define XSPROXY_BRIDGE_REAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <xenevtchn.h>
#include <xengnttab.h>

xenevtchn_handle *real_evtchn_open(struct xentoollog_logger *logger, unsigned int flags);
int real_evtchn_close(xenevtchn_handle *xce);
int real_evtchn_fd(xenevtchn_handle *xce);
int real_evtchn_notify(xenevtchn_handle *xce, evtchn_port_t port);
xenevtchn_port_or_error_t real_evtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq);
int real_evtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port);
int real_evtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port);
xenevtchn_port_or_error_t real_evtchn_pending(xenevtchn_handle *xce);
xenevtchn_port_or_error_t real_evtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
						       evtchn_port_t remote_port);

void *real_gnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot);
int real_gnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count);

struct xc_interface_core; /* xc_interface; xenctrl.h wants to come before every other Xen header */

void *real_map_foreign_range(struct xc_interface_core *xch, uint32_t domid, int size, int prot,
			     unsigned long mfn);

int real_open(const char *path, int flags, mode_t mode);
int real_open64(const char *path, int flags, mode_t mode);
int real_bind(int fd, const struct sockaddr *addr, socklen_t len);
int real_unlink(const char *path);
int real_chmod(const char *path, mode_t mode);
int real_munmap(void *addr, size_t len);

#endif
