/* SPDX-License-Identifier: MIT */
/*
 * callers - who is behind what a trace shows: the domain's name, the program of a toolstack's
 * connection; and which connection is our own, and not to be shown.
 *
 * Used by trace and flight. Asks xsproxyd over a connection of its own, a few times a second at
 * most.
 */
#ifndef XSPROXY_CTL_CALLERS_H
#define XSPROXY_CTL_CALLERS_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl/names.h"
#include "trace/frame.h"

struct callers;

/**
 * callers_new() - before frames are asked for, so that its own requests are not among them.
 * @only: names of this domain alone; NAMES_ALL: of all, and what changes
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int callers_new(struct callers **out, const struct options *options, uint32_t only,
		const struct report *report);

/** callers_free() - NULL is fine; returns NULL. */
struct callers *callers_free(struct callers *callers);

/** callers_domain() - the name of a domain as names_get() has it, or NULL. @callers: may be NULL */
const char *callers_domain(struct callers *callers, uint32_t domid);

/**
 * callers_program() - the program behind a frame of a toolstack's connection; or NULL. Valid until
 * the next call. @callers: may be NULL
 */
const char *callers_program(struct callers *callers, const struct frame *frame);

/** callers_is_own() - whether a frame is of our own. @callers: may be NULL */
bool callers_is_own(struct callers *callers, const struct frame *frame);

#endif
