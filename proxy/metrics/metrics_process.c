// SPDX-License-Identifier: MIT
#include "proxy/metrics/metrics_process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "protocol/clock.h"

#define NS_OF_A_SECOND 1000000000u

/* Two numbers of pages. */
static bool read_memory(struct metrics_process *process)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	char line[128] = "", *end;

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		*line = '\0';
	fclose(file);
	process->virtual_octets = strtoull(line, &end, 10) * page;
	process->resident = strtoull(end, NULL, 10) * page;
	return process->resident;
}

/* Without the one that it is read through. */
static bool count_fds(struct metrics_process *process)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;

	if (!dir)
		return false;
	while ((entry = readdir(dir)))
		process->fds += entry->d_name[0] != '.';
	closedir(dir);
	process->fds--;
	return true;
}

void metrics_process(struct metrics_process *process, uint64_t uptime)
{
	struct rlimit limit;

	*process = (struct metrics_process){ .fds_max = UINT64_MAX };
	process->cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	process->started = clock_ns(CLOCK_REALTIME) / NS_OF_A_SECOND - uptime;
	process->has_memory = read_memory(process);
	process->has_fds = count_fds(process);
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur != RLIM_INFINITY)
		process->fds_max = limit.rlim_cur;
}
