// SPDX-License-Identifier: MIT
/*
 * test_remake_conns - what connections have (link/conns.h) is in the state that is made for a
 * daemon without the bridge; and what is no plan of that kind is refused.
 */
#include "tests/unit/remake_bed.h"

#define SOCKETS	 2
#define LISTENER 30
#define EVTCHN	 40
#define VIRQ	 9
#define NR(all)	 (sizeof(all) / sizeof((all)[0]))

static const int sockets[SOCKETS] = { 21, 20 };

/* --- what there is */

#define WATCHES(text, nr) \
	.watches = (text), .record.watches_len = sizeof(text) - 1, .record.nr_watches = (nr)
#define IN(text) .in = (const uint8_t *)(text), .record.in_len = sizeof(text) - 1
#define OUT(text, rest) \
	.out = (const uint8_t *)(text), .record.out_len = sizeof(text) - 1, .record.out_rest = rest

#define TARGETS(domid, its_port, ours, its_gfn, its_target)                             \
	.record.kind = CONNS_RING, .record.number = (domid), .record.port = (its_port), \
	.record.local = (ours), .record.gfn = (its_gfn), .record.target = (its_target)
#define RING(...)    TARGETS(__VA_ARGS__, CONNS_NO_TARGET)
#define SOCKET(nr)   .record.kind = CONNS_SOCKET, .record.number = (nr)
#define DAEMON(path) .record.kind = CONNS_DAEMON, IN(path)

/* Of a READ, of which more is to come; the rest of a reply, and all of another */
#define HALF_REQUEST "\2\0\0\0\7\0\0\0\0\0"
#define REPLIES                    \
	"xy\0"                     \
	"\v\0\0\0\2\0\0\0\0\0\0\0" \
	"\3\0\0\0OK\0"

static int conns_fd(const struct conns_view *views, size_t nr)
{
	char *octets = NULL;
	size_t len;
	FILE *file = open_memstream(&octets, &len);
	int fd;

	assert_non_null(file);
	for (size_t i = 0; i < nr; i++)
		assert_int_equal(conns_put(file, &views[i]), 0);
	assert_int_equal(fclose(file), 0);
	fd = input_fd(octets, len);
	free(octets);
	return fd;
}

static int remake(struct made *made, const struct conns_view *views, size_t nr,
		  enum rings_flavour to, bool takes_c2)
{
	static const uint16_t lives[] = { 3 };
	struct xen xen = { lives, 1, 0, 0 };
	struct remake_options options = { .to = to,
					  .takes_c2 = takes_c2,
					  .listener = LISTENER,
					  .evtchn = EVTCHN,
					  .virq = to == RINGS_FLAVOUR_OCAML ? VIRQ : 0,
					  .living = xen_has,
					  .opaque = &xen };
	struct exchange_plan *plan;
	struct reason reason;
	int fd = conns_fd(views, nr), r;

	assert_int_equal(exchange_plan_conns(&plan, fd, sockets, SOCKETS, &reason), 0);
	close(fd);
	options.plan = plan;
	r = make(made, golden_c, sizeof(golden_c), &options);
	exchange_plan_free(plan);
	return r;
}

/* --- what is made of it */

static const struct conns_view all[] = {
	{ DAEMON("/usr/sbin/xenstored") },
	{ RING(0, 2, 60, 0), WATCHES("backend\0b\0\0", 1) },
	{ TARGETS(7, 33, 67, 4096, 8), IN(HALF_REQUEST), OUT(REPLIES, 3),
	  WATCHES("data\0t\0\0"
		  "@releaseDomain\0\0"
		  "2\0",
		  2) },
	{ SOCKET(0), OUT("z", 1), WATCHES("/local\0other\0\0", 1) },
	{ RING(8, 34, 68, 4097) },
	{ SOCKET(1), IN("\2") },
};

#define NODES                               \
	"node / n0 \"\"\n"                  \
	"node /a n7,r3(stale) \"v\\x00\"\n" \
	"node @releaseDomain n0 \"\"\n"
#define CONNECTIONS(depth)                                                                     \
	"global socket 30, event channels 40\n"                                                \
	"ring 0 port 60\n"                                                                     \
	"watch d0 backend \"b\"\n"                                                             \
	"ring 8 port 68\n"                                                                     \
	"ring 7 port 67, target 8, unique id 81985529216486895, read "                         \
	"\"\\x02\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x00\\x00\", unsent 3+"                    \
	"\"xy\\x00\\x0b\\x00\\x00\\x00\\x02\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x03\\x00\\x00" \
	"\\x00OK\\x00\"\n"                                                                     \
	"watch d7 data \"t\"\n"                                                                \
	"watch d7 @releaseDomain \"\"" depth "\n"                                              \
	"socket 21 unsent 1+\"z\"\n"                                                           \
	"watch fd21 /local \"other\"\n"                                                        \
	"socket 20 read \"\\x02\"\n"

/* Of the state's connections it has nothing but what that alone knows of the plan's rings. */
static void test_to_c2(void **state)
{
	static struct made made;

	(void)state;
	assert_int_equal(remake(&made, all, NR(all), RINGS_FLAVOUR_C, true), 0);
	assert_is(&made,
		  CONNECTIONS(" depth 2") "quotas nodes 1000, watches 128; global: total 5\n" NODES
					  "domain 7 features 0x3, quotas nodes 50\n"
					  "format: C, version: 2",
		  "");
}

static void test_to_c1(void **state)
{
	static struct made made;

	(void)state;
	assert_int_equal(remake(&made, all, NR(all), RINGS_FLAVOUR_C, false), 0);
	assert_is(&made,
		  CONNECTIONS("") "quotas nodes 1000, watches 128; global: total 5\n" NODES
				  "domain 7 quotas nodes 50\n"
				  "format: C, version: 1",
		  "it: left out: @releaseDomain: depth of the watch : this format has no place for "
		  "it\n"
		  "it: left out: features of d7: this format has no place for them\n");
}

static const struct conns_view drained[] = {
	{ DAEMON("/usr/sbin/oxenstored") },
	{ RING(0, 2, 60, 0), WATCHES("backend\0b\0\0", 1) },
	{ TARGETS(7, 33, 67, 4096, 8), WATCHES("data\0t\0\0", 1) },
	{ RING(8, 34, 68, 4097) },
	{ SOCKET(0), WATCHES("/local\0other\0\0", 1) },
	{ SOCKET(1) },
};

static void test_to_ox(void **state)
{
	static struct made made;

	(void)state;
	assert_int_equal(remake(&made, drained, NR(drained), RINGS_FLAVOUR_OCAML, false), 0);
	assert_is(&made,
		  "global socket 30, event channels 40, VIRQ port 9\n"
		  "ring 0 port 60, remote port 2, gfn 0\n"
		  "watch d0 backend \"b\"\n"
		  "ring 8 port 68, remote port 34, gfn 4097\n"
		  "ring 7 port 67, remote port 33, gfn 4096\n"
		  "watch d7 data \"t\"\n"
		  "socket 21\n"
		  "watch fd21 /local \"other\"\n"
		  "socket 20\n"
		  "node / n0 \"\"\n"
		  "node /a n7 \"v\\x00\"\n"
		  "node @releaseDomain n0 \"\"\n"
		  "format: oxenstored",
		  "it: left out: target of d7: this format has no place for it; SET_TARGET sets it "
		  "again\n"
		  "it: left out: quotas of the daemon: oxenstored has them in oxenstored.conf\n"
		  "it: left out: features of d7: this format has no place for them\n"
		  "it: left out: quotas of d7: this format has no place for them\n");
}

/* It has no place for it, and whoever it was taken from would wait for ever. */
static void test_octets_to_ox(void **state)
{
	static const struct {
		size_t at;
		struct conns_view has;
		const char *who;
	} cases[] = {
		{ 2, { RING(7, 33, 67, 4096), IN(HALF_REQUEST) }, "d7" },
		{ 2, { RING(7, 33, 67, 4096), OUT("z", 1) }, "d7" },
		{ 5, { SOCKET(1), IN("\2") }, "socket 1" },
		{ 4, { SOCKET(0), OUT(REPLIES, 3) }, "socket 0" },
	};
	static struct made made;
	char want[REASON_MAX];

	(void)state;
	for (size_t i = 0; i < NR(cases); i++) {
		struct conns_view views[NR(drained)];

		memcpy(views, drained, sizeof(drained));
		views[cases[i].at] = cases[i].has;
		assert_int_equal(remake(&made, views, NR(views), RINGS_FLAVOUR_OCAML, false),
				 -EBUSY);
		snprintf(want, sizeof(want),
			 "oxenstored has no place for what %s has sent in part, or is to get yet",
			 cases[i].who);
		assert_string_equal(made.reason.text, want);
		free(made.octets);
	}
}

/* The daemon would believe what they say of themselves. */
static void test_octets_that_are_no_messages(void **state)
{
	static const struct conns_view views[] = { { RING(0, 2, 60, 0), OUT("xyz", 1) },
						   { SOCKET(0) },
						   { SOCKET(1) } };
	static struct made made;

	(void)state;
	assert_int_equal(remake(&made, views, NR(views), RINGS_FLAVOUR_C, false), -EBADMSG);
	assert_string_equal(made.reason.text,
			    "cannot write record 2: what is to be sent ends inside a message");
	free(made.octets);
}

static void test_a_depth_that_is_none(void **state)
{
	static const struct conns_view views[] = { { RING(0, 2, 60, 0), WATCHES("/a\0t\0"
										"2x\0",
										1) },
						   { SOCKET(0) },
						   { SOCKET(1) } };
	static struct made made;

	(void)state;
	assert_int_equal(remake(&made, views, NR(views), RINGS_FLAVOUR_C, true), -EBADMSG);
	assert_string_equal(made.reason.text, "a watch has a depth that is none");
	free(made.octets);
}

/* --- what is no plan */

static void assert_no_plan(const struct conns_view *views, size_t nr, size_t nr_sockets,
			   const char *why)
{
	struct exchange_plan *plan;
	struct reason reason;
	int fd = conns_fd(views, nr);

	assert_int_equal(exchange_plan_conns(&plan, fd, sockets, nr_sockets, &reason), -EBADMSG);
	assert_string_equal(reason.text, why);
	close(fd);
}

static void test_no_plans(void **state)
{
	static const struct {
		struct conns_view views[2];
		size_t nr;
		const char *why;
	} cases[] = {
		{ { { DAEMON("xenstored") } }, 1, "record 1 of the connections makes no sense" },
		{ { { DAEMON("/a\0b") } }, 1, "record 1 of the connections makes no sense" },
		{ { { DAEMON("/a") }, { DAEMON("/a") } },
		  2,
		  "record 2 of the connections was given before" },
		{ { { RING(0x7ff0, 1, 2, 3) } }, 1, "record 1 of the connections makes no sense" },
		{ { { RING(7, 1, 0, 3) } }, 1, "record 1 of the connections makes no sense" },
		{ { { RING(7, 1, 2, UINT64_MAX) } },
		  1,
		  "record 1 of the connections makes no sense" },
		{ { { TARGETS(7, 1, 2, 3, 0x7ff0) } },
		  1,
		  "record 1 of the connections makes no sense" },
		{ { { RING(7, 1, 2, 3) }, { RING(7, 1, 4, 5) } },
		  2,
		  "record 2 of the connections was given before" },
		{ { { SOCKET(1) } }, 1, "record 1 of the connections makes no sense" },
		{ { { SOCKET(0) }, { SOCKET(0) } },
		  2,
		  "record 2 of the connections was given before" },
		{ { { SOCKET(0) }, { SOCKET(1) } },
		  2,
		  "record 2 of the connections makes no sense" },
		{ { { DAEMON("/a") } }, 1, "1 sockets came, 0 of them known" },
	};

	(void)state;
	for (size_t i = 0; i < NR(cases); i++)
		assert_no_plan(cases[i].views,
			       cases[i].views[1].record.kind || cases[i].views[1].record.local ? 2
											       : 1,
			       1, cases[i].why);
	assert_no_plan(NULL, 0, 1, "1 sockets came, 0 of them known");
}

static void test_cut_off(void **state)
{
	struct exchange_plan *plan;
	struct reason reason;
	int fd = conns_fd(all, NR(all));

	(void)state;
	assert_int_equal(ftruncate(fd, lseek(fd, 0, SEEK_END) - CONNS_ALIGN), 0);
	assert_int_equal(exchange_plan_conns(&plan, fd, sockets, SOCKETS, &reason), -EBADMSG);
	assert_string_equal(reason.text, "record 6 of the connections makes no sense");
	close(fd);
	assert_int_equal(exchange_plan_conns(&plan, -1, sockets, SOCKETS, &reason), -EBADF);
	assert_string_equal(reason.text, "cannot read the connections: Bad file descriptor");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_to_c2),
		cmocka_unit_test(test_to_c1),
		cmocka_unit_test(test_to_ox),
		cmocka_unit_test(test_octets_to_ox),
		cmocka_unit_test(test_octets_that_are_no_messages),
		cmocka_unit_test(test_a_depth_that_is_none),
		cmocka_unit_test(test_no_plans),
		cmocka_unit_test(test_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
