// SPDX-License-Identifier: MIT
/*
 * A capture file as xsproxyctl reads it back: the same frames however it comes in, each of which
 * can be written and read again, and nothing behind what is wrong.
 */
#include "trace/pcapng.h"
#include "tests/fuzz/fuzz.h"
#include "trace/pcapng_read.h"
#include "trace/pick.h"

struct found {
	uint64_t frames, octets; /* and a sum of what is in them */
	ssize_t end;		 /* 0, or -EBADMSG */
};

static void check_again(const struct view *view)
{
	struct pcapng_reader reader = { .section = true, .interfaces = 1 };
	struct outbuf out = { 0 };
	struct pcapng pcapng = { 0 };
	struct view again;

	pcapng_frame(&pcapng, &out, view);
	CHECK(!out.failed && pcapng_read(&reader, out.data, out.len, &again) > 0);
	CHECK(!memcmp(&again.frame, &view->frame, sizeof(view->frame)));
	CHECK(!memcmp(&again.msg, &view->msg, sizeof(view->msg)) && again.len == view->len);
	CHECK(!again.len || !memcmp(again.payload, view->payload, again.len));
	outbuf_free(&out);
}

static void add(struct found *found, const struct view *view)
{
	found->frames++;
	found->octets = found->octets * 31 + view->frame.size;
	for (uint32_t i = 0; i < view->len; i++)
		found->octets = found->octets * 31 + (uint8_t)view->payload[i];
	if (view->frame.kind == FRAME_LOST)
		return;
	pick_is_below("/local/domain/7/data/", view->frame.domid, view->msg.type, view->payload,
		      view->len);
	pick_carried(view->msg.type, view->payload, view->len);
}

/* Read @data with @part octets more at a time. */
static struct found read_all(const uint8_t *data, size_t size, size_t part, bool again)
{
	struct pcapng_reader reader = { 0 };
	struct found found = { 0 };
	size_t at = 0, end = 0;
	struct view view;

	do {
		end += part < size - end ? part : size - end;
		for (;;) {
			/* Of just this size, so that ASan sees the octet behind it. */
			uint8_t *copy = malloc(end - at + !(end - at));
			ssize_t n;

			CHECK(copy);
			memcpy(copy, data + at, end - at);
			n = pcapng_read(&reader, copy, end - at, &view);
			CHECK(n <= (ssize_t)(end - at) && (n >= 0 || n == -EBADMSG));
			CHECK((n < 0) == (reader.wrong != NULL));
			if (n > 0 && view.frame.size) {
				add(&found, &view);
				if (again)
					check_again(&view);
			}
			free(copy);
			found.end = n < 0 ? n : 0;
			if (n <= 0)
				break;
			at += (size_t)n;
		}
	} while (!found.end && end < size);
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct found once = read_all(data, size, size, true);
	struct found parts = read_all(data, size, 1 + size % 61, false);

	CHECK(once.frames == parts.frames && once.octets == parts.octets && once.end == parts.end);
	return 0;
}
