/* SPDX-License-Identifier: MIT */
/*
 * remake_conns - the connections of the state that a remake makes: the rings and sockets of its
 * plan, each with the watches and octets that the plan has of it.
 *
 * Called by remake.c alone. Must never take a connection from the state that is read, but what that
 * knows of the plan's rings.
 */
#ifndef XSPROXY_STARTER_REMAKE_CONNS_H
#define XSPROXY_STARTER_REMAKE_CONNS_H

#include "starter/remake_put.h"

/** remake_conns_learn() - note what the state says of a connection, if that is one of the plan's
 * rings. */
void remake_conns_learn(const struct remake *remake, const struct state_connection *connection);

/** remake_conns_learn_node() - the same of a node: it may say where a ring is. */
void remake_conns_learn_node(const struct remake *remake, const struct record_node *node);

/**
 * remake_conns_put() - write all that the plan has, after all was learnt.
 *
 * Return: 0; -EBUSY, if oxenstored has no place for something, which names whose it is; or another
 * negative errno.
 */
int remake_conns_put(struct remake *remake);

#endif
