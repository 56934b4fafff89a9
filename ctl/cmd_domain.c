/* SPDX-License-Identifier: MIT */
/*
 * cmd_domain - the commands about one domain's session that are one request to xsproxyd each.
 */
#include "ctl/command.h"
#include "ctl/print.h"
#include "migration/remote.h"
#include "migration/wire.h"
#include "text/buffer.h"
#include "text/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int connect_socket(struct wire **wire, const struct options *options,
			  const struct report *report)
{
	int r = wire_open(wire, options->socket);

	if (r)
		return report_no_connection(report, r, options->socket);
	wire_set_slow(*wire, report_slow, report);
	return 0;
}

/* --- requests without an answer but OK */

static int request(const struct options *options, const struct report *report,
		   int (*fn)(struct wire *wire, uint16_t domid))
{
	struct wire *wire = NULL;
	char text[REMOTE_WHY_MAX];
	int r = connect_socket(&wire, options, report);

	if (r)
		return r;
	r = fn(wire, options->domid);
	if (r == -EEXIST)
		report_fail(report, r,
			    "domain %u is introduced already; quiesce it, or hold it before its "
			    "INTRODUCE",
			    options->domid);
	else if (r)
		report_fail(report, r, "domain %u: %s", options->domid,
			    remote_quiesce_reason(wire, options->domid, r, text));
	wire_free(wire);
	return r;
}

int command_quiesce(const struct options *options, const struct report *report)
{
	return options->lease ? command_quiesce_lease(options, report)
			      : request(options, report, remote_quiesce);
}

int command_unquiesce(const struct options *options, const struct report *report)
{
	return request(options, report, remote_unquiesce);
}

int command_hold(const struct options *options, const struct report *report)
{
	return options->hold_new ? command_hold_new(options, report)
				 : request(options, report, remote_hold);
}

/* --- lists */

/* Takes over @value, which is NULL when memory ran out. */
static int print_and_drop(json_t *value)
{
	int r = print_json(value);

	json_decref(value);
	return r;
}

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

static int print_watch(const struct remote_watch *watch, int width)
{
	char *path = escaped(watch->path), *token = escaped(watch->token);
	char *depth = escaped(watch->depth ? watch->depth : "");
	bool good = path && token && depth;

	if (good)
		printf("%-*s  %s%s%s\n", width, path, token, watch->depth ? "  depth " : "", depth);
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
		r = print_watch(&watches->list[i], width);
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

int command_watches(const struct options *options, const struct report *report)
{
	struct remote_watches watches = { 0 };
	struct wire *wire = NULL;
	int r = connect_socket(&wire, options, report);

	if (r)
		return r;
	r = remote_get_watches(wire, options->domid, &watches);
	wire_free(wire);
	if (r)
		return report_fail(report, r, "domain %u: %s", options->domid, remote_reason(r));
	r = options->json ? print_and_drop(watches_json(options->domid, &watches))
			  : print_watches(&watches);
	remote_watches_free(&watches);
	return print_end(r, report);
}

static void print_transactions(const struct remote_transactions *transactions)
{
	puts("TRANSACTION");
	for (size_t i = 0; i < transactions->nr; i++)
		printf("%" PRIu32 "\n", transactions->ids[i]);
}

static json_t *transactions_json(uint16_t domid, const struct remote_transactions *transactions)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < transactions->nr; i++)
		if (json_array_append_new(list, json_integer(transactions->ids[i]))) {
			json_decref(list);
			list = NULL;
		}
	return json_pack("{s:i,s:o}", "domid", domid, "transactions", list);
}

int command_transactions(const struct options *options, const struct report *report)
{
	struct remote_transactions transactions;
	struct wire *wire = NULL;
	int r = connect_socket(&wire, options, report);

	if (r)
		return r;
	r = remote_get_transactions(wire, options->domid, &transactions);
	wire_free(wire);
	if (r)
		return report_fail(report, r, "domain %u: %s", options->domid, remote_reason(r));
	if (options->json)
		r = print_and_drop(transactions_json(options->domid, &transactions));
	else
		print_transactions(&transactions);
	free(transactions.ids);
	return print_end(r, report);
}
