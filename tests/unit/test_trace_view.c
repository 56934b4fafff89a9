// SPDX-License-Identifier: MIT
/*
 * test_trace_view - frames as they are read: whole ones, parts, and what is none.
 */
#include "tests/unit/trace_bed.h"

static const struct xsd_sockmsg read_msg = { .type = XS_READ, .req_id = 5, .len = 5 };

static char *read_frame(void)
{
	struct frame frame = { .kind = FRAME_REQUEST, .domid = 7, .session = 3, .number = 9 };

	return bed_frame(&frame, &read_msg, STRING("data"));
}

static void a_frame_is_taken_when_it_is_whole(void **state)
{
	char *octets = read_frame();
	struct view view;
	size_t size = ((struct frame *)octets)->size;

	(void)state;
	assert_int_equal(size, 48 + 16 + 5);
	for (size_t len = 0; len < size; len++) {
		char *part = malloc(len + !len);

		memcpy(part, octets, len);
		assert_int_equal(view_parse(&view, part, len), 0);
		free(part);
	}
	assert_int_equal(view_parse(&view, octets, size), size);
	assert_int_equal(view.frame.domid, 7);
	assert_int_equal(view.frame.number, 9);
	assert_int_equal(view.msg.req_id, 5);
	assert_int_equal(view.len, 5);
	assert_string_equal(view.payload, "data");
	assert_int_equal(view_cut(&view), 0);
	free(octets);
}

static void assert_refused(size_t offset, uint32_t value, size_t size)
{
	char *octets = realloc(read_frame(), FRAME_MAX + 1);
	struct view view;

	memcpy(octets + offset, &value, size);
	assert_int_equal(view_parse(&view, octets, FRAME_MAX + 1), -EBADMSG);
	free(octets);
}

static void what_is_no_frame_is_refused(void **state)
{
	(void)state;
	assert_refused(0, 0, 4);
	assert_refused(0, 47, 4);
	assert_refused(0, 63, 4);	     /* no header of a message */
	assert_refused(0, FRAME_MAX + 1, 4); /* larger than any */
	assert_refused(0, UINT32_MAX, 4);
	assert_refused(4, 0, 2);
	assert_refused(4, FRAME_LOST, 2); /* has no message */
	assert_refused(4, FRAME_LOST + 1, 2);
	assert_refused(60, 4, 4); /* more payload than the message says */
}

static void a_payload_may_be_cut(void **state)
{
	struct frame frame = { .kind = FRAME_REQUEST };
	struct xsd_sockmsg msg = { .type = XS_WRITE, .len = UINT32_MAX };
	char *octets = bed_frame(&frame, &msg, TEXT("data"));
	struct view view;

	(void)state;
	assert_int_equal(view_parse(&view, octets, 68), 68);
	assert_int_equal(view.len, 4);
	assert_int_equal(view_cut(&view), UINT32_MAX - 4);
	free(octets);
}

static void lost_frames_are_a_header_alone(void **state)
{
	struct frame frame = { .kind = FRAME_LOST, .number = 12 };
	char *octets = bed_frame(&frame, NULL, NULL, 0);
	struct view view;

	(void)state;
	assert_int_equal(view_parse(&view, octets, 48), 48);
	assert_int_equal(view.frame.number, 12);
	assert_int_equal(view.len, 0);
	assert_int_equal(view_cut(&view), 0);
	free(octets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_taken_when_it_is_whole),
		cmocka_unit_test(what_is_no_frame_is_refused),
		cmocka_unit_test(a_payload_may_be_cut),
		cmocka_unit_test(lost_frames_are_a_header_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
