// SPDX-License-Identifier: MIT
/*
 * test_trace_pcapng_read - captures read back: what pcapng.h wrote comes again, and what is no
 * capture is refused.
 */
#include "tests/unit/trace_bed.h"

#include "trace/pcapng.h"
#include "trace/pcapng_read.h"

/* A capture with @nr frames. Free it. */
static struct outbuf capture_of(const struct view *views, size_t nr)
{
	struct outbuf out = { 0 };
	struct pcapng pcapng;

	pcapng_begin(&pcapng, &out, "test", 4096, 1);
	for (size_t i = 0; i < nr; i++)
		pcapng_frame(&pcapng, &out, &views[i]);
	pcapng_statistics(&pcapng, &out, 2);
	assert_false(out.failed);
	return out;
}

/* In memory of just this size: a sanitizer sees who reads beyond. */
static char *just(const char *octets, size_t len)
{
	char *copy = malloc(len + !len);

	assert_non_null(copy);
	memcpy(copy, octets, len);
	return copy;
}

/*
 * Read @len octets to their end, given @part more at a time. Return: how many frames there were, or
 * -EBADMSG.
 */
static ssize_t count(struct pcapng_reader *reader, const char *octets, size_t len, size_t part)
{
	size_t at = 0, end = 0;
	ssize_t n, frames = 0;
	struct view view;

	*reader = (struct pcapng_reader){ 0 };
	while (end < len) {
		end += part < len - end ? part : len - end;
		do {
			char *copy = just(octets + at, end - at);

			n = pcapng_read(reader, copy, end - at, &view);
			frames += n > 0 && view.frame.size;
			free(copy);
			assert_true(n <= (ssize_t)(end - at));
			at += n > 0 ? (size_t)n : 0;
		} while (n > 0);
		if (n < 0)
			return n;
	}
	return at == len ? frames : -EAGAIN;
}

static void what_was_written_comes_again(void **state)
{
	struct view views[] = {
		bed_request(1, XS_READ, STRING("data")),
		bed_reply(1, XS_READ, TEXT("value")),
		bed_view(FRAME_EVENT, 0, XS_WATCH_EVENT, STRING("a\0token")),
		bed_view(FRAME_LOST, 12, 0, NULL, 0),
	};
	struct outbuf out = capture_of(views, 4);
	struct pcapng_reader reader = { 0 };
	size_t at = 0, i = 0;
	struct view view;

	(void)state;
	while (at < out.len) {
		ssize_t n = pcapng_read(&reader, out.data + at, out.len - at, &view);

		assert_true(n > 0);
		at += (size_t)n;
		if (!view.frame.size)
			continue;
		assert_memory_equal(&view.frame, &views[i].frame, sizeof(view.frame));
		assert_memory_equal(&view.msg, &views[i].msg, sizeof(view.msg));
		assert_int_equal(view.len, views[i].len);
		if (view.len)
			assert_memory_equal(view.payload, views[i].payload, view.len);
		i++;
	}
	assert_int_equal(i, 4);
	assert_int_equal(at, out.len);
	for (size_t part = 1; part < 200; part++)
		assert_int_equal(count(&reader, out.data, out.len, part), 4);
	outbuf_free(&out);
	for (i = 0; i < 4; i++)
		bed_free(&views[i]);
}

/* Cut anywhere it wants more, and says nothing else. */
static void what_is_cut_is_not_there_in_full(void **state)
{
	struct view view = bed_request(1, XS_READ, STRING("data"));
	struct outbuf out = capture_of(&view, 1);
	struct pcapng_reader reader;
	size_t whole = 0;

	(void)state;
	for (size_t len = 1; len < out.len; len++) {
		ssize_t n = count(&reader, out.data, len, len);

		/* Between two blocks it cannot be told. */
		if (n == -EAGAIN || (n >= 0 && reader.skip))
			continue;
		assert_true(n == 0 || n == 1);
		whole++;
	}
	assert_int_equal(whole, 3);
	outbuf_free(&out);
	bed_free(&view);
}

static void assert_wrong(const struct outbuf *good, size_t at, uint32_t value, const char *wrong)
{
	char *octets = just(good->data, good->len);
	struct pcapng_reader reader;

	memcpy(octets + at, &value, sizeof(value));
	assert_int_equal(count(&reader, octets, good->len, good->len), -EBADMSG);
	assert_string_equal(reader.wrong, wrong);
	free(octets);
}

static uint32_t u32_at(const struct outbuf *out, size_t at)
{
	uint32_t value;

	memcpy(&value, out->data + at, sizeof(value));
	return value;
}

static void what_is_no_capture_is_refused(void **state)
{
	static const char length[] = "a block's length cannot be true";
	static const char frame[] = "a packet is no message of a capture, or cut since";
	struct view view = bed_request(1, XS_READ, STRING("data"));
	struct outbuf out = capture_of(&view, 1);
	size_t interface = u32_at(&out, 4), packet = interface + u32_at(&out, interface + 4);

	(void)state;
	assert_wrong(&out, 0, 0xa1b2c3d4, "it is no pcapng file"); /* pcap */
	assert_wrong(&out, 8, 0x4d3c2b1a, "it is of a machine with the other order of octets");
	assert_wrong(&out, 8, 0, "a section's header has no order of octets");
	assert_wrong(&out, 12, 2, "the section is of another version of pcapng");
	assert_wrong(&out, 4, 13, length);
	assert_wrong(&out, 4, 8, length);
	assert_wrong(&out, interface + 4, PCAPNG_BLOCK_MAX + 4, length);
	assert_wrong(&out, packet - 4, 0, "the two lengths of a block differ");
	assert_wrong(&out, interface + 8, 1,
		     "its packets are not Xenstore's, but of another link type");
	assert_wrong(&out, packet, 3, "a packet's block is of a kind that no capture has");
	assert_wrong(&out, packet + 8, 1, "a packet is of an interface that is not described");
	assert_wrong(&out, packet + 20, 0xffffffff, "a packet is longer than its block");
	assert_wrong(&out, packet + 20, 0, frame);
	assert_wrong(&out, packet + 20, 68, frame);
	assert_wrong(&out, packet + 28, 70, frame);
	assert_wrong(&out, packet + 28 + 4, 9, frame);
	outbuf_free(&out);
	bed_free(&view);
}

/* As Wireshark adds them: names, comments, and a second section. */
static void what_others_have_added_is_passed_over(void **state)
{
	struct view view = bed_request(1, XS_READ, STRING("data"));
	struct outbuf out = capture_of(&view, 1), more = capture_of(&view, 1);
	uint32_t head[2] = { 0x0bad, PCAPNG_BLOCK_MAX + 12 };
	char *zeros = calloc(1, PCAPNG_BLOCK_MAX);
	struct pcapng_reader reader;

	(void)state;
	assert_non_null(zeros);
	outbuf_add(&out, head, sizeof(head));
	outbuf_add(&out, zeros, PCAPNG_BLOCK_MAX);
	outbuf_add(&out, &head[1], sizeof(head[1]));
	outbuf_add(&out, more.data, more.len);
	assert_int_equal(count(&reader, out.data, out.len, 60000), 2);
	free(zeros);
	outbuf_free(&out);
	outbuf_free(&more);
	bed_free(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_comes_again),
		cmocka_unit_test(what_is_cut_is_not_there_in_full),
		cmocka_unit_test(what_is_no_capture_is_refused),
		cmocka_unit_test(what_others_have_added_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
