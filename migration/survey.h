/* SPDX-License-Identifier: MIT */
/*
 * survey - what the running Xenstore has that another daemon would not take.
 *
 * Reads the store as any toolstack may, node by node, and makes of each what a conversion
 * (conversion.h) makes of it in a state; watches likewise. Nothing is kept but what is under way.
 * It is no snapshot: what changes meanwhile may be missed.
 *
 * Called by whoever is about to exchange one daemon for another. Must never write to the store.
 */
#ifndef XSPROXY_MIGRATION_SURVEY_H
#define XSPROXY_MIGRATION_SURVEY_H

#include "migration/conversion_options.h"
#include "migration/omissions.h"
#include "migration/report.h"
#include "migration/wire.h"

struct survey;

/**
 * survey_new() - before anything is looked at.
 * @out: gets it; survey_free() it
 * @wire: a connection that outlives it
 * @ox: the daemon that runs is oxenstored, which has special watches among the nodes
 * @options: what the other daemon takes; outlives it
 * @omissions: told what would be lost; outlives it
 * @report: told about failures; outlives it
 *
 * Return: 0 or -ENOMEM.
 */
int survey_new(struct survey **out, struct wire *wire, bool ox,
	       const struct conversion_options *options, struct omissions *omissions,
	       const struct report *report);

/** survey_free() - free @survey, which may be NULL. */
void survey_free(struct survey *survey);

/** survey_nodes() - look at all nodes. Return: 0, or a negative errno, which has been reported. */
int survey_nodes(struct survey *survey);

/**
 * survey_watches() - look at the watches of a domain, if it is introduced still.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int survey_watches(struct survey *survey, uint16_t domid);

#endif
