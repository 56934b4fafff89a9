// SPDX-License-Identifier: MIT
/*
 * See paths.h.
 */
#include "tests/sim/lib/paths.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/lib/active.h"

/* What the daemons, and the proxy in their place, use: the first word to the second below the
 * machine's directory. */
static const struct {
	const char *from, *to;
} table[] = {
	{ "/var/run/xenstored", "root/run/xenstored" },
	{ "/run/xenstored", "root/run/xenstored" },
	{ "/var/run/xen", "root/run/xen" },
	{ "/run/xen", "root/run/xen" },
	{ "/var/log/xen", "root/var/log/xen" },
	{ "/var/lib/xenstored", "root/var/lib/xenstored" },
	{ "/proc/xen/xsd_port", "xsd_port" },
	{ "/proc/xen/xsd_kva", "pages/0.1" },
};
_Static_assert(SIM_DOM0_GEN == 1, "the name of dom0's page, above");

int paths_redirect(const char **path, char buf[PATH_MAX])
{
	const char *dir;

	if (!*path || (*path)[0] != '/')
		return 0;
	dir = active_dir();
	if (!dir)
		return 0;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t len = strlen(table[i].from);

		const char *rest = *path + len;

		if (strncmp(*path, table[i].from, len) || (*rest && *rest != '/'))
			continue;
		if (snprintf(buf, PATH_MAX, "%s/%s%s", dir, table[i].to, rest) >= PATH_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		*path = buf;
		break;
	}
	return 0;
}
