/* SPDX-License-Identifier: MIT */
/*
 * failed - the domains that xenstored has and we could not take up, and why.
 *
 * Part of domain.c's state; shown by domain_state.c. A reason goes when the domain is taken up or
 * ends, so there are no more than domains. Without memory there is no reason, and no harm. Must
 * never decide whether a domain is tried again.
 */
#ifndef XSPROXY_PROXY_HOST_FAILED_H
#define XSPROXY_PROXY_HOST_FAILED_H

#include <stdint.h>

struct failed; /* NULL: none */

/**
 * failed_note() - log that a domain cannot be served, and remember it.
 * @level: as in log_line()
 * @fmt: the reason, as users shall read it
 */
void failed_note(struct failed **table, int level, uint32_t domid, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/** failed_forget() - the domain has been taken up, or is gone. */
void failed_forget(struct failed **table, uint32_t domid);

/** failed_forget_all() - there is no xenstored any more. */
void failed_forget_all(struct failed **table);

/** failed_reason() - Return: what was noted; valid until it is forgotten. NULL: nothing. */
const char *failed_reason(const struct failed *table, uint32_t domid);

#endif
