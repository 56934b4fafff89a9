// SPDX-License-Identifier: MIT
/*
 * buffer - see buffer.h.
 */
#include "text/buffer.h"

#include <errno.h>
#include <stdlib.h>

int buffer_reserve(struct buffer *buffer, size_t size)
{
	void *data;

	if (size <= buffer->size)
		return 0;
	data = realloc(buffer->data, size);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->size = size;
	return 0;
}
