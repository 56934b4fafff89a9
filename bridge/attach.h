/* SPDX-License-Identifier: MIT */
/*
 * attach - what xenstored maps and binds of a domain, kept in the domain's struct rings_attach.
 *
 * Each change is first written to the rings' attach words, then told to xsproxyd (owner.h), so that
 * one who connects at any moment reads the same that a connected one was told. While awake only;
 * domids are below ARENA_DOMID_MAX.
 *
 * Called by interpose_xen.c and interpose_libc.c, and asked by doorbell.c. Must never tell xsproxyd
 * what is not written yet.
 */
#ifndef XSPROXY_BRIDGE_ATTACH_H
#define XSPROXY_BRIDGE_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

struct bridge;
struct xenstore_domain_interface;

/**
 * attach_map() - give xenstored a zeroed back ring for a domain, or a claimed one as it is
 * (adopt.h).
 * @gfn: as the daemon named it; 0 where it maps grants
 * @page: set to the ring
 *
 * Return: 0 (also provisionally, while nobody is connected), or a negative errno.
 */
int attach_map(struct bridge *b, uint32_t domid, uint64_t gfn, void **page);

/**
 * attach_bind() - connect a mapped domain's virtual port, unless that is a claim (adopt.h).
 *
 * Return: 0 (also provisionally), or the negative errno that xsproxyd answered.
 */
int attach_bind(struct bridge *b, uint32_t domid, uint32_t remote_port);

/** attach_unbind() - disconnect the port; nothing happens where it is not bound. */
void attach_unbind(struct bridge *b, uint32_t domid);

/** attach_unmap() - unbind, then forget the mapping; nothing happens where there is none. */
void attach_unmap(struct bridge *b, uint32_t domid);

/** attach_ring() - the back ring of a mapped domain. */
struct xenstore_domain_interface *attach_ring(const struct bridge *b, uint32_t domid);

bool attach_is_mapped(const struct bridge *b, uint32_t domid);
bool attach_is_bound(const struct bridge *b, uint32_t domid);

/** attach_domid_at() - whose back ring @addr is in. Return: the domid, or -1. Cheap. */
int attach_domid_at(const struct bridge *b, const void *addr);

/** attach_bystander() - a virtual port that is bound, whose spurious event does no harm, or -1. */
int attach_bystander(const struct bridge *b);

#endif
