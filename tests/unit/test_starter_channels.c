// SPDX-License-Identifier: MIT
/*
 * test_starter_channels - what Xen is asked of an event channel, and what its answers mean. It is
 * this file that answers, in place of libxencall.
 */
#define __XEN_TOOLS__ 1

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <xen/xen.h>

#include <xen/event_channel.h> /* needs the above */

#include <cmocka.h>
#include <xencall.h>

#include "starter/channels.h"

/* What Xen says, and whether it says anything. */
static struct evtchn_status says;
static int open_error, call_error;
static int opened, buffers; /* and not closed, not freed */
static uint32_t asked;	    /* which port */

xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned int flags)
{
	assert_null(logger);
	assert_int_equal(flags, 0);
	errno = open_error;
	if (open_error)
		return NULL;
	opened++;
	return (xencall_handle *)&opened;
}

int xencall_close(xencall_handle *xcall)
{
	assert_ptr_equal(xcall, &opened);
	opened--;
	return 0;
}

void *xencall_alloc_buffer(xencall_handle *xcall, size_t size)
{
	assert_ptr_equal(xcall, &opened);
	buffers++;
	return malloc(size);
}

void xencall_free_buffer(xencall_handle *xcall, void *p)
{
	assert_ptr_equal(xcall, &opened);
	buffers--;
	free(p);
}

int xencall2(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2)
{
	// NOLINTNEXTLINE(performance-no-int-to-ptr): hypercalls have it so
	struct evtchn_status *status = (struct evtchn_status *)(uintptr_t)arg2;

	assert_ptr_equal(xcall, &opened);
	assert_int_equal(op, 32); /* that of Xen 2 was 16 */
	assert_int_equal(arg1, 5);
	assert_int_equal(status->dom, DOMID_SELF);
	asked = status->port;
	*status = says;
	errno = call_error;
	return call_error ? -1 : 0;
}

static int set_up(void **state)
{
	open_error = 0;
	call_error = 0;
	*state = channels_new();
	return *state ? 0 : -1;
}

/* Nothing is left open. */
static int tear_down(void **state)
{
	channels_free(*state);
	return opened || buffers;
}

static void assert_remote(void *channels, uint16_t domid, int want)
{
	assert_int_equal(channels_remote(channels, domid, 66), want);
	assert_int_equal(asked, 66);
	assert_int_equal(opened, 1); /* once for all */
	assert_int_equal(buffers, 1);
}

static void test_connected(void **state)
{
	says = (struct evtchn_status){ .status = EVTCHNSTAT_interdomain,
				       .u.interdomain = { .dom = 7, .port = 33 } };
	assert_remote(*state, 7, 33);
	assert_remote(*state, 8, -EBADMSG);
	assert_remote(*state, 0, -EBADMSG);
}

/* As it is when the domain has closed its end, or is gone. */
static void test_not_connected(void **state)
{
	says = (struct evtchn_status){ .status = EVTCHNSTAT_unbound, .u.unbound.dom = 7 };
	assert_remote(*state, 7, 0);
	assert_remote(*state, 8, -EBADMSG);
	says = (struct evtchn_status){ .status = EVTCHNSTAT_closed };
	assert_remote(*state, 7, 0);
}

static void test_something_else(void **state)
{
	static const uint32_t others[] = { EVTCHNSTAT_pirq, EVTCHNSTAT_virq, EVTCHNSTAT_ipi, 77 };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		says = (struct evtchn_status){ .status = others[i], .u.virq = 7 };
		assert_remote(*state, 7, -EBADMSG);
	}
}

static void test_no_answer(void **state)
{
	open_error = EACCES;
	assert_int_equal(channels_remote(*state, 7, 66), -EACCES);
	open_error = 0;
	call_error = EINVAL;
	assert_int_equal(channels_remote(*state, 7, 66), -EINVAL);
}

static void test_nothing_was_asked(void **state)
{
	assert_int_equal(opened, 0);
	channels_free(NULL);
	assert_non_null(*state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_connected), TEST(test_not_connected),	    TEST(test_something_else),
		TEST(test_no_answer), TEST(test_nothing_was_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
