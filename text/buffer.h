/* SPDX-License-Identifier: MIT */
/*
 * buffer - memory that is used again and again and grows to the largest need so far.
 *
 * What readers and writers keep between two records: of a stream, of a list, of a trace. Called by
 * migration/, ctl/ and trace/. Must never shrink or promise to keep its content.
 */
#ifndef XSPROXY_TEXT_BUFFER_H
#define XSPROXY_TEXT_BUFFER_H

#include <stddef.h>

/* All zero is an empty buffer; whoever embeds it frees @data. */
struct buffer {
	void *data;
	size_t size; /* octets at @data */
};

/**
 * buffer_reserve() - make room for @size octets; the content is undefined afterwards, and @data may
 * have moved.
 *
 * Return: 0, or -ENOMEM with the buffer as it was.
 */
int buffer_reserve(struct buffer *buffer, size_t size);

#endif
