// SPDX-License-Identifier: MIT
/*
 * xensim: what `xl` and the hypervisor are to a host, for a simulated machine.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/common/channel.h"
#include "tests/sim/common/domain.h"
#include "tests/sim/common/ends.h"
#include "tests/sim/common/handle.h"
#include "tests/sim/common/maps.h"

#define SHOWN_PIDS 8

static const char usage_text[] =
	"usage: xensim [-d DIR] init\n"
	"       xensim [-d DIR] create|destroy|resume|mute DOMID|FIRST-LAST...\n"
	"       xensim [-d DIR] shutdown [-r poweroff|reboot|suspend|crash] DOMID|FIRST-LAST...\n"
	"       xensim [-d DIR] list [--json]\n"
	"mute: the guest itself closes its event channel to xenstored.\n"
	"DIR is the machine's directory, by default $XENSIM_DIR.\n";

static int usage(void)
{
	fprintf(stderr, "xensim: bad arguments; see xensim -h\n");
	return 2;
}

static int fail(const char *what, int rc)
{
	fprintf(stderr, "xensim: %s: %s\n", what, strerror(-rc));
	return 1;
}

/* The index of these words is the reason's number in xen/sched.h. */
static const char *const reasons[] = { "poweroff", "reboot", "suspend", "crash" };
#define NR_REASONS (sizeof(reasons) / sizeof(reasons[0]))

static bool reason_parse(const char *text, uint32_t *reason)
{
	for (*reason = 0; *reason < NR_REASONS; ++*reason)
		if (!strcmp(text, reasons[*reason]))
			return true;
	return false;
}

static bool number_parse(const char *text, char **end, uint32_t *n)
{
	unsigned long v;

	if (*text < '0' || *text > '9')
		return false;
	v = strtoul(text, end, 10);
	*n = (uint32_t)v;
	return v < SIM_DOMS;
}

static bool range_parse(const char *text, uint32_t *first, uint32_t *last)
{
	char *end;

	if (!number_parse(text, &end, first))
		return false;
	*last = *first;
	if (*end == '-' && !number_parse(end + 1, &end, last))
		return false;
	return !*end && *first <= *last;
}

static int do_one(struct sim *sim, const char *verb, uint32_t domid, uint32_t reason)
{
	struct domain_info info;
	int rc;

	if (!strcmp(verb, "shutdown"))
		return domain_shutdown(sim, domid, reason);
	if (!strcmp(verb, "resume"))
		return domain_resume(sim, domid);
	if (!strcmp(verb, "destroy"))
		return domain_destroy(sim, domid);
	if (!strcmp(verb, "mute"))
		return domain_mute(sim, domid);
	rc = domain_create(sim, domid, &info);
	if (!rc)
		printf("%d %" PRIu64 "\n", SIM_STORE_PORT, info.gfn);
	return rc;
}

static int do_domains(struct sim *sim, const char *verb, char **args, uint32_t reason)
{
	uint32_t first, last;
	char what[64];
	int rc;

	for (char **arg = args; *arg; arg++)
		if (!range_parse(*arg, &first, &last))
			return usage();
	for (char **arg = args; *arg; arg++) {
		range_parse(*arg, &first, &last);
		for (uint32_t domid = first; domid <= last; domid++) {
			rc = do_one(sim, verb, domid, reason);
			if (rc) {
				snprintf(what, sizeof(what), "%s %u", verb, domid);
				return fail(what, rc);
			}
		}
	}
	return 0;
}

struct row {
	struct domain_info info;
	const char *state;
	const char *port; /* unbound, bound, closed */
	uint32_t bound_by;
	uint32_t played_by;
	unsigned int maps, orphans;
	uint32_t pids[SHOWN_PIDS];
};

static uint32_t owner_pid(struct sim *sim, struct sim_end *end)
{
	uint64_t owner = end_owner(end);

	return owner ? atomic_load(&sim->st->handles[handle_slot(owner)].pid) : 0;
}

static void row_fill(struct sim *sim, struct row *row)
{
	uint32_t domid = row->info.domid;
	struct sim_end *end = sim_end(sim, domid, domid ? SIM_STORE_PORT : SIM_DOM0_KERNEL);
	uint64_t link = atomic_load(&end->link);

	if (row->info.flags & DOM_DYING)
		row->state = "zombie";
	else
		row->state = row->info.flags & DOM_SHUTDOWN ? "shutdown" : "running";
	row->port = "closed";
	row->bound_by = 0;
	if (link_kind(link) == LINK_UNBOUND)
		row->port = "unbound";
	if (link_kind(link) == LINK_INTERDOMAIN) {
		row->port = "bound";
		row->bound_by = owner_pid(sim, sim_end(sim, 0, link_port(link)));
	}
	row->played_by = owner_pid(sim, end);
	row->maps = maps_count(sim, domid, row->info.gen, row->pids, SHOWN_PIDS);
	row->orphans = ends_orphans(sim, domid, row->info.gen);
}

static const char *row_reason(const struct row *row)
{
	uint32_t reason = row->info.flags >> DOM_REASON_SHIFT & 0xff;

	if (!(row->info.flags & DOM_SHUTDOWN))
		return "";
	return reason < NR_REASONS ? reasons[reason] : "other";
}

static void row_print_json(const struct row *row, bool first)
{
	printf("%s\n {\"domid\": %u, \"state\": \"%s\", \"reason\": \"%s\", \"gfn\": %" PRIu64
	       ", \"generation\": %u, \"port\": \"%s\", \"bound_by\": %u, \"played_by\": %u, "
	       "\"maps\": %u, \"ports\": %u, \"mapped_by\": [",
	       first ? "" : ",", row->info.domid, row->state, row_reason(row), row->info.gfn,
	       row->info.gen, row->port, row->bound_by, row->played_by, row->maps, row->orphans);
	for (unsigned int i = 0; i < row->maps && i < SHOWN_PIDS; i++)
		printf("%s%u", i ? ", " : "", row->pids[i]);
	printf("]}");
}

static void row_print(const struct row *row)
{
	const char *name = row->info.flags & DOM_DYING ? "(null)" : "";

	if (!*name)
		name = row->info.domid ? "guest" : "Domain-0";
	printf("%-10s %5u  %-8s  %-7s  %4u  %5u  %s\n", name, row->info.domid, row->state,
	       row->port, row->maps, row->orphans, row_reason(row));
}

static int do_list(struct sim *sim, bool json)
{
	struct row row;
	bool first = true;

	channel_sweep(sim);
	sim_lock(sim);
	if (json)
		printf("[");
	else
		printf("%-10s %5s  %-8s  %-7s  %4s  %5s  %s\n", "NAME", "ID", "STATE", "PORT",
		       "MAPS", "PORTS", "REASON");
	for (uint32_t d = 0; !domain_next(sim, d, &row.info); d = row.info.domid + 1) {
		row_fill(sim, &row);
		if (json)
			row_print_json(&row, first);
		else
			row_print(&row);
		first = false;
	}
	sim_unlock(sim);
	if (json)
		printf("\n]\n");
	return 0;
}

static int run(const char *dir, const char *verb, char **args)
{
	uint32_t reason = 0;
	struct sim *sim;
	bool json;
	int rc;

	if (!strcmp(verb, "init")) {
		rc = *args ? usage() : sim_init(dir);
		if (rc == -ENAMETOOLONG)
			fprintf(stderr, "xensim: %s: longer than %d, no room for socket paths\n",
				dir, SIM_DIR_MAX);
		else if (rc < 0)
			return fail(dir, rc);
		return rc < 0 ? 1 : rc;
	}
	json = !strcmp(verb, "list") && *args && !strcmp(*args, "--json");
	args += json;
	if (!strcmp(verb, "shutdown") && *args && !strcmp(*args, "-r")) {
		if (!args[1] || !reason_parse(args[1], &reason))
			return usage();
		args += 2;
	}
	if (strcmp(verb, "list") ? !*args : !!*args)
		return usage();
	rc = sim_open(dir, &sim);
	if (rc)
		return fail(dir, rc);
	rc = strcmp(verb, "list") ? do_domains(sim, verb, args, reason) : do_list(sim, json);
	sim_close(sim);
	if (fflush(stdout) || ferror(stdout))
		return fail("standard output", -errno);
	return rc;
}

int main(int argc, char **argv)
{
	static const char *const verbs[] = { "init",	 "create", "destroy", "resume",
					     "shutdown", "mute",   "list" };
	const char *dir = getenv("XENSIM_DIR");
	int opt;

	while ((opt = getopt(argc, argv, "+d:h")) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (opt != 'd')
			return usage();
		dir = optarg;
	}
	if (optind == argc)
		return usage();
	if (!dir || dir[0] != '/') {
		fprintf(stderr, "xensim: -d or XENSIM_DIR must name an absolute path\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[optind], verbs[i]))
			return run(dir, argv[optind], argv + optind + 1);
	return usage();
}
