// SPDX-License-Identifier: MIT
/*
 * test_remake - of a state of each daemon one for each daemon: which rings, nodes and permissions
 * are in it, and in what order.
 */
#include "tests/unit/remake_bed.h"

#define GOLDEN_C  golden_c, sizeof(golden_c)
#define GOLDEN_OX golden_ox, GOLDEN_OX_LEN
#define DUMP(lines)                                 \
	"$xenstored-dump-format\nglobal,5\n" lines, \
		sizeof("$xenstored-dump-format\nglobal,5\n" lines) - 1

#define DOM0 "ring 0 2 0 -\n"
#define BOTH DOM0 "ring 7 33 4096 -\nring 8 34 4097 -\n"

/* --- remake, and look at it */

static struct exchange_plan *plan_of(const char *text)
{
	struct exchange_plan *plan;
	struct reason reason;
	int fd = input_fd(text, strlen(text));

	assert_int_equal(exchange_plan_read(&plan, fd, &reason), 0);
	close(fd);
	return plan;
}

static const char *quotas; /* oxenstored's configuration */

static int remake(struct made *made, const void *octets, size_t len, enum rings_flavour to,
		  bool takes_c2, const char *plan_text, struct xen *xen)
{
	struct exchange_plan *plan = plan_of(plan_text);
	struct remake_options options = { .to = to,
					  .takes_c2 = takes_c2,
					  .listener = 3,
					  .evtchn = STATE_NO_FD,
					  .plan = plan,
					  .living = xen_has,
					  .opaque = xen,
					  .quotas = quotas };
	int r = make(made, octets, len, &options);

	exchange_plan_free(plan);
	return r;
}

static void assert_made(const void *octets, size_t len, enum rings_flavour to, bool takes_c2,
			const char *plan, struct xen *xen, const char *want, const char *want_said)
{
	struct xen none = { 0 };
	static struct made made;

	assert_int_equal(remake(&made, octets, len, to, takes_c2, plan, xen ? xen : &none), 0);
	assert_is(&made, want, want_said);
}

#define TO_C  RINGS_FLAVOUR_C, false
#define TO_C2 RINGS_FLAVOUR_C, true
#define TO_OX RINGS_FLAVOUR_OCAML, false

/* What there is before nodes, of the rings in BOTH */
#define MADE_OX                                \
	"global socket 3, event channels -1\n" \
	"ring 0 remote port 2, gfn 0\n"        \
	"ring 7 remote port 33, gfn 4096\n"    \
	"ring 8 remote port 34, gfn 4097\n"
#define MADE_C                                 \
	"global socket 3, event channels -1\n" \
	"ring 0 port 1073741824\n"             \
	"ring 7 port 1073741831\n"             \
	"ring 8 port 1073741832\n"

/* --- each from each */

#define NODES_C                             \
	"node / n0 \"\"\n"                  \
	"node /a n7,r3(stale) \"v\\x00\"\n" \
	"node @releaseDomain n0 \"\"\n"

/* The target of 7 comes first, or the C daemon does not find it. */
static void test_c_to_c2(void **state)
{
	(void)state;
	assert_made(GOLDEN_C, TO_C2, BOTH, NULL,
		    "global socket 3, event channels -1\n"
		    "ring 0 port 1073741824\n"
		    "ring 8 port 1073741832\n"
		    "ring 7 port 1073741831, target 8, unique id 81985529216486895\n"
		    "quotas nodes 1000, watches 128; global: total 5\n" NODES_C
		    "domain 7 features 0x3, quotas nodes 50\n"
		    "format: C, version: 2",
		    "");
}

static void test_c_to_c1(void **state)
{
	(void)state;
	assert_made(GOLDEN_C, TO_C, BOTH, NULL,
		    "global socket 3, event channels -1\n"
		    "ring 0 port 1073741824\n"
		    "ring 8 port 1073741832\n"
		    "ring 7 port 1073741831, target 8, unique id 81985529216486895\n"
		    "quotas nodes 1000, watches 128; global: total 5\n" NODES_C
		    "domain 7 quotas nodes 50\n"
		    "format: C, version: 1",
		    "it: left out: features of d7: this format has no place for them\n");
}

static void test_c_to_ox(void **state)
{
	(void)state;
	assert_made(GOLDEN_C, TO_OX, BOTH, NULL,
		    "global socket 3, event channels -1\n"
		    "ring 0 remote port 2, gfn 0\n"
		    "ring 8 remote port 34, gfn 4097\n"
		    "ring 7 remote port 33, gfn 4096\n"
		    "node / n0 \"\"\n"
		    "node /a n7 \"v\\x00\"\n"
		    "node @releaseDomain n0 \"\"\n"
		    "format: oxenstored",
		    "it: left out: quotas of the daemon: oxenstored has them in oxenstored.conf\n"
		    "it: left out: features of d7: this format has no place for them\n"
		    "it: left out: quotas of d7: this format has no place for them\n");
}

/* Domain 3 has no ring, and nothing is known of it: what it may do counts for nobody. */
static void test_ox_to_c(void **state)
{
	(void)state;
	assert_made(GOLDEN_OX, TO_C2, BOTH, NULL,
		    MADE_C "node / n0 \"\"\n"
			   "node /a n7,r3(stale) \"v\\x00\"\n"
			   "node /a/b n0 \"\"\n"
			   "node @releaseDomain n0 \"\"\n"
			   "format: C, version: 1",
		    "");
}

static void test_ox_to_ox(void **state)
{
	(void)state;
	assert_made(GOLDEN_OX, TO_OX, BOTH, NULL,
		    MADE_OX "node / n0 \"\"\n"
			    "node /a n7 \"v\\x00\"\n"
			    "node /a/b n0 \"\"\n"
			    "node @releaseDomain n0 \"\"\n"
			    "format: oxenstored",
		    "");
}

/* --- rings */

/* What the plan says of a target is newer than the state. */
static void test_target_of_the_plan(void **state)
{
	(void)state;
	assert_made(GOLDEN_C, TO_C, "ring 7 33 4096 9\nring 9 35 4098 -\n" DOM0, NULL,
		    "global socket 3, event channels -1\n"
		    "ring 9 port 1073741833\n"
		    "ring 0 port 1073741824\n"
		    "ring 7 port 1073741831, target 9, unique id 81985529216486895\n"
		    "quotas nodes 1000, watches 128; global: total 5\n" NODES_C
		    "domain 7 quotas nodes 50\n"
		    "format: C, version: 1",
		    "it: left out: features of d7: this format has no place for them\n");
}

/* The C daemon would keep a reference to nothing. */
static void test_target_without_a_ring(void **state)
{
	(void)state;
	assert_made(DUMP("store,2f,6e30,\n"), TO_C, DOM0 "ring 7 33 4096 8\n", NULL,
		    "global socket 3, event channels -1\n"
		    "ring 0 port 1073741824\n"
		    "ring 7 port 1073741831\n"
		    "node / n0 \"\"\n"
		    "format: C, version: 1",
		    "it: left out: target of d7: it has no ring, or targets this one\n");
}

/* Each other's: the state has to begin with one. */
static void test_targets_in_a_circle(void **state)
{
	(void)state;
	assert_made(DUMP("store,2f,6e30,\n"), TO_C, DOM0 "ring 7 33 1 8\nring 8 34 2 7\n", NULL,
		    "global socket 3, event channels -1\n"
		    "ring 0 port 1073741824\n"
		    "ring 7 port 1073741831\n"
		    "ring 8 port 1073741832, target 7\n"
		    "node / n0 \"\"\n"
		    "format: C, version: 1",
		    "it: left out: target of d7: it has no ring, or targets this one\n");
}

/* Without it the C daemon has no "/", and dom0's kernel no Xenstore. */
static void test_without_domain_0(void **state)
{
	static struct made made;
	struct xen xen = { 0 };

	(void)state;
	assert_int_equal(remake(&made, GOLDEN_OX, TO_C, "ring 7 33 4096 -\n", &xen), -EBADMSG);
	assert_string_equal(made.reason.text, "the plan has no ring of domain 0");
	free(made.octets);
}

/* --- domains without a ring */

/* /a n9 r7 b10, /b n9, /c r7 w9, /d n0 r32757 */
#define OF_9                               \
	"store,2f,6e30,\n"                 \
	"store,2f61,6e3900723700623130,\n" \
	"store,2f62,6e39,\n"               \
	"store,2f63,7237007739,\n"         \
	"store,2f64,6e3000723332373537,\n"

/* A toolstack is just making it. For oxenstored nothing is lost. */
static void test_a_domain_that_lives(void **state)
{
	static const uint16_t lives[] = { 9, 10 };
	struct xen xen = { lives, 2, 0, 0 };

	(void)state;
	assert_made(DUMP(OF_9), TO_OX, BOTH, &xen,
		    MADE_OX "node / n0 \"\"\n"
			    "node /a n9,r7,b10 \"\"\n"
			    "node /b n9 \"\"\n"
			    "node /c r7,w9 \"\"\n"
			    "node /d n0,r32757 \"\"\n"
			    "format: oxenstored",
		    "");
	assert_int_equal(xen.asked, 4);
}

/* The C daemon would end at /a, and take no notice of what 9 may do to /c. */
static void test_a_domain_that_lives_for_c(void **state)
{
	static const uint16_t lives[] = { 9 };
	struct xen xen = { lives, 1, 0, 0 };

	(void)state;
	assert_made(
		DUMP(OF_9), TO_C, BOTH, &xen,
		MADE_C "node / n0 \"\"\n"
		       "node /a n0,r7,b10(stale) \"\"\n"
		       "node /b n0 \"\"\n"
		       "node /c r7,w9(stale) \"\"\n"
		       "node /d n0,r32757 \"\"\n"
		       "format: C, version: 1",
		"it: left out: nodes and permissions of d9: it is not introduced yet, and the C "
		"daemon takes nothing of such a domain from a state; make it anew\n"
		"it: rewritten: /a: permission n9(stale): now n0\n"
		"it: rewritten: /b: permission n9(stale): now n0\n");
}

/* The next one with its id must not read what it could. What stands for all domains is none. */
static void test_a_domain_that_is_gone(void **state)
{
	static const uint16_t lives[] = { 10 };
	struct xen xen = { lives, 1, 0, 0 };

	(void)state;
	assert_made(DUMP(OF_9), TO_OX, BOTH, &xen,
		    MADE_OX "node / n0 \"\"\n"
			    "node /a n0,r7,b10 \"\"\n"
			    "node /b n0 \"\"\n"
			    "node /c r7 \"\"\n"
			    "node /d n0,r32757 \"\"\n"
			    "format: oxenstored",
		    "it: rewritten: /a: permission n9(stale): now n0\n"
		    "it: rewritten: /b: permission n9(stale): now n0\n");
	xen.nr = 0;
	assert_made(DUMP(OF_9), TO_C, BOTH, &xen,
		    MADE_C "node / n0 \"\"\n"
			   "node /a n0,r7,b10(stale) \"\"\n"
			   "node /b n0 \"\"\n"
			   "node /c r7,w9(stale) \"\"\n"
			   "node /d n0,r32757 \"\"\n"
			   "format: C, version: 1",
		    "it: rewritten: /a: permission n9(stale): now n0\n"
		    "it: rewritten: /b: permission n9(stale): now n0\n");
}

/* No domain ever has such an id, and the C daemon ends at a node that one owns. */
static void test_an_owner_that_cannot_be(void **state)
{
	(void)state;
	assert_made(DUMP("store,2f,6e30,\nstore,2f61,6e3332373532,\n"), TO_C, DOM0, NULL,
		    "global socket 3, event channels -1\n"
		    "ring 0 port 1073741824\n"
		    "node / n0 \"\"\n"
		    "node /a n0 \"\"\n"
		    "format: C, version: 1",
		    "it: rewritten: /a: permission n32752(stale): now n0\n");
}

static void test_xen_does_not_answer(void **state)
{
	static struct made made;
	struct xen xen = { .error = -EACCES };

	(void)state;
	assert_int_equal(remake(&made, DUMP(OF_9), TO_OX, BOTH, &xen), -EACCES);
	assert_string_equal(made.reason.text, "cannot ask Xen for domain 9: Permission denied");
	free(made.octets);
}

/* The C daemon ends at a domain that it has not come across. */
static void test_domain_data_without_a_domain(void **state)
{
	static struct made made;
	struct xen xen = { 0 };
	char *text;

	(void)state;
	assert_int_equal(remake(&made, GOLDEN_C, TO_C2, DOM0, &xen), 0);
	text = state_shown(made.octets, made.len, false);
	assert_null(strstr(text, "domain 7"));
	free(text);
	free(made.octets);
}

/* --- nodes */

/* It says which daemon there is; oxenstored writes it by itself. */
static void test_who(void **state)
{
	(void)state;
	/* /tool, /tool/xenstored "/bin/o" */
#define WHO                                        \
	"store,2f,6e30,\nstore,2f746f6f6c,6e30,\n" \
	"store,2f746f6f6c2f78656e73746f726564,6e30,2f62696e2f6f\n"
	assert_made(DUMP(WHO), TO_C, DOM0, NULL,
		    "global socket 3, event channels -1\n"
		    "ring 0 port 1073741824\n"
		    "node / n0 \"\"\n"
		    "node /tool n0 \"\"\n"
		    "node /tool/xenstored n0 \"\"\n"
		    "format: C, version: 1",
		    "");
}

static void configure(const char *text)
{
	static char name[] = "/tmp/test_remake.XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	quotas = name;
}

/* What one oxenstored had the same one takes: its configuration may allow more. */
static void test_long_values(void **state)
{
	static char dump[8192];
	static struct made made;
	struct xen xen = { 0 };
	size_t len = (size_t)sprintf(dump, "%s",
				     "$xenstored-dump-format\nglobal,5\n"
				     "store,2f,6e30,\nstore,2f61,6e30,");

	(void)state;
	memset(dump + len, '3', 2 * 3000);
	len += 2 * 3000;
	dump[len++] = '\n';
	assert_int_equal(remake(&made, dump, len, TO_OX, DOM0, &xen), 0);
	assert_string_equal(made.said, "");
	free(made.octets);
	assert_int_equal(remake(&made, dump, len, TO_C, DOM0, &xen), 0);
	assert_string_equal(made.said, "");
	/* but of the C daemon's it takes none so long, unless it is told to */
	len = made.len;
	memcpy(dump, made.octets, len);
	free(made.octets);
	assert_int_equal(remake(&made, dump, len, TO_OX, DOM0, &xen), 0);
	assert_string_equal(
		made.said, "it: left out: /a: node: oxenstored takes no value of so many octets\n");
	free(made.octets);
	configure("quota-maxsize = 3000\nquota-path-max = 1\n");
	assert_int_equal(remake(&made, dump, len, TO_OX, DOM0, &xen), 0);
	assert_string_equal(made.said, "");
	free(made.octets);
	unlink(quotas);
	quotas = NULL;
}

/* --- what is no state */

static void test_refusals(void **state)
{
	static struct made made;
	struct xen xen = { 0 };

	(void)state;
	assert_int_equal(remake(&made, golden_c, sizeof(golden_c) - 8, TO_C, BOTH, &xen), -EBADMSG);
	assert_string_equal(made.reason.text, "the state: record 14: the stream ends without END");
	free(made.octets);
	assert_int_equal(remake(&made, "", 0, TO_C, BOTH, &xen), -EBADMSG);
	free(made.octets);
	assert_int_equal(remake(&made, "garbage", 7, TO_C, BOTH, &xen), -EBADMSG);
	free(made.octets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_c_to_c2),
		cmocka_unit_test(test_c_to_c1),
		cmocka_unit_test(test_c_to_ox),
		cmocka_unit_test(test_ox_to_c),
		cmocka_unit_test(test_ox_to_ox),
		cmocka_unit_test(test_target_of_the_plan),
		cmocka_unit_test(test_target_without_a_ring),
		cmocka_unit_test(test_targets_in_a_circle),
		cmocka_unit_test(test_without_domain_0),
		cmocka_unit_test(test_a_domain_that_lives),
		cmocka_unit_test(test_a_domain_that_lives_for_c),
		cmocka_unit_test(test_a_domain_that_is_gone),
		cmocka_unit_test(test_an_owner_that_cannot_be),
		cmocka_unit_test(test_xen_does_not_answer),
		cmocka_unit_test(test_domain_data_without_a_domain),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
