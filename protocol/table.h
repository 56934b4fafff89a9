/* SPDX-License-Identifier: MIT */
/*
 * table - uthash for keys that guests choose: hashed under a key that nobody knows.
 *
 * With uthash's own functions whoever chooses the keys can have all of them collide, and make a
 * list of the table. Included by proxy/session, migration, trace and ctl instead of uthash; what is
 * keyed by domids or ports that xsproxyd knows includes that itself. Without memory an element is
 * not added, and its hh.tbl stays NULL; a table must never end the process.
 */
#ifndef XSPROXY_PROTOCOL_TABLE_H
#define XSPROXY_PROTOCOL_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM	       1
#define HASH_FUNCTION(key, len, hashv) ((hashv) = (unsigned int)table_hash(key, len))
#include <uthash.h>

/**
 * table_seed() - choose the key, at the start of the process, before there is any table. Who does
 * not call it has one that is known, for tests. Never waits for entropy if the kernel allows that.
 *
 * Return: 0, or the negative errno of getrandom().
 */
int table_seed(void);

/** table_hash() - of @len octets. */
uint64_t table_hash(const void *octets, size_t len);

#endif
