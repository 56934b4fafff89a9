/* SPDX-License-Identifier: MIT */
/*
 * remake_bed - a state is made of another one, and looked at.
 */
#ifndef XSPROXY_TESTS_UNIT_REMAKE_BED_H
#define XSPROXY_TESTS_UNIT_REMAKE_BED_H

#include "tests/unit/state_bed.h"

#include <errno.h>

#include "starter/remake.h"

#define SAID_MAX 4096

/* The domains that Xen has beside those with a ring; and how often that was asked. */
struct xen {
	const uint16_t *domids;
	size_t nr;
	int error;
	unsigned int asked;
};

static inline int xen_has(void *opaque, uint16_t domid)
{
	struct xen *xen = opaque;

	xen->asked++;
	for (size_t i = 0; i < xen->nr; i++)
		if (xen->domids[i] == domid)
			return 1;
	return xen->error;
}

struct made {
	char *octets;
	size_t len;
	char said[SAID_MAX];
	struct reason reason;
};

static inline int make(struct made *made, const void *octets, size_t len,
		       const struct remake_options *options)
{
	struct omissions *omissions;
	FILE *file, *told;
	struct report report;
	int fd = input_fd(octets, len), r;

	memset(made, 0, sizeof(*made));
	file = open_memstream(&made->octets, &made->len);
	told = fmemopen(made->said, SAID_MAX, "w");
	assert_non_null(file);
	assert_non_null(told);
	report = (struct report){ told, "it" };
	assert_int_equal(omissions_new(&omissions, &report, NULL), 0);
	r = remake_state(fd, file, options, omissions, &made->reason);
	omissions_free(omissions);
	fclose(told);
	fclose(file);
	close(fd);
	return r;
}

/* What the C daemon's always has is not said each time: it stands before the last line. */
static inline void add_specials(char *to, const char *want)
{
	static const char *const specials[] = { "node @introduceDomain n0 \"\"\n",
						"node @releaseDomain n0 \"\"\n" };
	const char *format = strstr(want, "format: C");
	size_t len = format ? (size_t)(format - want) : strlen(want);

	to += sprintf(to, "%.*s", (int)len, want);
	for (int i = 0; format && i < 2; i++)
		if (!strstr(want, specials[i]))
			to += sprintf(to, "%s", specials[i]);
	strcpy(to, want + len);
}

/* What is shown of it, without the summary at its end, and what was said. */
static inline void assert_is(struct made *made, const char *want, const char *want_said)
{
	char *text = state_shown(made->octets, made->len, false), expected[SAID_MAX];

	*strstr(text, ", connections: ") = '\0';
	add_specials(expected, want);
	assert_string_equal(text, expected);
	assert_string_equal(made->said, want_said);
	free(text);
	free(made->octets);
}

#endif
