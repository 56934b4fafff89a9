// SPDX-License-Identifier: MIT
/*
 * Guests' events as the event channel device gives them: many that are there at once are taken in
 * few wake-ups, so many at most in one, and one that comes alone costs hardly more than itself.
 *
 * The real domain.c over a device that is played here.
 */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/log.h"

/* Compiled into the test, so that it can pretend that the bridge is there. */
#include "proxy/host/upstream.c"

#define DOMID	     7
#define AT_ONCE	     32	 /* events that one wake-up takes at most */
#define FEW	     20	 /* wake-ups for MANY */
#define MANY	     200 /* events */
#define MORE_PERCENT 15	 /* calls that single events may cost beyond one each */

static struct {
	struct daemon daemon;
	struct upstream upstream; /* in its memory no domain is mapped */
	int fd;
	uint32_t waiting; /* events */
	uint32_t asked;	  /* how often one was asked for */
} bed;

/* --- the device */

static void set_waiting(uint32_t n)
{
	eventfd_t count;

	bed.waiting = n;
	eventfd_read(bed.fd, &count);
	if (n)
		eventfd_write(bed.fd, 1);
}

int xen_open(struct xen **out)
{
	*out = (struct xen *)&bed;
	return 0;
}

struct xen *xen_free(struct xen *xen)
{
	(void)xen;
	return NULL;
}

int xen_fd(struct xen *xen)
{
	(void)xen;
	return bed.fd;
}

int xen_map(struct xen *xen, uint32_t domid, struct xenstore_domain_interface **page)
{
	(void)xen;
	(void)domid;
	(void)page;
	return -ENOENT;
}

void xen_unmap(struct xen *xen, uint32_t domid, struct xenstore_domain_interface *page)
{
	(void)xen;
	(void)domid;
	(void)page;
}

int xen_bind(struct xen *xen, uint32_t domid, uint32_t remote_port)
{
	(void)xen;
	(void)domid;
	(void)remote_port;
	return -ENOENT;
}

bool xen_exists(struct xen *xen, uint32_t domid)
{
	(void)xen;
	(void)domid;
	return false;
}

int xen_anew(struct xen *xen)
{
	(void)xen;
	return -ENODEV;
}

void xen_unbind(struct xen *xen, uint32_t port)
{
	(void)xen;
	(void)port;
}

void xen_notify(struct xen *xen, uint32_t port)
{
	(void)xen;
	(void)port;
}

int xen_pending(struct xen *xen)
{
	(void)xen;
	bed.asked++;
	if (!bed.waiting)
		return -EAGAIN;
	set_waiting(bed.waiting - 1);
	return 1; /* nobody's port */
}

/* --- */

static int setup(void **state)
{
	struct link_msg map = { .type = LINK_MAP, .domid = DOMID };
	bool made;

	(void)state;
	log_set_level(-1); /* the page cannot be mapped, and need not */
	bed.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bed.daemon.base = event_base_new();
	assert_int_equal(rings_create(&bed.upstream.memory.rings, RINGS_FLAVOUR_C), 0);
	assert_int_equal(rings_reserve(&bed.upstream.memory.rings, DOMID), 0);
	assert_int_equal(memory_adopt(&bed.upstream.memory, -1, &made), 0);
	bed.upstream.ready = true;
	bed.daemon.upstream = &bed.upstream;
	assert_int_equal(domains_new(&bed.daemon.domains, &bed.daemon), 0);
	/* The device is opened for the first domain. */
	assert_int_equal(domains_change(bed.daemon.domains, &map), -ENOENT);
	assert_non_null(bed.daemon.xen);
	bed.asked = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	domains_free(bed.daemon.domains);
	event_base_free(bed.daemon.base);
	memory_close(&bed.upstream.memory);
	close(bed.fd);
	bed.daemon.xen = NULL;
	return 0;
}

static void wake_up(void)
{
	event_base_loop(bed.daemon.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void many_are_taken_together(void **state)
{
	uint32_t before, n = 0;

	(void)state;
	set_waiting(MANY);
	while (bed.waiting) {
		before = bed.waiting;
		wake_up();
		assert_true(bed.waiting < before && before - bed.waiting <= AT_ONCE);
		n++;
	}
	assert_true(n <= FEW);
}

static void single_ones_cost_little(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		set_waiting(1);
		wake_up();
		assert_int_equal(bed.waiting, 0);
	}
	assert_true(bed.asked <= MANY + MANY * MORE_PERCENT / 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(many_are_taken_together),
		TEST(single_ones_cost_little),
	};

	return cmocka_run_group_tests_name("events of guests", tests, NULL, NULL);
}
