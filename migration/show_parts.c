// SPDX-License-Identifier: MIT
/* show_parts - see show_parts.h. */
#include "migration/show_parts.h"

#include "migration/format/state.h"
#include "text/escape.h"

#include <errno.h>

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
		char perm[STATE_PERM_TEXT_MAX];

		state_perm_text(perm, &node->perms[i]);
		fprintf(out, "%s%s", i ? "," : "", perm);
	}
}

json_t *show_json_perms(const struct record_node *node)
{
	json_t *perms = json_array();

	for (size_t i = 0; perms && i < node->nr_perms; i++) {
		char text[STATE_PERM_TEXT_MAX];

		state_perm_text(text, &node->perms[i]);
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

int show_finish(FILE *out, int r)
{
	return !r && (fflush(out) || ferror(out)) ? show_error() : r;
}
