/* SPDX-License-Identifier: MIT */
/*
 * site - where xsproxyd and toolstacks' socket are on this host, by xsproxyd's configuration: for
 * commands that begin when there is no xsproxyd yet, or end when there is none any more.
 *
 * Used by enter and leave.
 */
#ifndef XSPROXY_CTL_SITE_H
#define XSPROXY_CTL_SITE_H

#include <limits.h>
#include <stdbool.h>

#include "config/config.h"
#include "ctl/options.h"
#include "migration/report.h"

struct site {
	struct config config;
	struct options options; /* as they were given, with sockets; not to be freed */
};

/**
 * site_read() - as the file has it that options->config names, for root alone.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int site_read(struct site *site, const struct options *options, const struct report *report);

/**
 * site_lock() - nobody else enters or leaves until this process ends.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int site_lock(const struct site *site, const struct report *report);

/** site_path() - of a file in xsproxyd's directory. */
void site_path(const struct site *site, const char *name, char path[PATH_MAX]);

/** site_make() - make an empty file there, and the directory. Return: 0 or a negative errno. */
int site_make(const struct site *site, const char *name);

/** site_link() - likewise a symbolic link, in place of one that is there. */
int site_link(const struct site *site, const char *name, const char *to);

/** site_drop() - remove a file there. Return: whether there was one. */
bool site_drop(const struct site *site, const char *name);

#endif
