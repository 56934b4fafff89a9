/* SPDX-License-Identifier: MIT */
/*
 * conversion_node - what a conversion remembers, and what becomes of nodes in it. Called by
 * conversion.c alone.
 */
#ifndef XSPROXY_MIGRATION_CONVERSION_NODE_H
#define XSPROXY_MIGRATION_CONVERSION_NODE_H

#include "migration/conversion_options.h"
#include "migration/omissions.h"
#include "migration/pathset.h"
#include "text/buffer.h"

#define CONVERSION_DOMIDS (UINT16_MAX + 1)

struct conversion {
	const struct conversion_options *options;
	struct omissions *omissions;
	bool has_ports;		  /* the handle of event channels goes along */
	struct pathset *left_out; /* nodes, and with each what is below */
	bool plain;		  /* there is a node with a special watch's path */
	struct buffer perms;	  /* of the current node */
	uint32_t watches[CONVERSION_DOMIDS];
	bool owners[CONVERSION_DOMIDS]; /* that have a connection, or were told about */
};

/** conversion_node_owner() - a domain that is there, and may own nodes. */
void conversion_node_owner(struct conversion *conversion, uint16_t domid);

/** conversion_node() - conversion_item() of a node. */
int conversion_node(struct conversion *conversion, struct state_node *node);

#endif
