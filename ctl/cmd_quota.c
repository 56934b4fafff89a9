// SPDX-License-Identifier: MIT
/*
 * cmd_quota - what domains have of what they may have: as xenstored says when asked, and as
 * xsproxyd has counted.
 *
 * The C daemon tells all by CONTROL quota; oxenstored how many nodes a domain has and may have.
 */
#include "ctl/command.h"
#include "ctl/domain_list.h"
#include "ctl/names.h"
#include "ctl/print.h"
#include "ctl/store.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#define UNKNOWN	  (-1) /* or no bound */
#define LINES_MAX 32
#define LABEL_MAX 24
#define CELL_MAX  48
#define SHARE_MAX 97 /* two of these, and what is between them */

struct line {
	char name[LABEL_MAX];
	int64_t has, may;
};

struct quota {
	struct line lines[LINES_MAX];
	size_t nr;
};

/* --- what xenstored says */

static struct line *line_of(struct quota *quota, const char *name)
{
	struct line *line;

	for (size_t i = 0; i < quota->nr; i++)
		if (!strcmp(quota->lines[i].name, name))
			return &quota->lines[i];
	if (quota->nr == LINES_MAX)
		return NULL;
	line = &quota->lines[quota->nr++];
	*line = (struct line){ .has = UNKNOWN, .may = UNKNOWN };
	snprintf(line->name, sizeof(line->name), "%s", name);
	return line;
}

static void note(struct quota *quota, const char *name, int64_t has, int64_t may)
{
	struct line *line = line_of(quota, name);

	if (line && has != UNKNOWN)
		line->has = has;
	if (line && may != UNKNOWN)
		line->may = may;
}

/* A number that stands at the beginning of @text; UNKNOWN where there is none. */
static int64_t number_at(const char *text, char **end)
{
	long long number;

	errno = 0;
	number = strtoll(text, end, 10);
	return errno || *end == text || number < 0 ? UNKNOWN : number;
}

/* "nodes : 1000 Nodes per domain", of what there may be or of what there is. */
static void read_line(struct quota *quota, const char *line, bool is_most)
{
	const char *name = line + strspn(line, " "), *colon = strchr(name, ':');
	char label[LABEL_MAX], *end;
	int64_t number = colon ? number_at(colon + 1, &end) : UNKNOWN;

	if (number == UNKNOWN)
		return;
	snprintf(label, sizeof(label), "%.*s", (int)strcspn(name, " :"), name);
	note(quota, label, is_most ? UNKNOWN : number, is_most ? number : UNKNOWN);
}

static void read_lines(struct quota *quota, char *text, bool is_most)
{
	for (char *rest, *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest))
		read_line(quota, line, is_most);
}

/* Oxenstored: "dom7 quota: 57/1000" */
static bool read_nodes(struct quota *quota, const char *text)
{
	static const char before[] = " quota: ";
	const char *numbers = strstr(text, before);
	int64_t has;
	char *end;

	if (!numbers || strncmp(text, "dom", 3) != 0)
		return false;
	has = number_at(numbers + sizeof(before) - 1, &end);
	note(quota, "nodes", has, *end == '/' ? number_at(end + 1, &end) : UNKNOWN);
	return true;
}

/* @domid: NULL: what any domain may have. Not everybody may ask, and not every daemon answers. */
static void ask(struct xs_handle *xs, struct quota *quota, const char *domid)
{
	char argument[CELL_MAX] = "";
	char *text;

	if (domid)
		snprintf(argument, sizeof(argument), "%s", domid);
	text = xs_control_command(xs, "quota", argument,
				  domid ? (unsigned int)strlen(domid) + 1 : 0);
	if (!text)
		return;
	if (!domid || !read_nodes(quota, text))
		read_lines(quota, text, !domid);
	free(text);
}

/* --- with what xsproxyd knows */

static int64_t number_of(const json_t *domain, const char *key)
{
	const json_t *value = json_object_get(domain, key);

	return json_is_integer(value) ? json_integer_value(value) : UNKNOWN;
}

static void add_ours(struct quota *quota, const json_t *domain)
{
	int64_t most = number_of(domain, "watches_max");
	const struct line *watches = line_of(quota, "watches");

	/* Our own bound counts where it is the lower one, and none for who is privileged. */
	if (watches && most != UNKNOWN && watches->may != UNKNOWN && watches->may < most)
		most = watches->may;
	note(quota, "watches", number_of(domain, "watches"), most);
	note(quota, "transactions", number_of(domain, "transactions"), UNKNOWN);
	note(quota, "watch-memory", number_of(domain, "watch_octets"),
	     number_of(domain, "watch_bound"));
}

/* --- what is printed */

static const char *cell(char out[CELL_MAX], int64_t number)
{
	if (number == UNKNOWN)
		return strcpy(out, "-");
	snprintf(out, CELL_MAX, "%" PRId64, number);
	return out;
}

static void print_one(const struct quota *quota)
{
	printf("%-18s %12s %12s\n", "QUOTA", "HAS", "MAY HAVE");
	for (size_t i = 0; i < quota->nr; i++) {
		const struct line *line = &quota->lines[i];
		char has[CELL_MAX], may[CELL_MAX];

		printf("%-18s %12s %12s\n", line->name, cell(has, line->has), cell(may, line->may));
	}
}

/* "129/128" */
static const char *share(char out[SHARE_MAX], struct quota *quota, const char *name)
{
	const struct line *line = line_of(quota, name);
	char has[CELL_MAX], may[CELL_MAX];

	if (!line || line->has == UNKNOWN)
		return strcpy(out, "-");
	snprintf(out, SHARE_MAX, "%s/%s", cell(has, line->has), cell(may, line->may));
	return out;
}

#define ROW "%-6s %-16s %13s %13s %13s %17s\n"

static void print_row(const json_t *domain, struct quota *quota, struct names *names)
{
	char cells[4][SHARE_MAX], domid[CELL_MAX], name[REPORT_OCTETS_MAX];
	int64_t number = print_number(domain, "domid");

	printf(ROW, cell(domid, number), names_text(names, (uint32_t)number, name),
	       share(cells[0], quota, "watches"), share(cells[1], quota, "nodes"),
	       share(cells[2], quota, "transactions"), share(cells[3], quota, "memory"));
}

static json_t *number_json(int64_t number)
{
	return number == UNKNOWN ? json_null() : json_integer(number);
}

static json_t *domain_json(const json_t *domain, const struct quota *quota)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < quota->nr; i++) {
		const struct line *line = &quota->lines[i];

		if (json_array_append_new(list, json_pack("{s:s,s:o,s:o}", "quota", line->name,
							  "has", number_json(line->has), "may",
							  number_json(line->may)))) {
			json_decref(list);
			list = NULL;
		}
	}
	return json_pack("{s:O,s:O,s:o}", "domid", json_object_get(domain, "domid"), "name",
			 json_object_get(domain, "name"), "quotas", list);
}

/* --- the command */

struct quotas {
	const struct options *options;
	struct xs_handle *xs;
	struct names *names;
	struct quota most; /* of any domain */
	json_t *found;
};

static int look_at(struct quotas *quotas, json_t *domain)
{
	int64_t number = print_number(domain, "domid");
	/* Dom0 may have any number of all. */
	struct quota quota = number ? quotas->most : (struct quota){ .nr = 0 };
	char domid[CELL_MAX];
	int r = names_join(quotas->names, domain);

	ask(quotas->xs, &quota, cell(domid, number));
	add_ours(&quota, domain);
	if (quotas->options->json)
		r |= json_array_append_new(quotas->found, domain_json(domain, &quota));
	else if (quotas->options->has_domid)
		print_one(&quota);
	else
		print_row(domain, &quota, quotas->names);
	return r ? -ENOMEM : 0;
}

static int look_at_all(struct quotas *quotas, const json_t *all, const struct report *report)
{
	json_t *domain;
	size_t i;
	int r = store_open(&quotas->xs, quotas->options, report);

	if (r)
		return r;
	ask(quotas->xs, &quotas->most, NULL);
	if (!quotas->options->json && !quotas->options->has_domid)
		printf(ROW, "DOMID", "NAME", "WATCHES", "NODES", "TRANSACTIONS", "MEMORY");
	json_array_foreach(all, i, domain)
	{
		/* One without a session has been introduced to nobody. */
		if (!r && (quotas->options->has_domid || json_object_get(domain, "session")))
			r = look_at(quotas, domain);
	}
	store_close(quotas->xs);
	return r ? report_fail(report, r, "%s", report_reason(r)) : 0;
}

int command_quota(const struct options *options, const struct report *report)
{
	struct quotas quotas = { .options = options, .found = json_array() };
	json_t *all = json_array();
	int r = domain_list_wanted(options, all, report);

	if (!r)
		r = names_ask(&quotas.names, options, NAMES_ALL, false, report);
	if (!r)
		r = look_at_all(&quotas, all, report);
	if (!r && options->json)
		r = print_json_new(json_pack("{s:O}", "domains", quotas.found));
	if (!r)
		r = print_end(0, report);
	names_free(quotas.names);
	json_decref(quotas.found);
	json_decref(all);
	return r;
}
