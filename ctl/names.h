/* SPDX-License-Identifier: MIT */
/*
 * names - what domains are called, as /local/domain/DOMID/name has it.
 *
 * Used by main for arguments and by what lists domains. Names are a help: without them all that is
 * shown is there with numbers. Must never wait for a xenstored that does not answer.
 */
#ifndef XSPROXY_CTL_NAMES_H
#define XSPROXY_CTL_NAMES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ctl/options.h"
#include "migration/report.h"

#define NAMES_ALL     UINT32_MAX /* domains */
#define NAMES_WAIT_MS 1000	 /* that people wait for them */

struct names;

/**
 * names_new() - begin to read them, in a process of its own.
 * @options: whose socket is asked, if there is one; else where libxenstore finds it
 * @only: of this domain alone; NAMES_ALL: of all
 * @follow: also what changes later
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int names_new(struct names **out, const struct options *options, uint32_t only, bool follow,
	      const struct report *report);

/** names_free() - NULL is fine; returns NULL. */
struct names *names_free(struct names *names);

/**
 * names_settle() - wait until all there are have been read, @ms at most; without xenstored there
 * are none.
 *
 * Return: 0; -ETIMEDOUT; -ENOMEM; or why they cannot be read, a negative errno.
 */
int names_settle(struct names *names, unsigned int ms);

/**
 * names_text() - for people.
 * @out: the name, shortened, what is not printable escaped; "(null)" where a domain has none, as xl
 * has it; "-" where nothing is known
 *
 * Return: @out.
 */
const char *names_text(struct names *names, uint32_t domid, char out[REPORT_OCTETS_MAX]);

/** names_reader() - the process that reads them; 0: none. */
pid_t names_reader(const struct names *names);

/** names_get() - as it is; or NULL: it has none, or that is not known. Valid until the next call.
 */
const char *names_get(struct names *names, uint32_t domid);

/**
 * names_join() - give an object of xsproxyd's about a domain, with "domid", a "name": a string, or
 * null.
 *
 * Return: 0 or -ENOMEM.
 */
int names_join(struct names *names, json_t *domain);

/**
 * names_ask() - the names of now, for who goes on without: names_new(), and names_settle() for
 * NAMES_WAIT_MS.
 * @out: NULL when there are none to be had, which is nobody's failure
 *
 * Return: 0, or -ENOMEM, which has been reported.
 */
int names_ask(struct names **out, const struct options *options, uint32_t only, bool follow,
	      const struct report *report);

/**
 * names_find() - the domain of a name.
 *
 * Return: 0; -ENOENT; or -ENOTUNIQ: there are several.
 */
int names_find(struct names *names, const char *name, uint32_t *domid);

#endif
