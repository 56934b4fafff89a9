/* SPDX-License-Identifier: MIT */
/*
 * device - how a domain's devices get on: both ends of each, as xenbus has them in the store, and
 * who is to do the next step.
 *
 * Used by why. Reads with libxenstore, which waits for an answer as long as it takes. What a guest
 * wrote is only ever read: a backend is where the guest says, if the backend says so, too.
 */
#ifndef XSPROXY_CTL_DEVICE_H
#define XSPROXY_CTL_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct xs_handle;

#define DEVICE_NO_STATE (-1) /* no node, or nothing that is one */

struct device {
	char *name; /* "vif/0", as the guest has it */
	int front;
	char *backend; /* its path; NULL: there is no link to one */
	int back;
	bool points_back;    /* the backend's link is to this device */
	char *error;	     /* what the guest's driver wrote, or NULL */
	char *backend_error; /* the backend's */
};

/**
 * device_each() - call @fn for each device of a domain, in the store's order, until it returns
 * another value than 0.
 *
 * Return: that, or 0; or a negative errno: the store cannot be read.
 */
int device_each(struct xs_handle *xs, uint32_t domid,
		int (*fn)(void *arg, const struct device *device), void *arg);

/** device_state_name() - "Connected"; "none" for DEVICE_NO_STATE; "?" for what is no state. */
const char *device_state_name(int state);

/** device_why() - what it waits for, for people. */
const char *device_why(const struct device *device);

#endif
