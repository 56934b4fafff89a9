// SPDX-License-Identifier: MIT
/*
 * domain_list - see domain_list.h.
 */
#include "ctl/domain_list.h"

#include "ctl/print.h"

#include <errno.h>

/* @command's answers have the list by that name, too. */
static int list(struct control *control, const char *command, json_t *all,
		const struct report *report)
{
	json_int_t index = 0;
	json_t *page, *next;
	int r;

	do {
		r = control_run(control, command, json_pack("{s:I}", "index", index), &page,
				report);
		if (r)
			return r;
		r = json_array_extend(all, json_object_get(page, command));
		next = json_object_get(page, "next");
		index = json_is_integer(next) ? json_integer_value(next) : 0;
		json_decref(page);
		if (r)
			return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	} while (index);
	return 0;
}

int domain_list(struct control *control, json_t *all, const struct report *report)
{
	return list(control, "domains", all, report);
}

int domain_list_wanted(const struct options *options, json_t *all, const struct report *report)
{
	struct control *control = NULL;
	json_t *one = NULL;
	int r = control_open(&control, options, report);

	if (!r && !options->has_domid)
		r = domain_list(control, all, report);
	else if (!r)
		r = control_run(control, "domain", json_pack("{s:i}", "domid", options->domid),
				&one, report);
	control_free(control);
	if (one && json_array_append_new(all, one))
		r = report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	return r;
}

int client_list(struct control *control, json_t *all, const struct report *report)
{
	return list(control, "clients", all, report);
}

int domain_introduced(struct control *control, uint16_t domid, bool *is,
		      const struct report *report)
{
	json_t *page, *first;
	int r = control_run(control, "domains", json_pack("{s:i}", "index", domid), &page, report);

	if (r)
		return r;
	first = json_array_get(json_object_get(page, "domains"), 0);
	*is = print_number(first, "domid") == domid &&
	      json_is_true(json_object_get(first, "introduced"));
	json_decref(page);
	return 0;
}
