// SPDX-License-Identifier: MIT
/*
 * survey - see survey.h.
 */
#include "migration/survey.h"

#include "migration/conversion.h"
#include "migration/reading.h"
#include "migration/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#define DOMIDS (UINT16_MAX + 1)

struct survey {
	struct wire *wire;
	bool ox; /* that is what runs */
	struct omissions *omissions;
	const struct report *report;
	struct conversion *conversion;
	bool owners[DOMIDS]; /* that the conversion has been told of */
};

/* --- nodes */

/*
 * Whether it lives is for whoever makes the state, who asks Xen. A domain that a toolstack is just
 * making has no connection either.
 */
static int take_for_alive(struct survey *survey, const struct record_perm *owner)
{
	uint16_t domid = record_perm_domid(owner);
	struct state_item item = {
		.kind = STATE_CONNECTION,
		.connection = { .peer = { .number = domid },
				.has_local = true,
				.has_remote = true },
	};
	int r;

	if (survey->owners[domid])
		return 0;
	survey->owners[domid] = true;
	r = conversion_item(survey->conversion, &item);
	return r < 0 ? r : 0;
}

static int look_at(void *arg, struct state_item *item, unsigned int missing)
{
	struct survey *survey = arg;
	int r = take_for_alive(survey, &item->node.node.perms[0]);

	(void)missing;
	if (!r)
		r = conversion_item(survey->conversion, item);
	return r < 0 ? r : 0;
}

int survey_nodes(struct survey *survey)
{
	return reading_run(survey->wire, survey->ox, survey->omissions, survey->report, look_at,
			   survey);
}

/* --- watches */

static int look_at_watch(struct survey *survey, uint16_t domid, const struct remote_watch *watch)
{
	char path[XENSTORE_PAYLOAD_MAX];
	bool relative = *watch->path != '/' && *watch->path != '@';
	/* In full, for whoever reads it must know whose it is. */
	int len = relative ? snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, watch->path)
			   : 0;
	bool full = len > 0 && len < (int)sizeof(path);
	struct state_item item = { .kind = STATE_WATCH,
				   .watch = { .peer = { .number = domid },
					      .path = full ? path : watch->path,
					      .path_len = strlen(full ? path : watch->path),
					      .token = watch->token,
					      .token_len = strlen(watch->token) } };
	int r;

	if (watch->depth) {
		item.watch.has_depth = true;
		item.watch.depth = strtoull(watch->depth, NULL, 10);
	}
	r = conversion_item(survey->conversion, &item);
	return r < 0 ? r : 0;
}

int survey_watches(struct survey *survey, uint16_t domid)
{
	struct remote_watches watches;
	int r = remote_get_watches(survey->wire, domid, &watches);

	if (r == -ENOENT)
		return 0;
	if (r)
		return report_fail(survey->report, r, "domain %u: %s", domid, remote_reason(r));
	for (size_t i = 0; !r && i < watches.nr; i++)
		r = look_at_watch(survey, domid, &watches.list[i]);
	remote_watches_free(&watches);
	return r ? report_fail(survey->report, r, "%s", report_reason(r)) : 0;
}

/* --- */

void survey_free(struct survey *survey)
{
	if (!survey)
		return;
	conversion_free(survey->conversion);
	free(survey);
}

int survey_new(struct survey **out, struct wire *wire, bool ox,
	       const struct conversion_options *options, struct omissions *omissions,
	       const struct report *report)
{
	struct survey *survey = calloc(1, sizeof(*survey));
	int r;

	if (!survey)
		return -ENOMEM;
	survey->wire = wire;
	survey->ox = ox;
	survey->omissions = omissions;
	survey->report = report;
	r = conversion_new(&survey->conversion, options, omissions);
	if (r) {
		survey_free(survey);
		return r;
	}
	*out = survey;
	return 0;
}
