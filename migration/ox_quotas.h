/* SPDX-License-Identifier: MIT */
/*
 * ox_quotas - what oxenstored takes, as its configuration file has it.
 *
 * Called by whoever makes a state for it, or looks what would not be in one. Must never fail:
 * without the file the daemon has its defaults, too.
 */
#ifndef XSPROXY_MIGRATION_OX_QUOTAS_H
#define XSPROXY_MIGRATION_OX_QUOTAS_H

#include "migration/conversion_options.h"

#define OX_QUOTAS_FILE "/etc/xen/oxenstored.conf" /* unless its --config-file says otherwise */

/**
 * ox_quotas_read() - take the quotas of a configuration file.
 * @options: max_value, max_watches and max_path are set
 * @path: of the file; need not exist
 */
void ox_quotas_read(struct conversion_options *options, const char *path);

#endif
