/* SPDX-License-Identifier: MIT */
/*
 * successor - the xenstored that is to take the place of the one that runs: which one it is, and
 * what it would not take of what Xenstore holds.
 *
 * All of that is looked at before anything is touched. Used by xenstored replace, enter and leave.
 * Must never change anything.
 */
#ifndef XSPROXY_CTL_SUCCESSOR_H
#define XSPROXY_CTL_SUCCESSOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/options.h"
#include "ctl/program.h"
#include "migration/conversion_options.h"
#include "migration/report.h"

struct successor {
	const struct options *options;
	const struct report *report;
	json_t *domains; /* whose watches are looked at; as domain_list() has them */
	int64_t pid;	 /* of the one that runs */
	struct program running, next;

	/* --- successor.c's own */
	struct conversion_options takes;
	uint64_t losses;
};

/**
 * successor_check_type() - whether xenstored runs where it can be replaced.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int successor_check_type(const struct report *report);

/**
 * successor_ask() - have xsproxyd say what runs, and whether anything is in the way; and find the
 * one that options->with names.
 * @successor: options, report, and domains, an empty list; the rest is filled in
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int successor_ask(struct successor *successor);

/**
 * successor_agree() - say what would be lost, and whether it is to be done all the same.
 * @does: what --force does, as "replaces xenstored"
 * @go: set to whether it is to be done
 *
 * Return: 0; an exit status; or a negative errno, which has been reported.
 */
int successor_agree(struct successor *successor, const char *does, bool *go);

/**
 * successor_watches() - how many watches of a domain it takes of which the one that runs cannot be
 * asked. Return: 0: any, as by force.
 */
unsigned int successor_watches(const struct successor *successor);

#endif
