/* SPDX-License-Identifier: MIT */
/*
 * conversion_options - what a conversion (conversion.h) is to make, and of what.
 */
#ifndef XSPROXY_MIGRATION_CONVERSION_OPTIONS_H
#define XSPROXY_MIGRATION_CONVERSION_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/format/state_stream.h"

#define CONVERSION_OX_VALUE 2048 /* octets; quota-maxsize of oxenstored.conf */
#define CONVERSION_PATH	    2048 /* octets that daemons serve by default */
#define CONVERSION_OX_WATCHES                                              \
	101 /* of a domain; it compares with quota-maxwatch = 100 too late \
	     */

struct conversion_options {
	enum state_format to;
	bool one;		  /* of one domain alone: what is global is left out, too */
	uint16_t domid;		  /* that one */
	const char *const *roots; /* nodes at and below these, besides the domain's home */
	size_t nr_roots;
	size_t max_value;	  /* what oxenstored takes; 0: CONVERSION_OX_VALUE */
	unsigned int max_watches; /* 0: CONVERSION_OX_WATCHES */
	bool pass_odd;		  /* permissions of what is no domain go without a word */
	size_t max_path;	  /* what the daemon serves, which may take more; 0: that */
};

#endif
