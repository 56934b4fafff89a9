// SPDX-License-Identifier: MIT
#include "proxy/metrics/metrics_process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "protocol/clock.h"

#define NS_OF_A_SECOND 1000000000u

static bool read_memory(struct metrics_process *process)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages, resident;
	bool good = file && fscanf(file, "%" SCNu64 " %" SCNu64, &pages, &resident) == 2;

	if (file)
		fclose(file);
	if (good) {
		process->virtual_octets = pages * page;
		process->resident = resident * page;
	}
	return good;
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
