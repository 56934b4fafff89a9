// SPDX-License-Identifier: MIT
/*
 * escape - see escape.h.
 */
#include "text/escape.h"

#include <stdint.h>
#include <string.h>

#define ESCAPED_MAX 4 /* octets of "\xHH" */

void escape_text(FILE *out, const char *octets, size_t len, const char *also)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = octets[i];

		if (c < 0x20 || c > 0x7e || strchr(also, c))
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
}

/* The octets of the UTF-8 character at @s, as RFC 3629 has it, or 0. */
static size_t utf8_char(const unsigned char *s, size_t len)
{
	unsigned char low = 0x80, high = 0xbf; /* bounds of the second octet */
	size_t size;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	size = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0; /* overlong */
	else if (s[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (s[0] == 0xf0)
		low = 0x90; /* overlong */
	else if (s[0] == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	if (len < size || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < size; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return size;
}

json_t *escape_json(struct buffer *scratch, const char *octets, size_t len)
{
	const unsigned char *in = (const unsigned char *)octets;
	char *out;

	if (len > SIZE_MAX / ESCAPED_MAX - 1)
		return NULL;
	if (buffer_reserve(scratch, len * ESCAPED_MAX + 1)) /* 1: for snprintf()'s NUL */
		return NULL;
	out = scratch->data;
	for (size_t i = 0, size; i < len; i += size) {
		size = utf8_char(in + i, len - i);
		/* DEL is a control character that JSON does not escape. */
		if (!size || in[i] == '\\' || in[i] == 0x7f) {
			size = 1;
			out += snprintf(out, ESCAPED_MAX + 1, "\\x%02x", in[i]);
		} else {
			memcpy(out, in + i, size);
			out += size;
		}
	}
	return json_stringn(scratch->data, out - (char *)scratch->data);
}
