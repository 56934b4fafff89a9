// SPDX-License-Identifier: MIT
/*
 * exchange_plan - see exchange_plan.h.
 */
#include "starter/exchange_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
	ring.gfn = (int64_t)gfn;
	ring.has_target = strcmp(words[4], "-");
	if (ring.has_target && !read_domid(words[4], &ring.target))
		return -EBADMSG;
	return exchange_plan_ring(plan, ring.domid) ? -EEXIST : add_ring(plan, &ring);
}

/* "daemon PATH", where blanks in the path are its own */
static int read_daemon(struct exchange_plan *plan, const char *path)
{
	if (*path != '/')
		return -EBADMSG;
	if (plan->daemon)
		return -EEXIST;
	plan->daemon = strdup(path);
	return plan->daemon ? 0 : -ENOMEM;
}

static int read_line(struct exchange_plan *plan, char *line)
{
	static const char daemon[] = "daemon ";
	char *words[WORDS_MAX];
	int nr;

	if (!strncmp(line, daemon, sizeof(daemon) - 1))
		return read_daemon(plan, line + sizeof(daemon) - 1);
	nr = split(line, words);
	return nr && !strcmp(words[0], "ring") ? read_ring(plan, words, nr) : -EBADMSG;
}

static int read_lines(struct exchange_plan *plan, char *text, struct reason *reason)
{
	char *rest = NULL;
	int nr = 0;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		int r = read_line(plan, line);

		nr++;
		if (r == -EEXIST)
			return reason_set(reason, -EBADMSG, "line %d of the plan was given before",
					  nr);
		if (r == -EBADMSG)
			return reason_set(reason, r, "line %d of the plan makes no sense", nr);
		if (r)
			return reason_set(reason, r, "the plan: %s", strerror(-r));
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

void exchange_plan_free(struct exchange_plan *plan)
{
	if (!plan)
		return;
	free(plan->daemon);
	free(plan->rings);
	free(plan);
}

const struct exchange_ring *exchange_plan_ring(const struct exchange_plan *plan, uint32_t domid)
{
	uint16_t index = domid < EXCHANGE_DOMIDS ? plan->index[domid] : 0;

	return index ? &plan->rings[index - 1] : NULL;
}
