/* SPDX-License-Identifier: MIT */
/*
 * urge - has a native xenstored execute our live-update program, over its own socket.
 *
 * It does so only while no transaction is open, so it is asked again and again for a time. What
 * comes of it is heard from xsproxyd, not from the daemon: once that has executed the program
 * nobody answers us for it.
 *
 * Used by enter, which has to take back what was asked if nothing comes of it: nobody may wait for
 * the daemon to do it when it does.
 */
#ifndef XSPROXY_CTL_URGE_H
#define XSPROXY_CTL_URGE_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl/program.h"
#include "migration/interrupt.h"
#include "migration/report.h"
#include "migration/wire.h"

struct urge_request {
	enum program_kind kind;
	const char *program; /* live-update's path */
	uint32_t timeout_s;  /* how long others' transactions are waited for */
	bool force;	     /* then it does it all the same, if it is the C daemon */
	int control;	     /* of xsproxyd: once that can be read, the daemon has done it */
	const struct interrupt *interrupt;
	const struct report *report;
};

/**
 * urge_run() - ask, until xsproxyd has something to say.
 * @wire: to the daemon
 *
 * Return: 0; or a negative errno, which has been reported: urge_revoke() it.
 */
int urge_run(const struct urge_request *request, struct wire *wire);

/**
 * urge_revoke() - what was asked is not to be done any more.
 * @wire: as of urge_run(), or NULL; taken over
 * @socket: the daemon's
 *
 * Return: 0: it will not be, if it has not been done already; or a negative errno: nobody knows.
 */
int urge_revoke(enum program_kind kind, struct wire *wire, const char *socket);

/** urge_blame() - who is in the way, in words, of what a daemon answers. @size octets of @out */
void urge_blame(const char *answer, size_t len, char *out, size_t size);

#endif
