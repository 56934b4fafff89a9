// SPDX-License-Identifier: MIT
#include "proxy/exchange/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/memfile.h"
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

struct planning {
	struct daemon *daemon;
	const char *with;
};

/* Return: 0 or -ENOMEM. */
static int print_plan(FILE *out, void *arg)
{
	const struct planning *planning = arg;
	struct domains *domains = planning->daemon->domains;
	int *targets = plan_targets(domains);

	if (!targets)
		return -ENOMEM;
	if (*planning->with)
		fprintf(out, "daemon %s\n", planning->with);
	DOMAINS_EACH_SESSION(domains, s)
		print_ring(out, s, targets[s->domid]);
	free(targets);
	return 0;
}

int plan_make(struct daemon *daemon, const char *with)
{
	struct planning planning = { daemon, with };

	return memfile_make("xsproxy-plan", print_plan, &planning);
}
