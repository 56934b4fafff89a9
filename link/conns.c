// SPDX-License-Identifier: MIT
#include "link/conns.h"

#include <errno.h>
#include <string.h>

#define WORDS 3 /* of a watch */

static size_t padded(size_t len)
{
	return (len + CONNS_ALIGN - 1) & ~(size_t)(CONNS_ALIGN - 1);
}

static size_t length(const struct conns_record *record)
{
	return sizeof(*record) + (size_t)record->in_len + record->out_len + record->watches_len;
}

/* What fails is seen in the end, at the file. */
static void put(FILE *file, const void *octets, size_t len)
{
	if (len)
		(void)fwrite(octets, 1, len, file);
}

int conns_put(FILE *file, const struct conns_view *view)
{
	static const uint8_t zero[CONNS_ALIGN];
	struct conns_record record = view->record;
	size_t len = length(&record), size = padded(len);

	if (size > UINT32_MAX)
		return -EIO;
	record.size = (uint32_t)size;
	put(file, &record, sizeof(record));
	put(file, view->in, record.in_len);
	put(file, view->out, record.out_len);
	put(file, view->watches, record.watches_len);
	put(file, zero, size - len);
	return ferror(file) ? -EIO : 0;
}

/* Whether they are as many strings as is said, and nothing else. */
static bool has_watches(const struct conns_view *view)
{
	const char *words[WORDS];
	size_t at = 0;
	uint32_t nr = 0;

	while (conns_watch(view, &at, words))
		nr++;
	return nr == view->record.nr_watches && at == view->record.watches_len;
}

int conns_next(struct conns *conns, struct conns_view *view)
{
	const uint8_t *octets = conns->octets + conns->at;
	size_t left = conns->len - conns->at;
	struct conns_record *record = &view->record;

	if (!left)
		return 0;
	if (left < sizeof(*record))
		return -EBADMSG;
	memcpy(record, octets, sizeof(*record));
	if (record->size > left || record->size != padded(length(record)) ||
	    record->kind > CONNS_DAEMON || record->out_rest > record->out_len)
		return -EBADMSG;
	view->in = octets + sizeof(*record);
	view->out = view->in + record->in_len;
	view->watches = (const char *)view->out + record->out_len;
	if (!has_watches(view))
		return -EBADMSG;
	conns->at += record->size;
	return 1;
}

bool conns_watch(const struct conns_view *view, size_t *at, const char *words[3])
{
	size_t pos = *at;

	for (int i = 0; i < WORDS; i++) {
		size_t left = view->record.watches_len - pos;
		size_t len = left ? strnlen(view->watches + pos, left) : 0;

		if (len == left)
			return false;
		words[i] = view->watches + pos;
		pos += len + 1;
	}
	*at = pos;
	return true;
}
