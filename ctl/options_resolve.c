// SPDX-License-Identifier: MIT
/*
 * options_resolve - which domains are meant by their names.
 */
#include "ctl/names.h"
#include "ctl/options.h"

#include <errno.h>
#include <string.h>

struct resolving {
	struct names *names; /* NULL: none was asked for yet */
	const struct options *options;
	const struct report *report;
};

static int read_names(struct resolving *resolving)
{
	const struct report *report = resolving->report;
	int r;

	if (resolving->names)
		return 0;
	r = names_new(&resolving->names, resolving->options, NAMES_ALL, false, report);
	if (r)
		return r;
	r = names_settle(resolving->names, NAMES_WAIT_MS);
	if (r)
		report_fail(report, r,
			    "cannot read the names of domains: %s; give the number, as xl list "
			    "prints it",
			    r == -ETIMEDOUT ? "xenstored does not answer" : report_reason(r));
	return r;
}

static int resolve(struct resolving *resolving, const char *name, uint16_t *domid)
{
	const struct report *report = resolving->report;
	char text[REPORT_OCTETS_MAX];
	uint32_t found;
	int r;

	if (!name)
		return 0;
	r = read_names(resolving);
	if (r)
		return r;
	r = names_find(resolving->names, name, &found);
	report_octets(text, name, strlen(name));
	if (r == -ENOTUNIQ)
		return report_fail(report, r,
				   "several domains are called %s: give the number, as xl list "
				   "prints it",
				   text);
	if (r)
		return report_fail(report, r, "no domain is called %s; see xl list", text);
	*domid = (uint16_t)found;
	return 0;
}

int options_resolve(struct options *options, enum option_argument argument,
		    const struct report *report)
{
	struct resolving resolving = { NULL, options, report };
	const struct filter *filter = &options->filter;
	int r = resolve(&resolving, options->name, &options->domid);

	for (size_t i = 0; !r && i < filter->nr_domids; i++)
		r = resolve(&resolving, filter->names[i], &filter->domids[i]);
	names_free(resolving.names);
	if (!r && argument == ARGUMENT_GUEST && options->name && !options->domid)
		return report_fail(report, -EINVAL, "%s is domain 0, and must be a guest",
				   options->name);
	return r;
}
