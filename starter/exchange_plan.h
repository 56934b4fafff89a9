/* SPDX-License-Identifier: MIT */
/*
 * exchange_plan - what xsproxyd wants of the daemon that is to be (link/start.h): which one, and
 * which rings its state has to have; where xsproxyd leaves (link/conns.h), also which sockets, and
 * what each of all of them goes on with.
 *
 * Must never guess: a plan with anything that is not known is refused as a whole.
 */
#ifndef XSPROXY_STARTER_EXCHANGE_PLAN_H
#define XSPROXY_STARTER_EXCHANGE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/conns.h"
#include "starter/reason.h"

#define EXCHANGE_DOMIDS	   0x7ff0 /* DOMID_FIRST_RESERVED: what is above is no domain's */
#define EXCHANGE_PLAN_MAX  ((size_t)4 << 20) /* octets: a long line for each domain that can be */
#define EXCHANGE_CONNS_MAX ((size_t)1 << 30) /* octets: far more than xsproxyd ever keeps */

struct exchange_ring {
	uint16_t domid;
	uint32_t port;	/* the domain's own */
	uint32_t local; /* what is bound to it; to a bridge, the virtual one */
	int64_t gfn;
	bool has_target;
	uint16_t target;
	struct conns_view has; /* to a bridge, nothing */
};

struct exchange_socket {
	int fd; /* somebody else's */
	struct conns_view has;
};

struct exchange_plan {
	char *daemon;	 /* path, or name of daemon_beside(); NULL: what is configured */
	char *arguments; /* the words of `arguments`, with blanks between them; NULL: none */
	struct exchange_ring *rings;
	size_t nr_rings;
	struct exchange_socket *sockets;
	size_t nr_sockets;
	uint8_t *octets;		 /* where what they have lies */
	uint16_t index[EXCHANGE_DOMIDS]; /* by domid: of its ring, counted from 1; 0: none */
};

/**
 * exchange_plan_read() - read a plan.
 * @out: gets it; exchange_plan_free() it
 * @fd: a memfd; stays the caller's
 * @reason: gets why not
 *
 * Return: 0; -EBADMSG for a plan that is not as link/start.h says; or another negative errno.
 */
int exchange_plan_read(struct exchange_plan **out, int fd, struct reason *reason);

/**
 * exchange_plan_conns() - read what connections have.
 * @out: gets it; exchange_plan_free() it
 * @fd: a memfd; stays the caller's
 * @sockets: those that came along, @nr of them; they stay the caller's
 * @reason: gets why not
 *
 * Return: 0; -EBADMSG for what is not as link/conns.h says, or names other sockets; or another
 * negative errno.
 */
int exchange_plan_conns(struct exchange_plan **out, int fd, const int *sockets, size_t nr,
			struct reason *reason);

/** exchange_plan_free() - free @plan, which may be NULL. */
void exchange_plan_free(struct exchange_plan *plan);

/** exchange_plan_ring() - the ring of a domain, or NULL. */
const struct exchange_ring *exchange_plan_ring(const struct exchange_plan *plan, uint32_t domid);

#endif
