// SPDX-License-Identifier: MIT
#include "proxy/control/control_json.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool continues(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* The length of the UTF-8 character at @p if it may stay as it is, or 0. */
static size_t printable(const unsigned char *p)
{
	if (p[0] >= 0x20 && p[0] < 0x7f)
		return p[0] != '\\';
	/* U+0080 to U+009f are control characters; overlong forms, surrogates and > U+10ffff. */
	if (p[0] >= 0xc2 && p[0] <= 0xdf && continues(p[1]))
		return p[0] == 0xc2 && p[1] < 0xa0 ? 0 : 2;
	if (p[0] >= 0xe0 && p[0] <= 0xef && continues(p[1]) && continues(p[2]))
		return (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ? 0 : 3;
	if (p[0] >= 0xf0 && p[0] <= 0xf4 && continues(p[1]) && continues(p[2]) && continues(p[3]))
		return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90) ? 0 : 4;
	return 0;
}

json_t *control_json_text(const char *text)
{
	char *out = malloc(4 * strlen(text) + 1);
	json_t *value;
	size_t n = 0;

	if (!out)
		return NULL;
	while (*text) {
		size_t len = printable((const unsigned char *)text);

		if (len) {
			memcpy(out + n, text, len);
			text += len;
			n += len;
		} else if (*text == '\\') {
			memcpy(out + n, "\\\\", 2);
			text++;
			n += 2;
		} else {
			n += (size_t)sprintf(out + n, "\\x%02x", (unsigned char)*text++);
		}
	}
	value = json_stringn(out, n);
	free(out);
	return value;
}

void control_json_append(json_t **list, json_t *value)
{
	if (!json_array_append_new(*list, value))
		return;
	json_decref(*list);
	*list = NULL;
}
