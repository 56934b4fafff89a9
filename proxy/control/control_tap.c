// SPDX-License-Identifier: MIT
/*
 * control_tap - the traffic on the control socket: its numbers, its last messages, all of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/clock.h"
#include "proxy/control/control.h"
#include "proxy/control/control_command.h"
#include "proxy/control/control_json.h"
#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/domain_state.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/metrics/metrics.h"
#include "proxy/observe/tap.h"
#include "proxy/observe/trace.h"
#include "proxy/session/session.h"

/* --- stats */

static json_t *counts(const uint64_t *count, uint32_t n, const char *(*name)(uint32_t))
{
	json_t *object = json_object();

	for (uint32_t i = 0; i < n; i++)
		if (count[i] && name(i) &&
		    json_object_set_new(object, name(i), json_integer((json_int_t)count[i]))) {
			json_decref(object);
			return NULL;
		}
	return object;
}

static json_t *buckets(const struct stats_times *times)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < STATS_BUCKETS; i++) {
		uint64_t bound = stats_bound(i);

		if (times->bucket[i])
			control_json_append(&list,
					    json_pack("[o,I]",
						      bound == UINT64_MAX
							      ? json_null()
							      : json_integer((json_int_t)bound),
						      (json_int_t)times->bucket[i]));
	}
	return list;
}

static json_t *times(const struct stats_times *times)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:o}", "count", (json_int_t)times->count, "sum",
			 (json_int_t)times->sum, "max", (json_int_t)times->max, "p50",
			 (json_int_t)stats_quantile(times, 500), "p99",
			 (json_int_t)stats_quantile(times, 990), "buckets", buckets(times));
}

/* Takes over @object and @value. Return: @object, or NULL without memory. */
static json_t *with(json_t *object, const char *key, json_t *value)
{
	if (!json_object_set_new(object, key, value))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *with_counters(json_t *object, const struct stats *stats)
{
	for (uint32_t i = 0; i < COUNTERS; i++)
		object = with(object, stats_counter_name(i),
			      json_integer((json_int_t)stats->counter[i]));
	return object;
}

static json_t *stats(const struct stats *stats)
{
	json_t *object = json_pack("{s:I,s:o,s:o}", "sessions", (json_int_t)stats->sessions,
				   "requests", counts(stats->requests, STATS_OPS, stats_op_name),
				   "errors", counts(stats->errors, STATS_ERRORS, stats_error_name));

	return with(with_counters(object, stats), "time",
		    json_pack("{s:o,s:o,s:o}", "total", times(&stats->total), "proxy",
			      times(&stats->in_proxy), "upstream", times(&stats->upstream)));
}

/* The session of the domain that the command is about; NULL: it was answered with an error. */
static struct session *session_of(struct control *control, uint32_t domid)
{
	struct session *s = domains_session(control_daemon(control)->domains, domid);

	if (!s)
		control_error(control, "NotFound", "domain %u has no Xenstore connection", domid);
	return s;
}

void control_stats(struct control *control, const struct control_args *args)
{
	struct session *s = NULL;
	struct stats sum;

	if (args->has_domid) {
		s = session_of(control, args->domid);
		if (!s)
			return;
		tap_stats(s->tap, &sum);
	} else {
		taps_total(control_daemon(control)->taps, &sum);
	}
	control_return(control, stats(&sum));
}

/* --- load */

static json_t *row(const struct stats *stats)
{
	const struct stats_times *total = &stats->total;
	json_t *object = json_pack("{s:I,s:I}", "requests",
				   (json_int_t)stats_sum(stats->requests, STATS_OPS), "errors",
				   (json_int_t)stats_sum(stats->errors, STATS_ERRORS));

	object = with_counters(object, stats);
	object = with(object, "p50", json_integer((json_int_t)stats_quantile(total, 500)));
	object = with(object, "p99", json_integer((json_int_t)stats_quantile(total, 990)));
	return with(object, "max", json_integer((json_int_t)total->max));
}

static json_t *session_row(const struct daemon *daemon, const struct memory *memory,
			   const struct session *s)
{
	struct stats sum;
	json_t *object, *more;

	tap_stats(s->tap, &sum);
	object = row(&sum);
	more = json_pack("{s:i,s:i,s:s,s:i,s:i,s:i}", "domid", (int)s->domid, "session", (int)s->id,
			 "state", domain_state_name(domain_state_of(daemon, memory, s->domid)),
			 "under_way", __builtin_popcount(word_get(&s->ledger->pending_mask)),
			 "watches", (int)s->watches.count, "transactions",
			 (int)transaction_count(&s->transactions));
	if (!object || !more || json_object_update(object, more)) {
		json_decref(object);
		object = NULL;
	}
	json_decref(more);
	return object;
}

void control_load(struct control *control, const struct control_args *args)
{
	const struct daemon *daemon = control_daemon(control);
	const struct memory *memory = upstream_memory(daemon->upstream);
	json_t *list = json_array();
	uint32_t domid = args->index;
	struct stats clients;
	struct session *s;

	for (int n = 0; n < CONTROL_PAGE_DOMAINS; n++) {
		s = domains_next_session(daemon->domains, domid);
		if (!s)
			break;
		control_json_append(&list, session_row(daemon, memory, s));
		domid = s->domid + 1;
	}
	s = domains_next_session(daemon->domains, domid);
	taps_clients(daemon->taps, &clients);
	control_return(control,
		       json_pack("{s:o,s:o,s:o,s:I}", "rows", list, "clients", row(&clients),
				 "next", s ? json_integer(s->domid) : json_null(), "time",
				 (json_int_t)clock_monotonic()));
}

/* --- metrics */

/* {"text":...} */
void control_metrics(struct control *control, const struct control_args *args)
{
	const char *text;

	(void)args;
	if (metrics_read(control_daemon(control)->metrics, &text))
		control_return(control, NULL);
	else
		control_return(control, json_pack("{s:s}", "text", text));
}

/* --- flight */

struct listing {
	json_t *list;
	uint64_t realtime;
};

static void list_frame(void *arg, const struct flight_frame *kept)
{
	static const char digits[] = "0123456789abcdef";
	struct flight_frame out = *kept;
	const uint8_t *octets = (const uint8_t *)&out;
	struct listing *listing = arg;
	size_t size = out.frame.size;
	char text[2 * sizeof(out)];

	out.frame.time += listing->realtime;
	for (size_t i = 0; i < size; i++) {
		text[2 * i] = digits[octets[i] >> 4];
		text[2 * i + 1] = digits[octets[i] & 15];
	}
	control_json_append(&listing->list, json_stringn(text, 2 * size));
}

void control_flight(struct control *control, const struct control_args *args)
{
	struct listing listing = { .realtime = clock_realtime_offset() };
	struct session *s = session_of(control, args->domid);
	const struct flight *flight;

	if (!s)
		return;
	flight = tap_flight(s->tap);
	listing.list = json_array();
	if (flight)
		flight_each(flight, s->domid, s->id, list_frame, &listing);
	control_return(control, json_pack("{s:o,s:I}", "frames", listing.list, "dropped",
					  (json_int_t)(flight ? flight->dropped : 0)));
}

/* --- trace */

static bool write_frames(void *control, const void *octets, size_t len)
{
	return control_write(control, octets, len);
}

static void end_trace(void *trace)
{
	trace_end(trace);
}

/* The place of an operation, or STATS_OPS for a name that none has. */
static uint32_t find_op(const char *name)
{
	uint32_t op = 0;

	while (op < STATS_OPS && (!stats_op_name(op) || strcmp(stats_op_name(op), name) != 0))
		op++;
	return op;
}

/* Return: 0, -ENOMEM, or -ENOENT for an operation that nobody knows; @name is it. */
static int read_ops(json_t *ops, struct trace_filter *filter, const char **name)
{
	json_t *value;
	size_t i;

	filter->ops = ops ? 0 : ~0ULL;
	if (!ops || !json_array_size(ops))
		return 0;
	filter->types = calloc(json_array_size(ops), sizeof(*filter->types));
	if (!filter->types)
		return -ENOMEM;
	json_array_foreach(ops, i, value)
	{
		uint32_t op;

		*name = json_string_value(value);
		op = find_op(*name);
		if (op < STATS_OPS)
			filter->ops |= 1ULL << op;
		else if (message_number_parse(*name, &filter->types[filter->nr_types]))
			filter->nr_types++;
		else
			return -ENOENT;
	}
	return 0;
}

static int read_domids(json_t *domids, struct trace_filter *filter)
{
	json_t *value;
	size_t i;

	if (!domids || !json_array_size(domids))
		return 0;
	filter->domids = calloc(json_array_size(domids), sizeof(*filter->domids));
	if (!filter->domids)
		return -ENOMEM;
	filter->nr_domids = json_array_size(domids);
	json_array_foreach(domids, i, value) filter->domids[i] =
		(uint32_t)json_integer_value(value);
	return 0;
}

static bool path_is_good(const char *path)
{
	return (*path == '/' || *path == '@') && strlen(path) < TRACE_PATHS;
}

static int read_path(const char *path, struct trace_filter *filter)
{
	if (!path)
		return 0;
	filter->path = strdup(path);
	return filter->path ? 0 : -ENOMEM;
}

void control_trace(struct control *control, const struct control_args *args)
{
	struct daemon *daemon = control_daemon(control);
	struct trace_filter filter = {
		.events = args->events,
		.first_session = args->new ? daemon->next_session : 0,
		.snap = args->has_snap ? args->snap : XENSTORE_PAYLOAD_MAX,
	};
	const char *name = NULL;
	struct trace *trace;
	int err;

	if (args->path && !path_is_good(args->path)) {
		control_error(control, "BadRequest",
			      "path must begin with '/' or '@' and have less than %d octets",
			      TRACE_PATHS);
		return;
	}
	err = read_ops(args->ops, &filter, &name);
	if (!err)
		err = read_domids(args->domids, &filter);
	if (!err)
		err = read_path(args->path, &filter);
	if (err)
		trace_filter_clear(&filter);
	else
		err = trace_begin(&trace, daemon->traces, &filter, write_frames, control);
	if (err == -ENOENT) {
		control_error(control, "BadRequest", "there is no operation '%.40s'", name);
		return;
	}
	if (err == -EBUSY) {
		control_error(control, "Busy", "%d traces run already; end one of them",
			      TRACES_MAX);
		return;
	}
	if (err)
		control_return(control, NULL);
	else if (control_return(control, json_object()))
		control_stream(control, end_trace, trace);
	else
		trace_end(trace);
}
