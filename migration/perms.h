/* SPDX-License-Identifier: MIT */
/*
 * perms - a node's permissions as SET_PERMS carries them.
 *
 * Called by migration/edits to set them, and by migration/intake to know whether they fit. Must
 * never check what they allow.
 */
#ifndef XSPROXY_MIGRATION_PERMS_H
#define XSPROXY_MIGRATION_PERMS_H

#include <stddef.h>

#include "migration/format/record.h"

#define PERMS_PAYLOAD_MAX 4096 /* XENSTORE_PAYLOAD_MAX */

/**
 * perms_format() - the payload of SET_PERMS behind the path: strings of a letter and a domid.
 *
 * @out, @len: get it
 *
 * Return: 0, or -E2BIG if it fits no request together with the node's path.
 */
int perms_format(const struct record_node *node, char out[PERMS_PAYLOAD_MAX], size_t *len);

#endif
