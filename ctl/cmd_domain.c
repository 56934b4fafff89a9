// SPDX-License-Identifier: MIT
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
		r = print_json_new(transactions_json(options->domid, &transactions));
	else
		print_transactions(&transactions);
	free(transactions.ids);
	return print_end(r, report);
}
