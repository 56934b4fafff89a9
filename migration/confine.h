/* SPDX-License-Identifier: MIT */
/*
 * confine - what an import may write (docs/protocol.md, "Migration stream").
 *
 * Import writes with dom0's rights, so it trusts no stream. A node may lie only in the home of the
 * domain that is imported, /local/domain/<domid>, or in a root from the command line: no guest has
 * others in its stream, so one with others is refused. Permissions name that domain, domain 0,
 * domains that the command line maps, and all domains (MESSAGE_DOMID_ANY, which owns nothing); a
 * guest can set them for any number, so others are left out, unless they are to be kept. Where that
 * is the owner, domain 0 takes its place.
 *
 * A map OLD=NEW says that domain OLD of the stream's host is domain NEW here. It rewrites
 * /local/domain/OLD at the start of node paths and of absolute watch paths, and the domids in
 * permissions; it never touches numbers anywhere else in a path, or values, unless they are to be
 * mapped: then those that are such a path and nothing else, as `backend` is. NEW alone then means
 * nothing: a stream that names it without a map means some other domain of its host, so nodes
 * there are refused and permissions for it left out (0 stays 0). Watches carry no right to read
 * what they name, and are not confined.
 *
 * Called by import for every record, first to check all, then to apply. Must never touch a store.
 */
#ifndef XSPROXY_MIGRATION_CONFINE_H
#define XSPROXY_MIGRATION_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/format/record.h"
#include "migration/format/rules.h"
#include "migration/omissions.h"

#define CONFINE_DOMID_MAX 0x7fef /* what follows is reserved by Xen */

struct confine;

struct confine_map {
	uint16_t from; /* on the stream's host */
	uint16_t to;   /* here */
};

/**
 * confine_map_parse() - parse "OLD=NEW": two plain decimal numbers up to CONFINE_DOMID_MAX, without
 * signs, spaces or leading zeroes.
 *
 * Return: 0, or -EINVAL with @map undefined.
 */
int confine_map_parse(struct confine_map *map, const char *text);

/**
 * confine_new() - a policy without maps and roots.
 * @out: gets the policy; confine_free() it
 * @domid: the domain here, 1 to CONFINE_DOMID_MAX
 *
 * Return: 0, -EINVAL for @domid, or -ENOMEM.
 */
int confine_new(struct confine **out, uint16_t domid);

/** confine_free() - free @confine, which may be NULL. */
void confine_free(struct confine *confine);

/**
 * confine_add_map() - add a map; a copy is kept.
 *
 * Return: 0; -EINVAL for a domid above CONFINE_DOMID_MAX; -EEXIST if another map has the same @from
 * or @to, since two domains must not become one; or -ENOMEM.
 */
int confine_add_map(struct confine *confine, const struct confine_map *map);

/**
 * confine_add_root() - allow nodes at and below @path, as it is named here; a copy is kept.
 *
 * Return: 0; -EINVAL for a path that no node can have; or -ENOMEM.
 */
int confine_add_root(struct confine *confine, const char *path);

/** confine_has_any() - whether a record that was rewritten so far has MESSAGE_DOMID_ANY. */
bool confine_has_any(const struct confine *confine);

/**
 * confine_drop_any() - xenstored ends when a toolstack tells it of MESSAGE_DOMID_ANY.
 * @omissions: told of each from now on, whoever else is told of what
 */
void confine_drop_any(struct confine *confine, struct omissions *omissions);

/** confine_keep_perms() - keep permissions for domains that are not mapped. */
void confine_keep_perms(struct confine *confine);

/**
 * confine_path_home() - if @path is in a domain's home, how many octets of it name the home, whose
 * @domid is; else 0.
 */
size_t confine_path_home(const char *path, size_t len, uint16_t *domid);

/** confine_map_values() - rewrite values that are a path in the home of a domain that is mapped. */
void confine_map_values(struct confine *confine);

/**
 * confine_is_foreign() - whether a node of the stream belongs to a domain whose number here is not
 * known. Of the home plan_decide() says whose it is.
 */
bool confine_is_foreign(const struct confine *confine, const struct record_node *node);

/** confine_is_home() - whether a path is the home of the domain that is imported. */
bool confine_is_home(const struct confine *confine, const char *path, size_t len);

/**
 * confine_is_asked() - whether the command line asks for nodes at @path: it has a root there or
 * above that is not the home or above the home.
 */
bool confine_is_asked(const struct confine *confine, const char *path, size_t len);

/**
 * confine_map_path() - rewrite the absolute path @path of @len octets if it is in the home of a
 * domain that is mapped.
 * @out: gets the path, also an unchanged one; not NUL-terminated
 * @out_len: gets its octets
 *
 * Return: 0; -EPERM if it is in the home of a NEW that is no OLD; or -ENAMETOOLONG if it grows
 * beyond RULES_PATH_MAX.
 */
int confine_map_path(const struct confine *confine, const char *path, size_t len,
		     char out[RULES_PATH_MAX], size_t *out_len);

/**
 * confine_record() - check and rewrite one record.
 * @in: as a reader gave it, so it obeys rules.h
 * @out: what to import; points into @in's memory and into @confine's, until the next call
 * @omissions: told about permissions that are left out and values that are rewritten; NULL:
 *	nobody is
 * @fault: may be NULL; for the first two errors gets the reason (and offset 0: see
 *	libxl_reader_locate())
 *
 * Return: 0; -EBADMSG if the policy forbids it; -ENAMETOOLONG if its path is too long once it is
 * mapped; or -ENOMEM.
 */
int confine_record(struct confine *confine, const struct record *in, struct record *out,
		   struct omissions *omissions, struct record_fault *fault);

#endif
