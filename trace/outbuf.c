// SPDX-License-Identifier: MIT
#include "trace/outbuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIGITS_MAX 20 /* of a uint64_t */

void outbuf_free(struct outbuf *out)
{
	free(out->data);
	*out = (struct outbuf){ 0 };
}

void outbuf_drop(struct outbuf *out, size_t len)
{
	out->len -= len;
	if (out->len)
		memmove(out->data, out->data + len, out->len);
}

int outbuf_write(struct outbuf *out, int fd)
{
	size_t done = 0;
	int r = out->failed ? -ENOMEM : 0;

	while (!r && done < out->len) {
		ssize_t n = write(fd, out->data + done, out->len - done);

		if (n < 0 && errno != EINTR)
			r = -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	outbuf_drop(out, done);
	return r;
}

/* Room for @len octets at the end, or NULL. */
static char *reserve(struct outbuf *out, size_t len)
{
	size_t size = out->size ? out->size : 4096;
	char *data;

	if (out->failed)
		return NULL;
	if (len <= out->size - out->len)
		return out->data + out->len;
	while (size - out->len < len)
		size *= 2;
	data = realloc(out->data, size);
	if (!data) {
		out->failed = true;
		return NULL;
	}
	out->data = data;
	out->size = size;
	return data + out->len;
}

void outbuf_add(struct outbuf *out, const void *octets, size_t len)
{
	char *to = reserve(out, len);

	if (!to)
		return;
	if (len)
		memcpy(to, octets, len);
	out->len += len;
}

void outbuf_text(struct outbuf *out, const char *text)
{
	outbuf_add(out, text, strlen(text));
}

void outbuf_char(struct outbuf *out, char c)
{
	outbuf_add(out, &c, 1);
}

void outbuf_number(struct outbuf *out, uint64_t number, unsigned int width)
{
	char digits[DIGITS_MAX], *p = digits + DIGITS_MAX;

	do {
		*--p = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	while (p > digits && (size_t)(digits + DIGITS_MAX - p) < width)
		*--p = '0';
	outbuf_add(out, p, (size_t)(digits + DIGITS_MAX - p));
}

/* --- escaping */

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '\\' && c != '"';
}

/* The character of @len octets at @s. Return: its length, or 0 when it is not UTF-8 (RFC 3629). */
static size_t utf8_decode(const unsigned char *s, size_t len, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = s[0] >= 0xf0 && s[0] < 0xf8 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (s[0] < 0xc0 || s[0] >= 0xf8 || len < size)
		return 0;
	*code = s[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (s[i] & 0x3fu);
	}
	if (*code < least[size] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return size;
}

/* Whether a character shows itself and nothing else: no control, format or private character. */
static bool is_visible(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} hidden[] = {
		{ 0x80, 0x9f },	       { 0xad, 0xad },	     { 0x34f, 0x34f },
		{ 0x600, 0x605 },      { 0x61c, 0x61c },     { 0x6dd, 0x6dd },
		{ 0x70f, 0x70f },      { 0x115f, 0x1160 },   { 0x17b4, 0x17b5 },
		{ 0x180b, 0x180f },    { 0x200b, 0x200f },   { 0x2028, 0x202e },
		{ 0x2060, 0x206f },    { 0x3164, 0x3164 },   { 0xe000, 0xf8ff },
		{ 0xfdd0, 0xfdef },    { 0xfe00, 0xfe0f },   { 0xfeff, 0xfeff },
		{ 0xffa0, 0xffa0 },    { 0xfff0, 0xfffb },   { 0xfffe, 0xffff },
		{ 0x13430, 0x1345f },  { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a },
		{ 0xe0000, 0x10ffff },
	};

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (code >= hidden[i].first && code <= hidden[i].last)
			return false;
	return true;
}

static void escape_one(struct outbuf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '\\' || c == '"')
		outbuf_add(out, (char[]){ '\\', (char)c }, 2);
	else
		outbuf_add(out, (char[]){ '\\', 'x', hex[c >> 4], hex[c & 15] }, 4);
}

void outbuf_escape(struct outbuf *out, const void *octets, size_t len, bool utf8)
{
	const unsigned char *s = octets;

	for (size_t i = 0, n; i < len; i += n) {
		uint32_t code;

		n = 0;
		while (i + n < len && is_plain(s[i + n]))
			n++;
		if (!n && utf8 && s[i] >= 0x80) {
			n = utf8_decode(s + i, len - i, &code);
			if (n && !is_visible(code))
				n = 0;
		}
		if (n) {
			outbuf_add(out, s + i, n);
		} else {
			escape_one(out, s[i]);
			n = 1;
		}
	}
}
