/* SPDX-License-Identifier: MIT */
/*
 * pick - what a message is about, for who wants only some: the same for xsproxyd, which shows what
 * passes, and for xsproxyctl, which reads it back.
 *
 * Called by proxy/observe/trace and ctl/picked. Must never read beyond the octets that are there.
 */
#ifndef XSPROXY_TRACE_PICK_H
#define XSPROXY_TRACE_PICK_H

#include <stdbool.h>
#include <stdint.h>

/**
 * pick_is_below() - whether a request or event begins with a path that, made absolute, is @prefix
 * or below it.
 * @prefix: absolute, or @...; slashes at its end do not count
 * @domid: whose a relative path is
 * @payload: @len octets of it are there
 */
bool pick_is_below(const char *prefix, uint32_t domid, uint32_t type, const void *payload,
		   uint32_t len);

/**
 * pick_carried() - the request of ours that a request carries as text (docs/protocol.md, "By
 * CONTROL").
 *
 * Return: its type, or 0 when it carries none.
 */
uint32_t pick_carried(uint32_t type, const void *payload, uint32_t len);

#endif
