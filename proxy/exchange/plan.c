// SPDX-License-Identifier: MIT
#include "proxy/exchange/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/target.h"

int *plan_targets(struct domains *domains)
{
	int *targets = malloc(ARENA_DOMIDS * sizeof(*targets));

	if (!targets)
		return NULL;
	for (uint32_t domid = 0; domid < ARENA_DOMIDS; domid++)
		targets[domid] = -1;
	DOMAINS_EACH_SESSION(domains, s) {
		int user = target_user(s);

		if (user >= 0)
			targets[user] = (int)s->domid;
	}
	return targets;
}

static void print_ring(FILE *out, const struct session *s, int target)
{
	fprintf(out, "ring %u %u %" PRIu64, s->domid, atomic_load(&s->attach->remote_port),
		atomic_load(&s->attach->gfn));
	if (target < 0)
		fputs(" -\n", out);
	else
		fprintf(out, " %d\n", target);
}

/* Return: 0 or -ENOMEM. */
static int print_plan(FILE *out, struct daemon *daemon, const char *with)
{
	struct domains *domains = daemon->domains;
	int *targets = plan_targets(domains);

	if (!targets)
		return -ENOMEM;
	if (*with)
		fprintf(out, "daemon %s\n", with);
	DOMAINS_EACH_SESSION(domains, s)
		print_ring(out, s, targets[s->domid]);
	free(targets);
	return 0;
}

int plan_make(struct daemon *daemon, const char *with)
{
	int fd = memfd_create("xsproxy-plan", MFD_CLOEXEC), copy;
	FILE *out;
	bool bad;

	if (fd < 0)
		return -errno;
	copy = dup(fd);
	out = copy < 0 ? NULL : fdopen(copy, "w");
	if (!out) {
		if (copy >= 0)
			close(copy);
		close(fd);
		return -ENOMEM;
	}
	bad = print_plan(out, daemon, with) || ferror(out);
	if (fclose(out) || bad || lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return -ENOSPC;
	}
	return fd;
}
