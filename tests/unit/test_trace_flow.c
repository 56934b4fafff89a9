// SPDX-License-Identifier: MIT
/*
 * test_trace_flow - requests and their replies: which belong together, and which are wanted.
 */
#include "tests/unit/trace_bed.h"

#include <stdio.h>

/* What was given out: "7>7" a request with its reply, "7>-" without, "->7" a reply alone. */
struct seen {
	char text[8192];
	size_t nr;
};

static void on_exchange(void *arg, const struct exchange *exchange)
{
	struct seen *seen = arg;
	size_t at = strlen(seen->text);
	char request[16] = "-", answer[16] = "-";

	if (exchange->request)
		snprintf(request, sizeof(request), "%u", exchange->request->frame.number);
	if (exchange->answer)
		snprintf(answer, sizeof(answer), "%s%u",
			 exchange->answer->frame.kind == FRAME_EVENT  ? "event"
			 : exchange->answer->frame.kind == FRAME_LOST ? "lost"
								      : "",
			 exchange->answer->frame.number);
	if (at < sizeof(seen->text) - 40)
		snprintf(seen->text + at, sizeof(seen->text) - at, "%s%s>%s", at ? " " : "",
			 request, answer);
	seen->nr++;
}

static void feed_flagged(struct flow *flow, enum frame_kind kind, uint32_t session, uint32_t number,
			 uint16_t flags)
{
	struct view view = bed_view(kind, number, XS_READ, STRING("data"));

	view.frame.session = session;
	view.frame.flags = flags;
	assert_int_equal(flow_take(flow, &view), 0);
	bed_free(&view); /* what the flow keeps must be its own */
}

static void feed(struct flow *flow, enum frame_kind kind, uint32_t session, uint32_t number)
{
	feed_flagged(flow, kind, session, number, 0);
}

#define ask(flow, session, number)    feed(flow, FRAME_REQUEST, session, number)
#define answer(flow, session, number) feed(flow, FRAME_REPLY, session, number)

static void replies_find_their_requests(void **state)
{
	struct seen seen = { 0 };
	struct flow *flow = flow_new(on_exchange, &seen);

	(void)state;
	ask(flow, 1, 1);
	ask(flow, 1, 2);
	ask(flow, 2, 1);
	answer(flow, 1, 1);
	answer(flow, 2, 1);
	feed(flow, FRAME_EVENT, 1, 0);
	answer(flow, 1, 2);
	assert_string_equal(seen.text, "1>1 1>1 ->event0 2>2");
	flow_free(flow);
}

static void what_was_not_seen(void **state)
{
	struct seen seen = { 0 };
	struct flow *flow = flow_new(on_exchange, &seen);

	(void)state;
	answer(flow, 1, 4);
	ask(flow, 1, 5);
	ask(flow, 1, 6);
	ask(flow, 1, 7);
	answer(flow, 1, 4); /* that of an earlier one still */
	feed(flow, FRAME_LOST, 0, 1);
	answer(flow, 1, 7); /* replies come in order: those to 5 and 6 are gone */
	ask(flow, 1, 9);
	answer(flow, 1, 8);
	flow_end(flow);
	assert_string_equal(seen.text, "->4 ->4 ->lost1 5>- 6>- 7>7 ->8 9>-");
	flow_free(flow);
}

/* Those that xsproxyd answers itself: at once, or much later. */
static void ours_are_answered_out_of_order(void **state)
{
	struct seen seen = { 0 };
	struct flow *flow = flow_new(on_exchange, &seen);

	(void)state;
	ask(flow, 1, 1);
	feed_flagged(flow, FRAME_REQUEST, 1, 2, FRAME_OURS);
	ask(flow, 1, 3);
	ask(flow, 1, 4);
	feed_flagged(flow, FRAME_REQUEST, 1, 5, FRAME_OURS);
	feed_flagged(flow, FRAME_REPLY, 1, 5, FRAME_OURS);
	answer(flow, 1, 1);
	answer(flow, 1, 4); /* that to 3 is gone */
	feed_flagged(flow, FRAME_REPLY, 1, 2, FRAME_OURS);
	ask(flow, 1, 6);
	feed_flagged(flow, FRAME_REPLY, 1, 2, FRAME_OURS);
	answer(flow, 1, 6);
	assert_string_equal(seen.text, "5>5 1>1 3>- 4>4 2>2 ->2 6>6");
	flow_free(flow);
}

static void numbers_begin_again(void **state)
{
	struct seen seen = { 0 };
	struct flow *flow = flow_new(on_exchange, &seen);

	(void)state;
	ask(flow, 1, UINT32_MAX);
	ask(flow, 1, 1);
	answer(flow, 1, 1);
	assert_string_equal(seen.text, "4294967295>- 1>1");
	flow_free(flow);
}

static void no_more_is_kept_than_the_bound(void **state)
{
	static char big[XENSTORE_PAYLOAD_MAX];
	struct seen seen = { 0 };
	struct flow *flow = flow_new(on_exchange, &seen);
	const size_t nr = 20000; /* 80 MB, of which 32 may be kept */

	(void)state;
	for (uint32_t i = 1; i <= nr; i++) {
		struct view view = bed_request(i, XS_WRITE, big, sizeof(big));

		assert_int_equal(flow_take(flow, &view), 0);
		bed_free(&view);
	}
	assert_in_range(seen.nr, nr / 2, nr - 1000);
	assert_memory_equal(seen.text, "1>- 2>- ", 8);
	flow_end(flow);
	assert_int_equal(seen.nr, nr);
	flow_free(flow);
}

static void the_rest_is_freed(void **state)
{
	struct seen seen = { 0 };
	struct flow *flow = flow_new(on_exchange, &seen);

	(void)state;
	ask(flow, 1, 1);
	ask(flow, 2, 1);
	flow_free(flow);
	assert_int_equal(seen.nr, 0);
	flow_free(NULL);
}

static void wanted_are_errors_and_slow_ones(void **state)
{
	struct view request = bed_request(1, XS_READ, STRING("data"));
	struct view good = bed_reply(1, XS_READ, TEXT("value"));
	struct view bad = bed_reply(1, XS_ERROR, STRING("ENOENT"));
	struct view event = bed_view(FRAME_EVENT, 0, XS_WATCH_EVENT, STRING("data\0tok"));
	struct exchange is_good = { &request, &good }, is_bad = { &request, &bad };
	struct exchange alone = { NULL, &bad }, is_event = { NULL, &event };
	struct exchange open = { &request, NULL };
	struct wanted errors = { .errors = true }, slow = { .slower = 52999 };
	struct wanted slower = { .slower = 53000 }, none = { 0 };
	struct wanted both = { .errors = true, .slower = 53000 };

	(void)state;
	assert_true(exchange_is_wanted(&is_good, &none, 0));
	assert_true(exchange_is_wanted(&open, &none, 0));
	assert_false(exchange_is_wanted(&is_good, &errors, 0));
	assert_true(exchange_is_wanted(&is_bad, &errors, 0));
	assert_true(exchange_is_wanted(&alone, &errors, 0));
	assert_false(exchange_is_wanted(&open, &errors, UINT64_MAX));
	assert_true(exchange_is_wanted(&is_event, &both, 0));
	assert_true(exchange_is_wanted(&is_good, &slow, 0));
	assert_false(exchange_is_wanted(&is_good, &slower, 0));
	assert_false(exchange_is_wanted(&is_bad, &both, 0));
	/* Without a reply it has taken until now. */
	assert_false(exchange_is_wanted(&open, &slower, BED_TIME + 52999));
	assert_true(exchange_is_wanted(&open, &slower, BED_TIME + 53000));
	assert_false(exchange_is_wanted(&open, &slower, BED_TIME - 1));
	bed_free(&request);
	bed_free(&good);
	bed_free(&bad);
	bed_free(&event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_find_their_requests),
		cmocka_unit_test(what_was_not_seen),
		cmocka_unit_test(ours_are_answered_out_of_order),
		cmocka_unit_test(numbers_begin_again),
		cmocka_unit_test(no_more_is_kept_than_the_bound),
		cmocka_unit_test(the_rest_is_freed),
		cmocka_unit_test(wanted_are_errors_and_slow_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
