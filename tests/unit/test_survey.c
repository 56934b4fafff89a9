// SPDX-License-Identifier: MIT
/*
 * test_survey - what another daemon would not take of a store: of each node and of watches, without
 * being told of what is gone by now or cannot be asked for.
 */
#include "tests/unit/walk_bed.h"

#include "migration/survey.h"
#include "protocol/message.h"

#define SAID_MAX 1024

static struct store whole_store(void)
{
	return (struct store){ .nodes = { { "/", "", "n0" },
					  { "/a", "1", "n0" },
					  { "/a/x", "deep", "n7" },
					  { "/b-long", "long", "n7" } } };
}

struct looked {
	int r;
	uint64_t losses;
	char said[SAID_MAX];
};

/* @domid: whose watches, too; 0: nobody's */
static void look(struct store *store, bool ox, const struct conversion_options *takes,
		 uint16_t domid, struct looked *looked)
{
	struct omissions *omissions = NULL;
	struct report report;
	struct survey *survey = NULL;
	struct server server;
	struct wire *wire = server_start(&server, play_store, store);

	memset(looked, 0, sizeof(*looked));
	hear(looked->said, sizeof(looked->said), &report, &omissions);
	assert_int_equal(survey_new(&survey, wire, ox, takes, omissions, &report), 0);
	looked->r = survey_nodes(survey);
	if (!looked->r && domid)
		looked->r = survey_watches(survey, domid);
	looked->losses = omissions_count(omissions, OMISSION_LEFT_OUT) +
			 omissions_count(omissions, OMISSION_KEPT) +
			 omissions_count(omissions, OMISSION_REWRITTEN);
	survey_free(survey);
	omissions_free(omissions);
	fclose(report.out);
	server_stop(&server, wire);
}

static void assert_lost(struct store *store, bool ox, const struct conversion_options *takes,
			uint16_t domid, uint64_t losses, const char *said)
{
	struct looked looked;

	look(store, ox, takes, domid, &looked);
	assert_int_equal(looked.r, 0);
	assert_string_equal(looked.said, said);
	assert_int_equal(looked.losses, losses);
}

static void test_nodes(void **state)
{
	const struct conversion_options to_ox = { .to = STATE_OX, .max_value = 3 },
					to_c = { .to = STATE_C_2, .max_path = 3 };
	struct store store = whole_store();

	(void)state;
	assert_lost(&store, false, &to_ox, 0, 2,
		    "test: left out: /b-long: node: oxenstored takes no value of so "
		    "many octets\n"
		    "test: left out: /a/x: node: oxenstored takes no value of so "
		    "many octets\n");
	assert_lost(&store, false, &to_c, 0, 2,
		    "test: left out: /b-long: node: the daemon would have it, but "
		    "serve no path of so many octets\n"
		    "test: left out: /a/x: node: the daemon would have it, but "
		    "serve no path of so many octets\n");
}

/* Owners without a connection are none of ours; numbers that are no domain's are. */
static void test_permissions(void **state)
{
	const struct conversion_options to_ox = { .to = STATE_OX }, to_c = { .to = STATE_C },
					passed = { .to = STATE_OX, .pass_odd = true };
	struct store store = {
		.nodes = { { "/", "", "n0" }, { "/a", "1", "n9" }, { "/a/b", "2", "r70000" } }
	};
	static const char *const said = "test: left out: /a/b: permission r?: this is no domain\n";

	(void)state;
	assert_lost(&store, false, &to_ox, 0, 1, said);
	assert_lost(&store, false, &to_c, 0, 1, said);
	assert_lost(&store, false, &passed, 0, 0, "");
}

/* oxenstored has them as nodes. */
static void test_special_watches(void **state)
{
	const struct conversion_options to_ox = { .to = STATE_OX }, to_c = { .to = STATE_C };
	struct store store = { .nodes = { { "/", "", "n0" }, { "/@releaseDomain", "", "n0" } } };

	(void)state;
	assert_lost(&store, true, &to_ox, 0, 0, "");
	assert_lost(&store, true, &to_c, 0, 0, "");
	assert_lost(&store, false, &to_c, 0, 0, "");
	assert_lost(&store, false, &to_ox, 0, 1,
		    "test: left out: /@releaseDomain: node: its path is that of a special watch in "
		    "oxenstored\n");
}

/* --- what cannot be read */

static const char *refused, *with;

static void refuse(struct store *store, int fd, const struct request *req)
{
	(void)fd;
	store->refuse = strcmp(req->payload, refused) ? NULL : with;
}

static void test_refusals(void **state)
{
	const struct conversion_options to_c = { .to = STATE_C };
	struct store store = whole_store();
	struct looked looked;

	(void)state;
	store.before = refuse;
	refused = "/a";
	with = "ENOENT";
	assert_lost(&store, false, &to_c, 0, 0, "");
	with = "EINVAL";
	assert_lost(&store, false, &to_c, 0, 0, "");
	with = "EIO";
	look(&store, false, &to_c, 0, &looked);
	assert_int_equal(looked.r, -EIO);
	assert_string_equal(looked.said, "test: cannot read /a: Input/output error\n");
}

static void test_a_path_that_fits_no_request(void **state)
{
	const struct conversion_options to_c = { .to = STATE_C };
	struct store store = whole_store();
	char path[XENSTORE_PAYLOAD_MAX - 23];

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	store.nodes[1].path = path;
	assert_lost(&store, false, &to_c, 0, 1,
		    "test: left out: /: a child: its path fits no request\n");
}

/* --- watches */

/* Two of domain 7: one relative, the other with a depth. */
static void answer_watches(struct store *store, int fd, const struct request *req)
{
	static const char first[] = "1\0data\0token\0\0"
				    "3\0@x\0deep",
			  last[] = "1";

	if (req->hdr.type != MESSAGE_GET_DOMAIN_WATCHES)
		return;
	if (!strcmp(req->payload + strlen(req->payload) + 1, "0"))
		server_put(fd, req->hdr.type, req->hdr.req_id, first, sizeof(first));
	else
		server_put(fd, req->hdr.type, req->hdr.req_id, last, sizeof(last));
	store->answered = true;
}

static void test_watches(void **state)
{
	const struct conversion_options to_c = { .to = STATE_C_2 },
					to_ox = { .to = STATE_OX, .max_watches = 1 };
	struct store store = whole_store();

	(void)state;
	store.before = answer_watches;
	assert_lost(&store, false, &to_c, 7, 0, "");
	assert_lost(&store, false, &to_ox, 7, 1,
		    "test: left out: @x: watch deep: oxenstored takes no more watches of a "
		    "domain\n");
}

static void test_watches_of_one_that_is_gone(void **state)
{
	const struct conversion_options to_c = { .to = STATE_C };
	struct store store = whole_store();

	(void)state;
	assert_lost(&store, false, &to_c, 7, 0, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_special_watches),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_a_path_that_fits_no_request),
		cmocka_unit_test(test_watches),
		cmocka_unit_test(test_watches_of_one_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
