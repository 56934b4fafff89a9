/* SPDX-License-Identifier: MIT */
/*
 * metrics_process - the numbers that each process has, by the names that Prometheus' own libraries
 * give them.
 *
 * Called by metrics_text.c. What cannot be found out is left out.
 */
#ifndef XSPROXY_PROXY_METRICS_METRICS_PROCESS_H
#define XSPROXY_PROXY_METRICS_METRICS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct metrics_process {
	uint64_t cpu;	  /* ns, of all threads */
	uint64_t started; /* s since 1970 */
	bool has_memory;  /* resident, virtual */
	uint64_t resident, virtual_octets;
	bool has_fds;
	uint64_t fds;
	uint64_t fds_max; /* UINT64_MAX: no bound */
};

/** metrics_process() - as of now. @uptime: s since xsproxyd was started */
void metrics_process(struct metrics_process *process, uint64_t uptime);

#endif
