// SPDX-License-Identifier: MIT
/*
 * urge_blame - what a xenstored answers that cannot do a live update now, in words. See urge.h.
 *
 * The C daemon has lines as "Domain 7: 3 s", oxenstored "D7: 1 tx, out: false, perm: ..." for a
 * ring and "A1: ..." for a socket.
 */
#include "ctl/urge.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define C_HEAD "Domains with long running transactions:"
#define OX_OUT " tx, out:"
#define LINE   256

static bool take_text(const char **at, const char *text)
{
	size_t len = strlen(text);
	bool is = !strncmp(*at, text, len);

	if (is)
		*at += len;
	return is;
}

static bool take_number(const char **at, unsigned long *number)
{
	char *end = NULL;

	if (!isdigit((unsigned char)**at))
		return false;
	*number = strtoul(*at, &end, 10);
	*at = end;
	return true;
}

static bool take_c(const char *at, char text[LINE])
{
	unsigned long domid, seconds;

	if (!take_text(&at, "Domain ") || !take_number(&at, &domid) || !take_text(&at, ": ") ||
	    !take_number(&at, &seconds))
		return false;
	snprintf(text, LINE, "domain %lu%s has had a transaction open for %lu s", domid,
		 domid ? "" : " (or a toolstack)", seconds);
	return true;
}

/* Whether there are two entries: the domain's own, and that of whom it has by SET_TARGET. */
static bool has_target(const char *line)
{
	const char *first = strstr(line, "\"rw\"");

	return first && strstr(first + 1, "\"rw\"");
}

/* "" for one that says no more than that somebody was just answered. */
static bool take_ox(const char *at, char text[LINE])
{
	bool ring = *at == 'D';
	unsigned long number, nr;
	char who[64] = "a toolstack's connection";

	if ((!take_text(&at, "D") && !take_text(&at, "A")) || !take_number(&at, &number) ||
	    !take_text(&at, ": ") || !take_number(&at, &nr) || !take_text(&at, OX_OUT))
		return false;
	if (ring)
		snprintf(who, sizeof(who), "domain %lu", number);
	if (nr)
		snprintf(text, LINE, "%s has %lu transaction%s open", who, nr, nr == 1 ? "" : "s");
	else
		snprintf(text, LINE, "%s%s", has_target(at) ? who : "",
			 has_target(at) ? " has a target (SET_TARGET)" : "");
	return true;
}

static void take_line(const char *line, char *out, size_t size)
{
	char text[LINE];
	size_t len;

	if (!strcmp(line, C_HEAD))
		return;
	if (!take_c(line, text) && !take_ox(line, text)) {
		snprintf(text, sizeof(text), "%s", line);
		len = strlen(text);
		if (len && text[len - 1] == '.')
			text[len - 1] = '\0';
	}
	len = strlen(out);
	if (*text)
		snprintf(out + len, size - len, "%s%s", len ? ", " : "", text);
}

void urge_blame(const char *answer, size_t len, char *out, size_t size)
{
	char *text = strndup(answer, len), *next = text;

	*out = '\0';
	while (next) {
		const char *line = strsep(&next, "\n");

		take_line(line, out, size);
	}
	free(text);
	if (!*out)
		snprintf(out, size, "a connection has a request or an answer in part");
}
