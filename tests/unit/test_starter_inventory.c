// SPDX-License-Identifier: MIT
/*
 * test_starter_inventory - what connections have at a native daemon, of states that daemons have
 * written, and of garbage.
 */
#include "tests/unit/inventory_bed.h"

/* --- of daemons */

#define TWENTY	"vvvvvvvvvvvvvvvvvvvv"
#define HUNDRED TWENTY TWENTY TWENTY TWENTY TWENTY

static void test_recorded_c(void **state)
{
	struct xen xen = { 0 };

	(void)state;
	assert_taken(recorded_c, sizeof(recorded_c), &xen,
		     "ring 0 port 65 gfn 0\n"
		     "socket 0 fd 10\n"
		     "ring 7 port 7066 gfn 262151 in 02000000M00000000 watch data,t7,\n"
		     "ring 8 port 8067 gfn 262152 target 7 rest " TWENTY
		     " out 020000000a00000000000000d000000" HUNDRED "\n"
		     "socket 1 fd 13 in 02000000N0000000000000005000000/a watch /a,idle, "
		     "watch @releaseDomain,,\n"
		     "socket 2 fd 15 out 00000000020000000000000003000000OK00\n"
		     "listener 3, event channels 8");
	assert_int_equal(xen.asked, 3);
}

static void test_recorded_ox(void **state)
{
	struct xen xen = { 0 };

	(void)state;
	assert_taken(recorded_ox, RECORDED_OX_LEN, &xen,
		     "ring 7 port 7066 gfn 262151 watch data,t7,\n"
		     "ring 0 port 65 gfn 0\n"
		     "ring 8 port 8067 gfn 262152\n"
		     "socket 0 fd 13 watch /a,idle, watch @releaseDomain,,\n"
		     "socket 1 fd 10\n"
		     "socket 2 fd 14\n"
		     "listener 5, event channels 7");
	assert_int_equal(xen.asked, 3);
}

/* Depths are handed over; transactions are not, nor what was changed in them. */
static void test_golden(void **state)
{
	(void)state;
	assert_taken(golden_c, sizeof(golden_c), NULL,
		     "ring 7 port 7066 gfn 0 target 8 in 02000000010000000000 rest xy00 "
		     "out 0b00000002000000000000000300000"
		     "0OK00 watch data,t\xff, watch @releaseDomain,,2\n"
		     "socket 0 fd 10\n"
		     "listener 5, event channels 8");
	assert_taken(golden_ox, GOLDEN_OX_LEN, NULL,
		     "ring 7 port 7066 gfn 262151 watch data,t\xff, watch @releaseDomain,,2\n"
		     "ring 0 port 33 gfn 0\n"
		     "socket 0 fd 10 watch /a,t,\n"
		     "listener 5, event channels 7");
}

static void assert_has_let_go(const void *octets, size_t len)
{
	struct inventory *inventory;
	struct xen xen = { .gone = 7 };
	struct reason reason = { "" };
	char *text;

	assert_int_equal(take(&inventory, octets, len, &xen, &reason), 0);
	text = shown(inventory);
	assert_non_null(strstr(text, "ring 7 port 0 gfn 262151 "));
	assert_non_null(strstr(text, "ring 8 port 8067 "));
	free(text);
	inventory_free(inventory);
}

/* The next daemon will notice by itself, whichever it is; also one that oxenstored has missed. */
static void test_a_domain_that_has_let_go(void **state)
{
	assert_has_let_go(recorded_c, sizeof(recorded_c));
	place_ox(state);
	assert_has_let_go(recorded_ox, RECORDED_OX_LEN);
}

static void test_xen_does_not_answer(void **state)
{
	struct xen xen = { .error = -EACCES };

	(void)state;
	assert_not(recorded_c, sizeof(recorded_c), &xen, -EACCES,
		   "cannot ask Xen for the event channel of domain 0: Permission denied");
	assert_int_equal(xen.asked, 1);
}

/* --- descriptors */

#define NO_SOCKET(fd) "the state names descriptor " #fd " for a socket, which it is not"

static void assert_no_socket(int fd, const char *why)
{
	assert_not(recorded_ox, RECORDED_OX_LEN, NULL, -EBADMSG, why);
	/* as long as it is the wrong one */
	close(fd);
	if (fd == 5)
		place_listener(fd);
	else
		place_client(fd);
	assert_taken(recorded_ox, RECORDED_OX_LEN, NULL,
		     "ring 7 port 7066 gfn 262151 watch data,t7,\n"
		     "ring 0 port 65 gfn 0\n"
		     "ring 8 port 8067 gfn 262152\n"
		     "socket 0 fd 13 watch /a,idle, watch @releaseDomain,,\n"
		     "socket 1 fd 10\n"
		     "socket 2 fd 14\n"
		     "listener 5, event channels 7");
}

static void test_descriptors_that_are_not_what_is_said(void **state)
{
	(void)state;
	close(14);
	assert_no_socket(14, NO_SOCKET(14));
	place_listener(13);
	assert_no_socket(13, NO_SOCKET(13));
	place_client(5);
	assert_no_socket(5, NO_SOCKET(5));
	place_file(10);
	assert_no_socket(10, NO_SOCKET(10));
	/* of another kind, as our connection to xsproxyd is */
	place(socket(AF_UNIX, SOCK_SEQPACKET, 0), 10);
	assert_no_socket(10, NO_SOCKET(10));
	place(socket(AF_INET, SOCK_STREAM, 0), 10);
	assert_no_socket(10, NO_SOCKET(10));
	/* not inherited */
	fcntl(10, F_SETFD, FD_CLOEXEC);
	assert_no_socket(10, NO_SOCKET(10));
	close(7);
	assert_not(recorded_ox, RECORDED_OX_LEN, NULL, -EBADMSG,
		   "the state names descriptor 7 for event channels, which it cannot be");
}

/* --- rings' frames, where the state has none but in the store */

struct node {
	const char *path;
	const char *value;
};

static char *made;
static size_t made_len;

static void append(struct state_writer *writer, const struct state_item *item)
{
	assert_int_equal(state_writer_append(writer, item, NULL), 0);
}

static const struct state_peer seven = { .number = 7 };

/* @tx_id: of a transaction of domain 7's; 0: none */
static void append_node(struct state_writer *writer, const struct node *node, uint32_t tx_id)
{
	static const struct record_perm perm = { .letter = 'n' };

	append(writer, &(struct state_item){ .kind = STATE_NODE,
					     .node = { .node = { .path = node->path,
								 .path_len = strlen(node->path),
								 .perms = &perm,
								 .nr_perms = 1,
								 .value = node->value,
								 .value_len = strlen(node->value) },
						       .pending = tx_id,
						       .peer = seven,
						       .tx_id = tx_id } });
}

static void append_ring(struct state_writer *writer, uint32_t domid)
{
	append(writer, &(struct state_item){ .kind = STATE_CONNECTION,
					     .connection = { .peer.number = domid,
							     .has_local = true,
							     .local = 60 + domid % 1000 } });
}

/* A C daemon's state with rings of 7, 8 and @domid, and with @node; free(@made). */
static void make(uint32_t domid, const struct node *node, uint32_t tx_id)
{
	static const struct node parents[] = { { "/", "" },
					       { "/local", "" },
					       { "/local/domain", "" },
					       { "/local/domain/7", "" },
					       { "/local/domain/7/store", "" },
					       { "/local/domain/07", "" },
					       { "/local/domain/07/store", "" } };
	struct state_writer *writer;
	FILE *file = open_memstream(&made, &made_len);

	assert_int_equal(state_writer_new(&writer, file, STATE_C), 0);
	append(writer, &(struct state_item){
			       .kind = STATE_GLOBAL,
			       .global = { .socket = 5, .evtchn = 8, .read_only = STATE_NO_FD } });
	append_ring(writer, 7);
	append_ring(writer, 8);
	append_ring(writer, domid);
	if (tx_id)
		append(writer, &(struct state_item){ .kind = STATE_TRANSACTION,
						     .transaction = { seven, tx_id } });
	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++)
		append_node(writer, &parents[i], 0);
	append_node(writer, node, tx_id);
	assert_int_equal(state_writer_finish(writer), 0);
	state_writer_free(writer);
	fclose(file);
}

static void assert_gfn_in(uint32_t tx_id, const char *path, const char *value, uint64_t want)
{
	char text[256];

	make(9, &(struct node){ path, value }, tx_id);
	snprintf(text, sizeof(text),
		 "ring 7 port 7067 gfn %" PRIu64 "\nring 8 port 8068 gfn 0\n"
		 "ring 9 port 9069 gfn 0\nlistener 5, event channels 8",
		 want);
	assert_taken(made, made_len, NULL, text);
	free(made);
}

static void assert_gfn(const char *path, const char *value, uint64_t want)
{
	assert_gfn_in(0, path, value, want);
}

static void test_frames(void **state)
{
	(void)state;
	assert_gfn("/local/domain/7/store/ring-ref", "262151", 262151);
	assert_gfn("/local/domain/7/store/ring-ref", "18446744073709551615", UINT64_MAX);
	assert_gfn("/local/domain/7/store/ring-ref", "18446744073709551616", 0);
	assert_gfn("/local/domain/7/store/ring-ref", "", 0);
	assert_gfn("/local/domain/7/store/ring-ref", "12a", 0);
	assert_gfn("/local/domain/7/store/ring-ref", "-1", 0);
	assert_gfn("/local/domain/7/store/ring-reff", "1", 0);
	assert_gfn("/local/domain/7/ring-ref", "1", 0);
	assert_gfn("/local/domain/07/store/ring-ref", "1", 0);
	assert_gfn("/local/domain/store", "1", 0);
	/* nobody has committed it */
	assert_gfn_in(12, "/local/domain/7/store/ring-ref", "262151", 0);
}

static void test_no_domain_has_such_a_ring(void **state)
{
	(void)state;
	make(0x7ff0, &(struct node){ "/x", "" }, 0);
	assert_not(made, made_len, NULL, -EBADMSG,
		   "the state has a ring of domain 32752, which no domain is");
	free(made);
}

/* --- garbage */

static void test_cut_off(void **state)
{
	struct inventory *inventory;
	struct reason reason = { "" };

	(void)state;
	for (size_t len = 0; len < sizeof(recorded_c); len++) {
		assert_int_equal(take(&inventory, recorded_c, len, NULL, &reason), -EBADMSG);
		assert_int_not_equal(*reason.text, '\0');
	}
}

static void assert_any(const void *octets, size_t len)
{
	struct inventory *inventory;
	struct reason reason = { "" };
	int r = take(&inventory, octets, len, NULL, &reason);

	if (r) {
		assert_int_equal(r, -EBADMSG);
		assert_int_not_equal(*reason.text, '\0');
		return;
	}
	free(shown(inventory));
	inventory_free(inventory);
}

/* Whatever an octet is: it is refused, or what comes of it can be read. */
static void change_each(const void *octets, size_t len)
{
	static const uint8_t changes[] = { 0x01, 0x08, 0x80, 0xff };
	uint8_t *copy = malloc(len);

	assert_non_null(copy);
	memcpy(copy, octets, len);
	for (size_t i = 0; i < len; i++)
		for (size_t j = 0; j < sizeof(changes); j++) {
			copy[i] ^= changes[j];
			assert_any(copy, len);
			copy[i] ^= changes[j];
		}
	free(copy);
}

static void test_changed_c(void **state)
{
	(void)state;
	change_each(recorded_c, sizeof(recorded_c));
}

static void test_changed_ox(void **state)
{
	(void)state;
	change_each(recorded_ox, RECORDED_OX_LEN);
}

static void test_no_state(void **state)
{
	static const char no_global[] = "$xenstored-dump-format\nstore,2f,6e30,\n";

	(void)state;
	assert_not("garbage", 7, NULL, -EBADMSG,
		   "the state: record 0: the stream ends inside the header");
	assert_not(no_global, sizeof(no_global) - 1, NULL, -EBADMSG, "the state names no socket");
	inventory_free(NULL);
}

#define C_TEST(name)	  cmocka_unit_test_setup_teardown(name, place_c, tear_down)
#define OX_TEST(name)	  cmocka_unit_test_setup_teardown(name, place_ox, tear_down)
#define GOLDEN_TEST(name) cmocka_unit_test_setup_teardown(name, place_golden, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		C_TEST(test_recorded_c),
		OX_TEST(test_recorded_ox),
		GOLDEN_TEST(test_golden),
		C_TEST(test_a_domain_that_has_let_go),
		C_TEST(test_xen_does_not_answer),
		OX_TEST(test_descriptors_that_are_not_what_is_said),
		GOLDEN_TEST(test_frames),
		GOLDEN_TEST(test_no_domain_has_such_a_ring),
		C_TEST(test_cut_off),
		C_TEST(test_changed_c),
		OX_TEST(test_changed_ox),
		OX_TEST(test_no_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
