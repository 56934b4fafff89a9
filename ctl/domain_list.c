/* SPDX-License-Identifier: MIT */
/*
 * domain_list - see domain_list.h.
 */
#include "ctl/domain_list.h"

#include <errno.h>

int domain_list(struct control *control, json_t *all, const struct report *report)
{
	json_int_t index = 0;
	json_t *page, *next;
	int r;

	do {
		r = control_run(control, "domains", json_pack("{s:I}", "index", index), &page,
				report);
		if (r)
			return r;
		r = json_array_extend(all, json_object_get(page, "domains"));
		next = json_object_get(page, "next");
		index = json_is_integer(next) ? json_integer_value(next) : 0;
		json_decref(page);
		if (r)
			return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	} while (index);
	return 0;
}
