// SPDX-License-Identifier: MIT
/* perms - see perms.h. */
#include "migration/perms.h"

#include <errno.h>
#include <stdio.h>
#include <xen/io/xs_wire.h>

_Static_assert(PERMS_PAYLOAD_MAX == XENSTORE_PAYLOAD_MAX, "they are the same");

int perms_format(const struct record_node *node, char out[PERMS_PAYLOAD_MAX], size_t *len)
{
	size_t room = PERMS_PAYLOAD_MAX - node->path_len - 1;
	size_t n = 0;

	for (size_t i = 0; i < node->nr_perms; i++) {
		n += (size_t)snprintf(out + n, room - n, "%c%u", node->perms[i].letter,
				      record_perm_domid(&node->perms[i])) +
		     1;
		if (n > room)
			return -E2BIG;
	}
	*len = n;
	return 0;
}
