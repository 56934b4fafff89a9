// SPDX-License-Identifier: MIT
/*
 * A stream of frames as xsproxyctl reads it: each is a line of printable text, a line of JSON, and
 * whole blocks of a capture; no request is shown twice or not at all.
 */
#include <errno.h>
#include <jansson.h>

#include "tests/fuzz/fuzz.h"
#include "trace/json.h"
#include "trace/pcapng.h"
#include "trace/text.h"

struct shown {
	struct outbuf text, json, capture;
	struct buffer scratch;
	struct pcapng pcapng;
	uint64_t requests, replies;
};

static void check_line(const struct outbuf *out)
{
	CHECK(!out->failed && out->len && out->data[out->len - 1] == '\n');
	for (size_t i = 0; i + 1 < out->len; i++)
		CHECK(out->data[i] >= 0x20 && out->data[i] != 0x7f);
}

static void check_blocks(const struct outbuf *out)
{
	uint32_t len, again;

	for (size_t at = 0; at < out->len; at += len) {
		CHECK(out->len - at >= 12);
		memcpy(&len, out->data + at + 4, sizeof(len));
		CHECK(len >= 12 && len % 4 == 0 && len <= out->len - at);
		memcpy(&again, out->data + at + len - 4, sizeof(again));
		CHECK(len == again);
	}
}

static void add_view(struct shown *shown, const struct view *view)
{
	if (!view)
		return;
	shown->requests += view->frame.kind == FRAME_REQUEST;
	shown->replies += view->frame.kind == FRAME_REPLY;
	shown->capture.len = 0;
	pcapng_frame(&shown->pcapng, &shown->capture, view);
	check_blocks(&shown->capture);
}

static void on_exchange(void *arg, const struct exchange *exchange)
{
	struct text text = { .utf8 = false };
	struct shown *shown = arg;
	json_t *object;

	shown->text.len = shown->json.len = 0;
	text_exchange(&text, &shown->text, exchange);
	check_line(&shown->text);
	CHECK(!json_exchange(&shown->scratch, &shown->json, exchange, NULL));
	check_line(&shown->json);
	object = json_loadb(shown->json.data, shown->json.len,
			    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	CHECK(json_is_object(object));
	json_decref(object);
	add_view(shown, exchange->request);
	add_view(shown, exchange->answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shown shown = { 0 };
	struct flow *flow = flow_new(on_exchange, &shown);
	uint64_t requests = 0, replies = 0;
	/* Of just this size, so that ASan sees the octet behind it. */
	uint8_t *copy = malloc(size + !size);
	struct view view;
	size_t at = 0;
	ssize_t n;

	CHECK(flow && copy);
	memcpy(copy, data, size);
	while ((n = view_parse(&view, copy + at, size - at)) > 0) {
		CHECK((size_t)n <= size - at);
		requests += view.frame.kind == FRAME_REQUEST;
		replies += view.frame.kind == FRAME_REPLY;
		CHECK(!flow_take(flow, &view));
		at += (size_t)n;
	}
	CHECK(n == 0 || n == -EBADMSG);
	flow_end(flow);
	CHECK(shown.requests == requests && shown.replies == replies);
	flow_free(flow);
	outbuf_free(&shown.text);
	outbuf_free(&shown.json);
	outbuf_free(&shown.capture);
	free(shown.scratch.data);
	free(copy);
	return 0;
}
