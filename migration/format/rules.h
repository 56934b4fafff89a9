/* SPDX-License-Identifier: MIT */
/*
 * rules - what the values in a record have to look like, whatever the format.
 *
 * docs/protocol.md, "Migration stream", lists what a reader refuses; Xen's xenstore.txt says which
 * paths are valid. Each rule stands alone, over plain memory, so the encoder, the decoder and the
 * import policy share it. Called by libxl_record.c and migration/confine.c. Must never allocate,
 * or read beyond the length given: values are not NUL-terminated.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_RULES_H
#define XSPROXY_MIGRATION_FORMAT_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "migration/format/record.h"

#define RULES_PATH_MAX 3072 /* octets; Xen's docs/misc/xenstore.txt forbids longer paths */

/*
 * The form of every rule.
 *
 * @value: @len items: octets of a path or token, permissions, or one uint32_t
 * @at: added to the offset of a fault: where the value begins
 * @fault: may be NULL; gets the first offending octet and the reason
 *
 * Return: 0, or -EBADMSG.
 */
typedef int (*rules_fn)(const void *value, size_t len, size_t at, struct record_fault *fault);

/**
 * rules_node_path() - absolute, of [A-Za-z0-9-/_@], no "//", no '/' at the end except of "/", at
 * most RULES_PATH_MAX octets. Return: of this and all rules below as rules_fn says.
 */
int rules_node_path(const void *value, size_t len, size_t at, struct record_fault *fault);

/** rules_path_below() - whether @path is @root, or below it; both are absolute. No rule. */
bool rules_path_below(const char *path, size_t len, const char *root, size_t root_len);

/** rules_watch_path() - as a node's path, or relative, or '@' and anything but NUL. */
int rules_watch_path(const void *value, size_t len, size_t at, struct record_fault *fault);

/** rules_token() - anything but NUL, also nothing at all. */
int rules_token(const void *value, size_t len, size_t at, struct record_fault *fault);

/**
 * rules_perms() - at least one struct record_perm, each with a letter of "wrbn" and a pad octet of
 * 0.
 */
int rules_perms(const void *value, size_t len, size_t at, struct record_fault *fault);

/** rules_tx_id() - one uint32_t in host order that is not 0. */
int rules_tx_id(const void *value, size_t len, size_t at, struct record_fault *fault);

#endif
