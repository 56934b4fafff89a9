/* SPDX-License-Identifier: MIT */
/*
 * picked - which exchanges of a capture are wanted, as xsproxyd picks them of what passes.
 *
 * A capture has no more than was picked when it was made; this picks of that.
 *
 * Called by ctl/cmd_trace.
 */
#ifndef XSPROXY_CTL_PICKED_H
#define XSPROXY_CTL_PICKED_H

#include "ctl/options.h"

struct picked;

/**
 * picked_new() - picks what @filter wants, which it points at; its wanted and snap are others'
 * business.
 *
 * Return: NULL when memory ran out.
 */
struct picked *picked_new(const struct filter *filter);

/** picked_free() - NULL is fine. */
void picked_free(struct picked *picked);

/**
 * picked_see() - the next frame of the capture; each is to be shown to it, in order, before the
 * exchange that it belongs to is asked for.
 *
 * Return: 0 or -ENOMEM.
 */
int picked_see(struct picked *picked, const struct view *view);

/**
 * picked_wants() - whether an exchange is wanted. Losses always are; a reply whose request is not
 * there is where any request would be.
 */
bool picked_wants(const struct picked *picked, const struct exchange *exchange);

#endif
