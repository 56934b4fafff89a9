// SPDX-License-Identifier: MIT
/*
 * foreign - see foreign.h.
 */
#include "migration/foreign.h"

#include "migration/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PERM_MAX 8 /* octets of "n65535" and NUL */

/* What is known of each domain: whether it is here has to be asked once. */
enum here {
	HERE_UNKNOWN,
	HERE_YES,
	HERE_NO,
};

const char *foreign_why(char out[FOREIGN_WHY_MAX], uint16_t domid)
{
	snprintf(out, FOREIGN_WHY_MAX,
		 "domain %u, which owns it, is not introduced here (--map-domid, --drop-foreign)",
		 domid);
	return out;
}

static int ask(struct wire *wire, uint16_t domid, uint8_t *here)
{
	bool is;
	int r = remote_is_introduced(wire, domid, &is);

	if (!r)
		*here = is ? HERE_YES : HERE_NO;
	return r;
}

static void leave_out(struct plan_node *node, uint16_t owner, struct omissions *omissions)
{
	char perm[PERM_MAX], why[FOREIGN_WHY_MAX];
	int len = snprintf(perm, sizeof(perm), "%c%u", node->want.perms[0].letter, owner);
	const struct omission omission = { .what = "node",
					   .path = node->path,
					   .path_len = node->path_len,
					   .detail = perm,
					   .detail_len = (size_t)len,
					   .why = foreign_why(why, owner) };

	node->foreign = true;
	omissions_add(omissions, &omission);
}

int foreign_leave_out(struct plan *plan, struct wire *wire, uint16_t domid,
		      const struct confine *confine, struct omissions *omissions)
{
	uint8_t *here = calloc(UINT16_MAX + 1, sizeof(*here));
	struct plan_node *node, *next;
	int r = here ? 0 : -ENOMEM;

	HASH_ITER(hh, plan->nodes, node, next) {
		uint16_t owner;

		if (r || !node->want.exists || confine_is_home(confine, node->path, node->path_len))
			continue;
		owner = record_perm_domid(&node->want.perms[0]);
		if (!owner || owner == domid)
			continue;
		if (here[owner] == HERE_UNKNOWN)
			r = ask(wire, owner, &here[owner]);
		if (!r && here[owner] == HERE_NO)
			leave_out(node, owner, omissions);
	}
	free(here);
	return r;
}
