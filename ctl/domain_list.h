/* SPDX-License-Identifier: MIT */
/*
 * domain_list - all domains, from as many pages as it takes.
 *
 * Used by the commands.
 */
#ifndef XSPROXY_CTL_DOMAIN_LIST_H
#define XSPROXY_CTL_DOMAIN_LIST_H

#include <jansson.h>

#include "ctl/control.h"

/*
 * Have `domains` carried out.
 *
 * @all: a list, which they are added to; NULL means that memory ran out
 *
 * Returns 0, or a negative errno, which has been reported.
 */
int domain_list(struct control *control, json_t *all, const struct report *report);

#endif
