/* SPDX-License-Identifier: MIT */
/*
 * request - a toolstack request of ours while it is being carried out. Between toolstack.c, which
 * reads, dispatches and carries them out, and toolstack_list.c. Must never outlive the turn: what
 * waits is an op (op.h).
 */
#ifndef XSPROXY_PROXY_TOOLSTACK_REQUEST_H
#define XSPROXY_PROXY_TOOLSTACK_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/message.h"
#include "proxy/toolstack/op.h"

struct memory;
struct daemon;
struct session;

struct request {
	struct daemon *daemon;
	struct asker asker;
	struct message msg; /* as on the wire, whatever way it came */
	const struct memory *memory;
	uint32_t domid;
	struct session *target; /* the domain's session, or NULL */
	const char *rest;	/* what follows the domid */
	uint32_t rest_len;
};

/**
 * request_number() - the number that makes up all of what follows the domid.
 *
 * Return: 0 or -EINVAL.
 */
int request_number(const struct request *req, uint32_t *out);

/** request_word() - whether what follows the domid is this one word. */
bool request_word(const struct request *req, const char *word);

/*
 * One function for each request of ours (requests.def). Each returns 0 for OK; a negative errno; or
 * 1: it has answered, or an op answers later.
 */
#define OURS(number, name, function, ...) int request_##function(struct request *req);
#include "protocol/requests.def"

#endif
