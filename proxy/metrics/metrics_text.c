// SPDX-License-Identifier: MIT
#include "proxy/metrics/metrics_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/domain_state.h"
#include "proxy/host/keeper.h"
#include "proxy/host/missing.h"
#include "proxy/host/upstream.h"
#include "proxy/mend/mend.h"
#include "proxy/metrics/metrics_process.h"
#include "proxy/mirror/called.h"
#include "proxy/mirror/follow.h"
#include "proxy/observe/tap.h"
#include "proxy/observe/trace.h"

#define NS_OF_A_SECOND 1000000000u

/* Of the buckets, every second one from 4 us to 8.6 s: each twice the one before. */
#define FIRST_BUCKET 4
#define LAST_BUCKET  46

#define LABEL_MAX    128 /* octets of what others wrote */

enum unit {
	UNIT_ONE,
	UNIT_SECONDS, /* counted in ns */
};

static void put_value(FILE *out, uint64_t value, enum unit unit)
{
	if (unit == UNIT_SECONDS)
		fprintf(out, "%" PRIu64 ".%09" PRIu64 "\n", value / NS_OF_A_SECOND,
			value % NS_OF_A_SECOND);
	else
		fprintf(out, "%" PRIu64 "\n", value);
}

static void put_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_single(FILE *out, const char *name, const char *type, const char *help,
		       uint64_t value, enum unit unit)
{
	put_head(out, name, type, help);
	fprintf(out, "%s ", name);
	put_value(out, value, unit);
}

/* --- all sessions together */

static void put_counts(FILE *out, const char *name, const char *label, const char *help,
		       const uint64_t *counts, uint32_t nr, const char *(*name_of)(uint32_t))
{
	put_head(out, name, "counter", help);
	for (uint32_t i = 0; i < nr; i++)
		if (name_of(i))
			fprintf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, name_of(i),
				counts[i]);
}

static void put_histogram(FILE *out, const char *name, const char *help,
			  const struct stats_times *times)
{
	uint64_t sum = 0;

	put_head(out, name, "histogram", help);
	for (uint32_t i = 0; i <= LAST_BUCKET; i++) {
		sum += times->bucket[i];
		if (i >= FIRST_BUCKET && i % 2 == 0)
			fprintf(out, "%s_bucket{le=\"%.10g\"} %" PRIu64 "\n", name,
				(double)stats_bound(i) / NS_OF_A_SECOND, sum);
	}
	fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", name, times->count, name);
	put_value(out, times->sum, UNIT_SECONDS);
	fprintf(out, "%s_count %" PRIu64 "\n", name, times->count);
}

/* With no xenstored all are 0. */
static void put_states(FILE *out, const struct daemon *daemon)
{
	uint32_t count[DOMAIN_STATES];

	domain_states_count(daemon, upstream_memory(daemon->upstream), count);
	put_head(out, "xsproxy_domains", "gauge", "Domains that are introduced or held.");
	for (int i = 0; i < DOMAIN_STATES; i++)
		fprintf(out, "xsproxy_domains{state=\"%s\"} %" PRIu32 "\n", domain_state_name(i),
			count[i]);
	put_single(out, "xsproxy_unknown_domains", "gauge",
		   "Domains that an earlier xenstored knew and this one does not.",
		   missing_count(domains_missing(daemon->domains)), UNIT_ONE);
	put_single(out, "xsproxy_domains_near_limit", "gauge",
		   "Domains whose watches are at [log] quota-warning of a limit.",
		   domains_near_limit(daemon), UNIT_ONE);
}

static void put_daemon(FILE *out, const struct daemon *daemon)
{
	uint64_t uptime = clock_monotonic() / NS_OF_A_SECOND - daemon->started;
	char wrong[NOTIFY_ALL_MAX];

	put_head(out, "xsproxy_build_info", "gauge", "Always 1.");
	fprintf(out, "xsproxy_build_info{version=\"" XSPROXY_VERSION "\"} 1\n");
	put_single(out, "xsproxy_uptime_seconds", "gauge", "Since xsproxyd was started.", uptime,
		   UNIT_ONE);
	put_single(out, "xsproxy_xenstored_connected", "gauge",
		   "Whether there is a xenstored with the bridge.",
		   upstream_serves(daemon->upstream), UNIT_ONE);
	put_states(out, daemon);
	put_single(out, "xsproxy_config_wrong", "gauge",
		   "Whether anything is wrong with the configuration.",
		   notify_all_wrong(&daemon->notify, wrong) != NULL, UNIT_ONE);
	put_single(out, "xsproxy_toolstack_clients", "gauge",
		   "Connections to the toolstack socket.", clients_count(daemon->clients),
		   UNIT_ONE);
	put_single(out, "xsproxy_toolstack_clients_waiting", "gauge",
		   "Those of them that xenstored has not accepted yet.",
		   clients_waiting(daemon->clients), UNIT_ONE);
	put_single(out, "xsproxy_keeper", "gauge",
		   "Whether there is a keeper, so that they outlive xsproxyd.",
		   keeper_there(daemon->keeper), UNIT_ONE);
	put_single(out, "xsproxy_toolstack_clients_kept", "gauge", "Those of them that it holds.",
		   clients_kept(daemon->clients), UNIT_ONE);
}

/* By the names that all processes have for them. */
static void put_process(FILE *out, const struct daemon *daemon)
{
	struct metrics_process process;

	metrics_process(&process, clock_monotonic() / NS_OF_A_SECOND - daemon->started);
	put_single(out, "process_cpu_seconds_total", "counter", "CPU time that xsproxyd has taken.",
		   process.cpu, UNIT_SECONDS);
	put_single(out, "process_start_time_seconds", "gauge", "Since 1970, when it was started.",
		   process.started, UNIT_ONE);
	if (process.has_memory) {
		put_single(out, "process_resident_memory_bytes", "gauge", "Memory that it has.",
			   process.resident, UNIT_ONE);
		put_single(out, "process_virtual_memory_bytes", "gauge", "Addresses that it has.",
			   process.virtual_octets, UNIT_ONE);
	}
	if (process.has_fds)
		put_single(out, "process_open_fds", "gauge", "Descriptors that it has.",
			   process.fds, UNIT_ONE);
	if (process.fds_max != UINT64_MAX)
		put_single(out, "process_max_fds", "gauge", "Descriptors that it may have.",
			   process.fds_max, UNIT_ONE);
}

static void put_mirror(FILE *out, const struct daemon *daemon)
{
	struct mend_status mirror;

	mend_status(daemon->mend, &mirror);
	put_single(out, "xsproxy_xenstored_crashes_total", "counter",
		   "How often xenstored has ended unasked, and another one went on.",
		   daemon->crashes, UNIT_ONE);
	put_head(out, "xsproxy_xenstored_exchanges_total", "counter",
		 "Exchanges of xenstored, those of crashed ones included.");
	fprintf(out,
		"xsproxy_xenstored_exchanges_total{outcome=\"done\"} %" PRIu64
		"\nxsproxy_xenstored_exchanges_total{outcome=\"failed\"} %" PRIu64 "\n",
		daemon->exchanged, daemon->unexchanged);
	put_single(out, "xsproxy_trace_lost_total", "counter",
		   "Messages that a trace or capture did not get, for it read too slowly.",
		   traces_lost(daemon->traces), UNIT_ONE);
	put_single(out, "xsproxy_requests_asked_again_total", "counter",
		   "Requests that it had not answered then.", daemon->asked_again, UNIT_ONE);
	put_single(out, "xsproxy_mirror_whole", "gauge",
		   "Whether all of the store is known, for when xenstored crashes.",
		   mend_mirror(daemon->mend) != NULL, UNIT_ONE);
	put_single(out, "xsproxy_mirror_nodes", "gauge", "Nodes in the mirror of the store.",
		   mirror.nodes, UNIT_ONE);
	put_single(out, "xsproxy_mirror_bytes", "gauge", "Memory that it takes.", mirror.octets,
		   UNIT_ONE);
	put_single(out, "xsproxy_mirror_unsure", "gauge", "Nodes in it that are to be read again.",
		   mirror.unsure, UNIT_ONE);
	put_single(out, "xsproxy_mirror_compared_total", "counter",
		   "Nodes that were compared with the store.", mirror.compared, UNIT_ONE);
	put_single(out, "xsproxy_mirror_differed_total", "counter",
		   "Those of them that differed, and were mended.", mirror.differed, UNIT_ONE);
	put_single(out, "xsproxy_mirror_waits_total", "counter",
		   "Times that a request waited for one of another connection, so that their "
		   "order is known.",
		   follow_counts(daemon->follow)->waits, UNIT_ONE);
}

/* The plain counters: of all sessions together, and below of each domain. */
#define SAME	      NULL
#define UNIT_OF(unit) (COUNTER_##unit == COUNTER_NS ? UNIT_SECONDS : UNIT_ONE)

static const struct {
	const char *name;
	const char *help;
	enum unit unit;
} totals[COUNTERS] = {
#define COUNTER(name, unit, place, width, heading, label, text, metric, help, help_all) \
	{ "xsproxy_" metric, (help_all) ? (help_all) : (help), UNIT_OF(unit) },
#include "protocol/counters.def"
};

static void put_total(FILE *out, const struct stats *total, const uint64_t malformed[STATS_OPS])
{
	put_single(out, "xsproxy_sessions_total", "counter",
		   "Connections of domains and toolstack clients so far.", total->sessions,
		   UNIT_ONE);
	put_counts(out, "xsproxy_requests_total", "operation", "Requests taken.", total->requests,
		   STATS_OPS, stats_op_name);
	put_counts(out, "xsproxy_errors_total", "error", "Requests answered with an error.",
		   total->errors, STATS_ERRORS, stats_error_name);
	put_counts(out, "xsproxy_malformed_total", "operation",
		   "Requests that xsproxy refused for their form.", malformed, STATS_OPS,
		   stats_op_name);
	for (uint32_t i = 0; i < COUNTERS; i++)
		put_single(out, totals[i].name, "counter", totals[i].help, total->counter[i],
			   totals[i].unit);
	put_histogram(out, "xsproxy_request_seconds", "From a request to its reply.",
		      &total->total);
	put_histogram(out, "xsproxy_request_proxy_seconds", "The part of it spent in xsproxyd.",
		      &total->in_proxy);
	put_histogram(out, "xsproxy_request_upstream_seconds", "The part of it spent in xenstored.",
		      &total->upstream);
}

/* --- each domain */

static const struct family {
	const char *name;
	const char *type;
	const char *help;
	enum metrics_field field;
	enum unit unit;
} families[] = {
	{ "requests_total", "counter", "Requests taken.", METRICS_REQUESTS, UNIT_ONE },
	{ "errors_total", "counter", "Requests answered with an error.", METRICS_ERRORS, UNIT_ONE },
#define COUNTER(name, unit, place, width, heading, label, text, metric, help, ...) \
	{ metric, "counter", help, METRICS_COUNTED + COUNTER_##name, UNIT_OF(unit) },
#include "protocol/counters.def"
	{ "answered_total", "counter", "Requests answered.", METRICS_ANSWERED, UNIT_ONE },
	{ "answered_seconds_total", "counter", "How long they took together.", METRICS_TIME,
	  UNIT_SECONDS },
	{ "requests_under_way", "gauge", "Requests that wait for their reply.", METRICS_UNDER_WAY,
	  UNIT_ONE },
	{ "watches", "gauge", "Watches registered.", METRICS_WATCHES, UNIT_ONE },
	{ "transactions", "gauge", "Transactions open.", METRICS_TRANSACTIONS, UNIT_ONE },
};

static void put_of(FILE *out, const struct family *family, const char *domid,
		   const uint64_t value[METRICS_FIELDS])
{
	fprintf(out, "xsproxy_domain_%s{domid=\"%s\"} ", family->name, domid);
	put_value(out, value[family->field], family->unit);
}

/* @clients: the toolstack's sockets, of which there are only counters */
static void put_family(FILE *out, const struct family *family,
		       const struct metrics_domains *domains,
		       const uint64_t clients[METRICS_FIELDS])
{
	char name[64], domid[16];

	snprintf(name, sizeof(name), "xsproxy_domain_%s", family->name);
	put_head(out, name, family->type, family->help);
	for (size_t i = 0; i < domains->nr; i++) {
		if (!domains->rows[i].named)
			continue;
		snprintf(domid, sizeof(domid), "%" PRIu32, domains->rows[i].domid);
		put_of(out, family, domid, domains->rows[i].value);
	}
	put_of(out, family, "other", domains->other);
	if (family->field < METRICS_COUNTERS)
		put_of(out, family, "toolstack", clients);
}

/* Only errors that there were: else these were most of all lines. */
static void put_refused_of(FILE *out, bool *any, const char *domid,
			   const uint64_t value[METRICS_FIELDS])
{
	static const char name[] = "xsproxy_domain_refused_total";

	for (uint32_t i = 0; i < STATS_ERRORS; i++) {
		if (!value[METRICS_REFUSED + i])
			continue;
		if (!*any)
			put_head(out, name, "counter", "Requests answered with this error.");
		*any = true;
		fprintf(out, "%s{domid=\"%s\",error=\"%s\"} %" PRIu64 "\n", name, domid,
			stats_error_name(i), value[METRICS_REFUSED + i]);
	}
}

static void put_refused(FILE *out, const struct metrics_domains *domains,
			const uint64_t clients[METRICS_FIELDS])
{
	bool any = false;
	char domid[16];

	for (size_t i = 0; i < domains->nr; i++) {
		if (!domains->rows[i].named)
			continue;
		snprintf(domid, sizeof(domid), "%" PRIu32, domains->rows[i].domid);
		put_refused_of(out, &any, domid, domains->rows[i].value);
	}
	put_refused_of(out, &any, "other", domains->other);
	put_refused_of(out, &any, "toolstack", clients);
}

/* What guests and toolstacks wrote is UTF-8 for Prometheus, and cannot end the label. */
static void put_label(FILE *out, const char *name, struct called called)
{
	fprintf(out, ",%s=\"", name);
	for (uint32_t i = 0; i < called.len && i < LABEL_MAX; i++) {
		char c = called.octets[i];

		if (c == '\\' || c == '"')
			fprintf(out, "\\%c", c);
		else if (c >= ' ' && c < 0x7f)
			fputc(c, out);
		else
			fprintf(out, "\\\\x%02x", (uint8_t)c);
	}
	fputc('"', out);
}

/* To join the others with; the mirror has it, or nobody. */
static void put_info(FILE *out, const struct metrics_domains *domains, const struct mirror *mirror)
{
	bool any = false;

	for (size_t i = 0; i < domains->nr; i++) {
		uint32_t domid = domains->rows[i].domid;

		if (!domains->rows[i].named)
			continue;
		if (!any)
			put_head(out, "xsproxy_domain_info", "gauge",
				 "Always 1; what a domain is called.");
		any = true;
		fprintf(out, "xsproxy_domain_info{domid=\"%" PRIu32 "\"", domid);
		put_label(out, "name", called_name(mirror, domid));
		put_label(out, "uuid", called_uuid(mirror, domid));
		fputs("} 1\n", out);
	}
}

/* --- the whole */

static void put_all(FILE *out, const struct metrics_domains *domains, const struct daemon *daemon)
{
	uint64_t clients[METRICS_FIELDS];
	struct stats stats;

	put_daemon(out, daemon);
	put_process(out, daemon);
	put_mirror(out, daemon);
	taps_total(daemon->taps, &stats);
	put_total(out, &stats, taps_malformed(daemon->taps));
	taps_clients(daemon->taps, &stats);
	metrics_count(clients, &stats);
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		put_family(out, &families[i], domains, clients);
	put_refused(out, domains, clients);
	put_info(out, domains, mend_mirror(daemon->mend));
}

int metrics_text_write(struct metrics_text *text, const struct daemon *daemon)
{
	char *octets = NULL;
	size_t len;
	FILE *out;

	if (metrics_domains_take(&text->domains, daemon))
		return -ENOMEM;
	out = open_memstream(&octets, &len);
	if (!out)
		return -ENOMEM;
	put_all(out, &text->domains, daemon);
	if (fclose(out)) {
		free(octets);
		return -ENOMEM;
	}
	free(text->text);
	text->text = octets;
	text->len = len;
	return 0;
}

void metrics_text_fini(struct metrics_text *text)
{
	metrics_domains_fini(&text->domains);
	free(text->text);
	*text = (struct metrics_text){ 0 };
}
