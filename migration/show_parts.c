// SPDX-License-Identifier: MIT
/* show_parts - see show_parts.h. */
#include "migration/show_parts.h"

#include "migration/format/state.h"
#include "text/escape.h"

#include <errno.h>

#define PERM_MAX 16 /* octets of "n65535 (stale)" and NUL */

/* What is no domain has no number; STATE_PERM_* is never in a libxl stream. */
static void format_perm(char text[PERM_MAX], const struct record_perm *perm)
{
	if (perm->pad & STATE_PERM_ODD)
		snprintf(text, PERM_MAX, "%c?", perm->letter);
	else
		snprintf(text, PERM_MAX, "%c%u%s", perm->letter, record_perm_domid(perm),
			 perm->pad & STATE_PERM_STALE ? "(stale)" : "");
}

void show_octets(FILE *out, const char *octets, size_t len)
{
	escape_text(out, octets, len, "\\ ");
}

void show_path(FILE *out, const char *word, const char *path, size_t len)
{
	fprintf(out, "%s ", word);
	show_octets(out, path, len);
	fputc(' ', out);
}

void show_quoted(FILE *out, const char *octets, size_t len)
{
	fputc('"', out);
	escape_text(out, octets, len, "\\\"");
	fputc('"', out);
}

void show_perms(FILE *out, const struct record_node *node)
{
	for (size_t i = 0; i < node->nr_perms; i++) {
		char perm[PERM_MAX];

		format_perm(perm, &node->perms[i]);
		fprintf(out, "%s%s", i ? "," : "", perm);
	}
}

json_t *show_json_perms(const struct record_node *node)
{
	json_t *perms = json_array();

	for (size_t i = 0; perms && i < node->nr_perms; i++) {
		char text[PERM_MAX];

		format_perm(text, &node->perms[i]);
		if (json_array_append_new(perms, json_string(text))) {
			json_decref(perms);
			perms = NULL;
		}
	}
	return perms;
}

int show_json_line(FILE *out, json_t *line)
{
	int r;

	if (!line)
		return -ENOMEM;
	r = json_dumpf(line, out, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(line);
	fputc('\n', out);
	return r && !ferror(out) ? -ENOMEM : 0;
}

int show_error(void)
{
	return errno ? -errno : -EIO;
}
