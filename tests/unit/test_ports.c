// SPDX-License-Identifier: MIT
/* Event channels that are bound anew: each is another one's before, and none is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proxy/daemon.h"
#include "proxy/host/ports.h"
#include "proxy/log.h"
#include "ring/xen.h"

#define COUNT  5
#define REMOTE 100u

static struct {
	struct daemon daemon;
	struct ports ports;
	struct port port[COUNT];
	int fd;
	int next;      /* local port */
	int step;      /* from one to the next */
	uint32_t gone; /* domid that nothing can be bound to */
	int anew;      /* what opening says */
	int opened;
} bed;

/* --- the device */

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

int xen_anew(struct xen *xen)
{
	(void)xen;
	if (bed.anew)
		return bed.anew;
	close(bed.fd);
	bed.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bed.opened++;
	return 0;
}

int xen_fd(struct xen *xen)
{
	(void)xen;
	return bed.fd;
}

int xen_bind(struct xen *xen, uint32_t domid, uint32_t remote_port)
{
	(void)xen;
	assert_int_equal(remote_port, REMOTE + domid);
	if (domid == bed.gone)
		return -EINVAL;
	bed.next += bed.step;
	return bed.next;
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
	return -EAGAIN;
}

/* --- */

static int setup(void **state)
{
	(void)state;
	log_set_level(-1);
	bed.gone = COUNT;
	bed.anew = bed.opened = bed.next = 0;
	bed.step = 1;
	bed.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bed.daemon.base = event_base_new();
	bed.ports.daemon = &bed.daemon;
	assert_int_equal(ports_open(&bed.ports), 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		bed.port[i].local = PORT_NONE;
		assert_int_equal(port_bind(&bed.ports, &bed.port[i], i, REMOTE + i, NULL), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		port_unbind(&bed.ports, &bed.port[i]);
	assert_null(bed.ports.bound);
	ports_fini(&bed.ports);
	event_base_free(bed.daemon.base);
	bed.daemon.xen = NULL;
	close(bed.fd);
	return 0;
}

static void assert_bound(uint32_t domid, int local)
{
	struct port *found;

	assert_int_equal(bed.port[domid].local, local);
	HASH_FIND_INT(bed.ports.bound, &local, found);
	assert_ptr_equal(found, &bed.port[domid]);
}

/* In another order: from 5 to 1. */
static void test_all_are_bound(void **state)
{
	(void)state;
	bed.next = COUNT + 1;
	bed.step = -1;
	ports_anew(&bed.ports);
	assert_int_equal(bed.opened, 1);
	assert_int_equal(HASH_COUNT(bed.ports.bound), COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_bound(i, COUNT - (int)i);
	assert_int_equal(event_get_fd(bed.ports.event), bed.fd);
}

static void test_one_that_has_gone(void **state)
{
	(void)state;
	bed.gone = 2;
	ports_anew(&bed.ports);
	assert_int_equal(HASH_COUNT(bed.ports.bound), COUNT - 1);
	assert_int_equal(bed.port[2].local, PORT_NONE);
	assert_bound(3, COUNT + 3);
}

static void test_none_can_be_opened(void **state)
{
	(void)state;
	bed.anew = -EMFILE;
	ports_anew(&bed.ports);
	assert_int_equal(HASH_COUNT(bed.ports.bound), COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_bound(i, (int)i + 1);
	assert_true(event_pending(bed.ports.event, EV_READ, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_are_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_has_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none_can_be_opened, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
