/* SPDX-License-Identifier: MIT */
/*
 * domain_list - all domains, or all toolstack clients, from as many pages as it takes; and whether
 * a domain is among them.
 *
 * Used by the commands.
 */
#ifndef XSPROXY_CTL_DOMAIN_LIST_H
#define XSPROXY_CTL_DOMAIN_LIST_H

#include <jansson.h>

#include "ctl/control.h"

/**
 * domain_list() - have `domains` carried out.
 * @all: a list, which they are added to; NULL means that memory ran out
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int domain_list(struct control *control, json_t *all, const struct report *report);

/**
 * domain_list_wanted() - the domain that @options name, or all if they name none.
 * @all: a list, which they are added to; NULL means that memory ran out
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int domain_list_wanted(const struct options *options, json_t *all, const struct report *report);

/** client_list() - likewise `clients`. */
int client_list(struct control *control, json_t *all, const struct report *report);

/**
 * domain_introduced() - find out whether a domain is introduced, without a word if it is not.
 * @is: set
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int domain_introduced(struct control *control, uint16_t domid, bool *is,
		      const struct report *report);

#endif
