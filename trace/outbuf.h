/* SPDX-License-Identifier: MIT */
/*
 * outbuf - octets that wait to be written: lines of a trace, blocks of a capture.
 *
 * Grows as needed. A failed allocation is remembered instead of returned, so that a line is put
 * together without looking at each piece; who writes it out looks once.
 *
 * Called by trace/ and ctl/. Must never hold half of what was added last.
 */
#ifndef XSPROXY_TRACE_OUTBUF_H
#define XSPROXY_TRACE_OUTBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty buffer. */
struct outbuf {
	char *data;
	size_t len, size;
	bool failed; /* memory ran out: something is missing in it */
};

/** outbuf_free() - free what is in it. */
void outbuf_free(struct outbuf *out);

/** outbuf_drop() - forget the first @len octets, which have been written. */
void outbuf_drop(struct outbuf *out, size_t len);

/**
 * outbuf_write() - write all of it to a file, or to what may be waited for, and forget it.
 *
 * Return: 0, -ENOMEM when something is missing in it, or what write() failed with; then what was
 * not written stays.
 */
int outbuf_write(struct outbuf *out, int fd);

/** outbuf_add() - add octets; without memory nothing is added, and @out->failed is set. */
void outbuf_add(struct outbuf *out, const void *octets, size_t len);

/** outbuf_text() - add a string, without its NUL. */
void outbuf_text(struct outbuf *out, const char *text);

/** outbuf_char() - add one character. */
void outbuf_char(struct outbuf *out, char c);

/** outbuf_number() - a number in decimal, with zeros in front up to @width digits. */
void outbuf_number(struct outbuf *out, uint64_t number, unsigned int width);

/**
 * outbuf_escape() - octets of whoever, as no terminal takes them for more than text: printable
 * characters as they are, a backslash and a double quote with a backslash in front, every other
 * octet as \xHH.
 * @utf8: characters beyond ASCII may stay, too, if they are UTF-8 and neither control nor
 *	format characters (which reorder or hide what stands around them)
 */
void outbuf_escape(struct outbuf *out, const void *octets, size_t len, bool utf8);

#endif
