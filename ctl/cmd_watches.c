// SPDX-License-Identifier: MIT
/*
 * cmd_watches - the command about watches: those of one domain, or those on what is not there.
 */
#include "ctl/command.h"
#include "ctl/domain_list.h"
#include "ctl/print.h"
#include "ctl/stale.h"
#include "migration/remote.h"
#include "migration/wire.h"
#include "text/buffer.h"
#include "text/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* --- all of a domain's */

/* @text as show prints it; free() it. NULL when memory ran out. */
static char *escaped(const char *text)
{
	char *octets = NULL;
	size_t len;
	FILE *file = open_memstream(&octets, &len);

	if (!file)
		return NULL;
	escape_text(file, text, strlen(text), "\\ ");
	if (fclose(file)) {
		free(octets);
		return NULL;
	}
	return octets;
}

/* The width of the first column. */
static int path_width(const struct remote_watches *watches)
{
	size_t width = strlen("PATH");

	for (size_t i = 0; i < watches->nr; i++) {
		size_t len = strlen(watches->list[i].path);

		width = len > width && len <= 60 ? len : width;
	}
	return (int)width;
}

/* @why: it is listed; or NULL */
static int print_watch(const struct remote_watch *watch, int width, const char *why)
{
	char *path = escaped(watch->path), *token = escaped(watch->token);
	char *depth = escaped(watch->depth ? watch->depth : "");
	bool good = path && token && depth;

	if (good)
		printf("%-*s  %s%s%s%s%s\n", width, path, token, watch->depth ? "  depth " : "",
		       depth, why ? "  is stale: " : "", why ? why : "");
	free(path);
	free(token);
	free(depth);
	return good ? 0 : -ENOMEM;
}

static int print_watches(const struct remote_watches *watches)
{
	int width = path_width(watches), r = 0;

	printf("%-*s  %s\n", width, "PATH", "TOKEN");
	for (size_t i = 0; !r && i < watches->nr; i++)
		r = print_watch(&watches->list[i], width, NULL);
	return r;
}

static json_t *watch_json(struct buffer *scratch, const struct remote_watch *watch)
{
	json_t *item = json_pack("{s:o,s:o}", "path",
				 escape_json(scratch, watch->path, strlen(watch->path)), "token",
				 escape_json(scratch, watch->token, strlen(watch->token)));

	if (item && watch->depth &&
	    json_object_set_new(item, "depth",
				escape_json(scratch, watch->depth, strlen(watch->depth)))) {
		json_decref(item);
		item = NULL;
	}
	return item;
}

static json_t *watches_json(uint16_t domid, const struct remote_watches *watches)
{
	struct buffer scratch = { 0 };
	json_t *list = json_array();

	for (size_t i = 0; list && i < watches->nr; i++) {
		json_t *item = watch_json(&scratch, &watches->list[i]);

		if (json_array_append_new(list, item)) {
			json_decref(list);
			list = NULL;
		}
	}
	free(scratch.data);
	return json_pack("{s:i,s:o}", "domid", domid, "watches", list);
}

static int list_watches(struct wire *wire, const struct options *options,
			const struct report *report)
{
	struct remote_watches watches = { 0 };
	int r = remote_get_watches(wire, options->domid, &watches);

	if (r)
		return report_fail(report, r, "domain %u: %s", options->domid, remote_reason(r));
	r = options->json ? print_json_new(watches_json(options->domid, &watches))
			  : print_watches(&watches);
	remote_watches_free(&watches);
	return print_end(r, report);
}

/* --- those on what is not there */

/* {"domid","watches","watches_max","stale":[...]} */
static json_t *stale_json(const json_t *domain, const struct remote_watches *watches,
			  const struct stale *stale)
{
	struct buffer scratch = { 0 };
	json_t *list = json_array();
	int r = list ? 0 : -1;

	for (size_t i = 0; !r && i < watches->nr; i++) {
		char why[STALE_WHY_MAX];
		json_t *item;

		if (!stale_why(stale, i, why))
			continue;
		item = watch_json(&scratch, &watches->list[i]);
		r = json_object_set_new(item, "why", json_string(why));
		r |= json_array_append_new(list, item);
	}
	free(scratch.data);
	if (!r)
		return json_pack("{s:O,s:I,s:O,s:o}", "domid", json_object_get(domain, "domid"),
				 "watches", (json_int_t)watches->nr, "watches_max",
				 json_object_get(domain, "watches_max"), "stale", list);
	json_decref(list);
	return NULL;
}

static int print_stale(const json_t *domain, const struct remote_watches *watches,
		       const struct stale *stale)
{
	int r = 0;

	printf("domain %" PRId64 ": %zu of its %zu watches are on what is not there",
	       print_number(domain, "domid"), stale->nr, watches->nr);
	if (json_is_integer(json_object_get(domain, "watches_max")))
		printf("; it may have %" PRId64, print_number(domain, "watches_max"));
	putchar('\n');
	for (size_t i = 0; !r && i < watches->nr; i++) {
		char why[STALE_WHY_MAX];

		if (stale_why(stale, i, why))
			r = print_watch(&watches->list[i], 0, why);
	}
	return r;
}

/* @domain: as the control socket has it; @found: what is found is appended; NULL: printed */
static int find_stale(struct wire *wire, const json_t *domain, bool named, json_t *found,
		      const struct report *report)
{
	uint16_t domid = (uint16_t)print_number(domain, "domid");
	struct remote_watches watches = { 0 };
	struct stale stale = { 0 };
	int r = remote_get_watches(wire, domid, &watches);

	if (!r)
		r = stale_find(&stale, wire, domid, &watches);
	if (!r && !found && (named || stale.nr))
		r = print_stale(domain, &watches, &stale);
	else if (!r && found && (named || stale.nr) &&
		 json_array_append_new(found, stale_json(domain, &watches, &stale)))
		r = -ENOMEM;
	stale_clear(&stale);
	remote_watches_free(&watches);
	/* It may have ended since. */
	if (r == -ENOENT && !named)
		return 0;
	return r ? report_fail(report, r, "domain %u: %s", domid, remote_reason(r)) : 0;
}

/*
 * Have xenstored say how many watches a domain may have: xsproxyd takes note of the answer, and has
 * it in watches_max. Oxenstored does not say.
 */
static int ask_quota(struct wire *wire, const struct report *report)
{
	struct iovec part = wire_string("quota");
	int r = wire_call(wire, XS_CONTROL, 0, &part, 1, NULL);

	/* Not everybody may ask, and not every xenstored answers. */
	return !r || wire_answered(r) ? 0 : report_fail(report, r, "%s", remote_reason(r));
}

static int list_stale(struct wire *wire, const struct options *options, const struct report *report)
{
	json_t *all = json_array(), *found = options->json ? json_array() : NULL;
	const json_t *domain;
	int r = ask_quota(wire, report);
	bool printing;

	if (!r)
		r = domain_list_wanted(options, all, report);
	if (!r && options->json && !found)
		r = report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	for (size_t i = 0; !r && i < json_array_size(all); i++) {
		domain = json_array_get(all, i);
		if (options->has_domid || json_object_get(domain, "watches"))
			r = find_stale(wire, domain, options->has_domid, found, report);
	}
	printing = !r;
	if (printing && options->json)
		r = print_json_new(json_pack("{s:O}", "domains", found));
	json_decref(all);
	json_decref(found);
	return printing ? print_end(r, report) : r;
}

int command_watches(const struct options *options, const struct report *report)
{
	struct wire *wire = NULL;
	int r = wire_open(&wire, options->socket);

	if (r)
		return report_no_connection(report, r, options->socket);
	wire_set_slow(wire, report_slow, report);
	r = options->stale ? list_stale(wire, options, report)
			   : list_watches(wire, options, report);
	wire_free(wire);
	return r;
}
