// SPDX-License-Identifier: MIT
/*
 * exchange_plan - see exchange_plan.h.
 */
#include "starter/exchange_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "link/rings.h"
#include "starter/memfd.h"

#define WORDS_MAX 6 /* one more than a line may have */

static int split(char *line, char *words[WORDS_MAX])
{
	char *rest = NULL;
	int nr = 0;

	for (char *word = strtok_r(line, " ", &rest); word && nr < WORDS_MAX;
	     word = strtok_r(NULL, " ", &rest))
		words[nr++] = word;
	return nr;
}

/* Return: whether it is a number in decimal, and below @end. */
static bool read_number(const char *word, uint64_t end, uint64_t *out)
{
	char *after;

	if (*word < '0' || *word > '9')
		return false;
	errno = 0;
	*out = strtoull(word, &after, 10);
	return !*after && !errno && *out < end;
}

static bool read_domid(const char *word, uint16_t *out)
{
	uint64_t value;

	if (!read_number(word, EXCHANGE_DOMIDS, &value))
		return false;
	*out = (uint16_t)value;
	return true;
}

static int add_ring(struct exchange_plan *plan, const struct exchange_ring *ring)
{
	struct exchange_ring *rings =
		realloc(plan->rings, (plan->nr_rings + 1) * sizeof(*plan->rings));

	if (!rings)
		return -ENOMEM;
	plan->rings = rings;
	rings[plan->nr_rings++] = *ring;
	plan->index[ring->domid] = (uint16_t)plan->nr_rings;
	return 0;
}

/* "ring DOMID PORT GFN TARGET" */
static int read_ring(struct exchange_plan *plan, char *words[WORDS_MAX], int nr)
{
	struct exchange_ring ring = { 0 };
	uint64_t port, gfn;

	if (nr != 5 || !read_domid(words[1], &ring.domid) ||
	    !read_number(words[2], (uint64_t)UINT32_MAX + 1, &port) ||
	    !read_number(words[3], INT64_MAX, &gfn))
		return -EBADMSG;
	ring.port = (uint32_t)port;
	ring.local = RINGS_PORT_BASE + ring.domid;
	ring.gfn = (int64_t)gfn;
	ring.has_target = strcmp(words[4], "-");
	if (ring.has_target && !read_domid(words[4], &ring.target))
		return -EBADMSG;
	return exchange_plan_ring(plan, ring.domid) ? -EEXIST : add_ring(plan, &ring);
}

/* Its path, where blanks are its own */
static int set_daemon(struct exchange_plan *plan, const char *path)
{
	if (plan->daemon)
		return -EEXIST;
	plan->daemon = strdup(path);
	return plan->daemon ? 0 : -ENOMEM;
}

/* "daemon PATH", or "daemon NAME" (daemon_beside()) */
static int read_daemon(struct exchange_plan *plan, const char *path)
{
	if (*path != '/' && strcmp(path, "xenstored") && strcmp(path, "oxenstored"))
		return -EBADMSG;
	return set_daemon(plan, path);
}

/* "arguments WORD..." */
static int read_arguments(struct exchange_plan *plan, const char *words)
{
	if (plan->arguments)
		return -EEXIST;
	plan->arguments = strdup(words);
	return plan->arguments ? 0 : -ENOMEM;
}

static int read_line(struct exchange_plan *plan, char *line)
{
	static const char daemon[] = "daemon ", arguments[] = "arguments ";
	char *words[WORDS_MAX];
	int nr;

	if (!strncmp(line, daemon, sizeof(daemon) - 1))
		return read_daemon(plan, line + sizeof(daemon) - 1);
	if (!strncmp(line, arguments, sizeof(arguments) - 1))
		return read_arguments(plan, line + sizeof(arguments) - 1);
	nr = split(line, words);
	return nr && !strcmp(words[0], "ring") ? read_ring(plan, words, nr) : -EBADMSG;
}

/* @what: "line" number @nr "of the plan" */
static int refuse(struct reason *reason, int r, const char *what, int nr, const char *of)
{
	if (r == -EEXIST)
		return reason_set(reason, -EBADMSG, "%s %d of the %s was given before", what, nr,
				  of);
	if (r == -EBADMSG)
		return reason_set(reason, r, "%s %d of the %s makes no sense", what, nr, of);
	return reason_set(reason, r, "the %s: %s", of, strerror(-r));
}

static int read_lines(struct exchange_plan *plan, char *text, struct reason *reason)
{
	char *rest = NULL;
	int nr = 0;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		int r = read_line(plan, line);

		nr++;
		if (r)
			return refuse(reason, r, "line", nr, "plan");
	}
	return 0;
}

int exchange_plan_read(struct exchange_plan **out, int fd, struct reason *reason)
{
	struct exchange_plan *plan = NULL;
	char *text;
	int r = memfd_string(&text, fd, EXCHANGE_PLAN_MAX);

	if (r)
		return reason_set(reason, r, "cannot read the plan: %s", strerror(-r));
	plan = calloc(1, sizeof(*plan));
	r = plan ? read_lines(plan, text, reason)
		 : reason_set(reason, -ENOMEM, "the plan: %s", strerror(ENOMEM));
	free(text);
	if (r) {
		exchange_plan_free(plan);
		return r;
	}
	*out = plan;
	return 0;
}

/* --- what connections have */

static int take_daemon(struct exchange_plan *plan, const struct conns_view *view)
{
	char *path = strndup((const char *)view->in, view->record.in_len);
	int r;

	if (!path)
		return -ENOMEM;
	r = *path == '/' && strlen(path) == view->record.in_len ? set_daemon(plan, path) : -EBADMSG;
	free(path);
	return r;
}

static int take_ring(struct exchange_plan *plan, const struct conns_view *view)
{
	const struct conns_record *record = &view->record;
	bool has_target = record->target != CONNS_NO_TARGET;
	struct exchange_ring ring = { .domid = (uint16_t)record->number,
				      .port = record->port,
				      .local = record->local,
				      .gfn = (int64_t)record->gfn,
				      .has_target = has_target,
				      .target = (uint16_t)record->target,
				      .has = *view };

	if (record->number >= EXCHANGE_DOMIDS || ring.gfn < 0 || !record->local ||
	    (has_target && record->target >= EXCHANGE_DOMIDS))
		return -EBADMSG;
	return exchange_plan_ring(plan, record->number) ? -EEXIST : add_ring(plan, &ring);
}

static int take_socket(struct exchange_plan *plan, const struct conns_view *view,
		       const int *sockets, size_t nr)
{
	size_t number = view->record.number;

	if (number != plan->nr_sockets)
		return number < plan->nr_sockets ? -EEXIST : -EBADMSG;
	if (number >= nr)
		return -EBADMSG;
	plan->sockets[plan->nr_sockets++] = (struct exchange_socket){ sockets[number], *view };
	return 0;
}

static int take(struct exchange_plan *plan, const struct conns_view *view, const int *sockets,
		size_t nr)
{
	switch (view->record.kind) {
	case CONNS_DAEMON:
		return take_daemon(plan, view);
	case CONNS_RING:
		return take_ring(plan, view);
	default:
		return take_socket(plan, view, sockets, nr);
	}
}

static int take_all(struct exchange_plan *plan, size_t len, const int *sockets, size_t nr,
		    struct reason *reason)
{
	struct conns conns = { .octets = plan->octets, .len = len };
	struct conns_view view;
	int r, count = 0;

	while ((r = conns_next(&conns, &view)) > 0) {
		count++;
		r = take(plan, &view, sockets, nr);
		if (r)
			return refuse(reason, r, "record", count, "connections");
	}
	if (r)
		return refuse(reason, r, "record", count + 1, "connections");
	if (plan->nr_sockets != nr)
		return reason_set(reason, -EBADMSG, "%zu sockets came, %zu of them known", nr,
				  plan->nr_sockets);
	return 0;
}

int exchange_plan_conns(struct exchange_plan **out, int fd, const int *sockets, size_t nr,
			struct reason *reason)
{
	struct exchange_plan *plan = calloc(1, sizeof(*plan));
	size_t len = 0;
	int r = plan ? memfd_octets(&plan->octets, &len, fd, EXCHANGE_CONNS_MAX) : -ENOMEM;

	if (!r) {
		plan->sockets = calloc(nr + 1, sizeof(*plan->sockets));
		r = plan->sockets ? 0 : -ENOMEM;
	}
	if (r)
		reason_set(reason, r, "cannot read the connections: %s", strerror(-r));
	else
		r = take_all(plan, len, sockets, nr, reason);
	if (r) {
		exchange_plan_free(plan);
		return r;
	}
	*out = plan;
	return 0;
}

void exchange_plan_free(struct exchange_plan *plan)
{
	if (!plan)
		return;
	free(plan->daemon);
	free(plan->arguments);
	free(plan->rings);
	free(plan->sockets);
	free(plan->octets);
	free(plan);
}

const struct exchange_ring *exchange_plan_ring(const struct exchange_plan *plan, uint32_t domid)
{
	uint16_t index = domid < EXCHANGE_DOMIDS ? plan->index[domid] : 0;

	return index ? &plan->rings[index - 1] : NULL;
}
