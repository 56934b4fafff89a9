/* SPDX-License-Identifier: MIT */
/*
 * player_same - whether two answers to a request are the same, as far as two daemons, or the same
 * one twice, can give the same.
 *
 * Called by ctl/player.
 */
#ifndef XSPROXY_CTL_PLAYER_SAME_H
#define XSPROXY_CTL_PLAYER_SAME_H

#include "migration/wire.h"
#include "trace/view.h"

/**
 * player_same() - compare. Not looked at are the ids of transactions, generations of nodes, the
 * order of children, who a node's owner is, and what the capture has not kept.
 * @type: of the request
 * @answer: its reply in the capture
 * @here: the other one
 *
 * Return: 1 if they are the same, 0 if not, or -ENOMEM.
 */
int player_same(uint32_t type, const struct view *answer, const struct wire_reply *here);

#endif
