// SPDX-License-Identifier: MIT
/* The mirror as a state: what xenstored has offered each domain goes along, if that is more than
 * the first daemons did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "migration/format/libxl_stream.h"
#include "migration/format/state_stream.h"
#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/mirror/mirror.h"
#include "proxy/session/session.h"

#define SESSIONS 3

static struct xenstore_domain_interface pages[SESSIONS];
static struct session sessions[SESSIONS] = {
	{ .domid = 0, .place.back_page = &pages[0] },
	{ .domid = 5, .place.back_page = &pages[1] },
	{ .domid = 9 }, /* its ring has not been bound yet */
};

static struct session *fake_next_session(struct domains *domains, uint32_t domid)
{
	(void)domains;
	for (int i = 0; i < SESSIONS; i++)
		if (sessions[i].domid >= domid)
			return &sessions[i];
	return NULL;
}

#define domains_next_session fake_next_session
#include "proxy/mend/image.c"

static struct mirror *made(void)
{
	static const struct tree_perm perms[] = { { .letter = 'n' } };
	const struct tree_content root = { .perms = perms, .nr_perms = 1 };
	struct mirror *mirror;
	uint32_t node;

	assert_int_equal(mirror_make(&mirror, 1, RINGS_FLAVOUR_C, 1 << 20), 0);
	mirror_begin(mirror);
	assert_int_equal(tree_set(mirror->tree, TREE_ROOT, &root), 0);
	mirror_end(mirror, tree_add(mirror->tree, TREE_ROOT, "a", 1, &root, &node));
	return mirror;
}

/* Its domains and nodes. */
static void assert_image(enum rings_flavour flavour, bool bare, const char *expected)
{
	struct daemon daemon = { .flavour = flavour };
	struct mirror *mirror = made();
	struct state_reader *reader;
	struct state_item item;
	char said[256] = "", *to = said;
	int fd = image_make(&daemon, mirror, bare), r;

	assert_true(fd >= 0);
	assert_int_equal(state_reader_open(&reader, fd, LIBXL_STREAM_MAX, NULL), 0);
	while ((r = state_reader_next(reader, &item)) > 0) {
		if (item.kind == STATE_DOMAIN)
			to += sprintf(to, "d%u:%u ", item.domain.domid, item.domain.features);
		if (item.kind == STATE_NODE)
			to += sprintf(to, "%.*s ", (int)item.node.node.path_len,
				      item.node.node.path);
	}
	assert_int_equal(r, 0);
	assert_string_equal(said, expected);
	state_reader_free(reader);
	close(fd);
	mirror_free(mirror);
}

static void what_was_offered(void **state)
{
	(void)state;
	pages[0].server_features = 15;
	pages[1].server_features = 0;
	assert_image(RINGS_FLAVOUR_C, false, "d0:15 d5:0 / /a ");
	assert_image(RINGS_FLAVOUR_C, true, "d0:15 d5:0 / ");
	assert_image(RINGS_FLAVOUR_OCAML, false, "/ /a ");
}

static void not_yet_to_dom0(void **state)
{
	(void)state;
	pages[0].server_features = 0;
	pages[1].server_features = 14;
	assert_image(RINGS_FLAVOUR_C, false, "d5:14 / /a ");
}

/* RECONNECTION, which nobody can mask. */
static void by_the_first_daemons(void **state)
{
	(void)state;
	pages[0].server_features = 0;
	pages[1].server_features = 1;
	assert_image(RINGS_FLAVOUR_C, false, "/ /a ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_offered),
		cmocka_unit_test(not_yet_to_dom0),
		cmocka_unit_test(by_the_first_daemons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
