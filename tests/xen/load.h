/* SPDX-License-Identifier: MIT */
/*
 * load - what guests do in `make bench-xen`, see load.c.
 */
#ifndef XSPROXY_TESTS_XEN_LOAD_H
#define XSPROXY_TESTS_XEN_LOAD_H

/* The exit status, of a failure only. */
int load(void);

#endif
