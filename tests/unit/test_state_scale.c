// SPDX-License-Identifier: MIT
/*
 * test_state_scale - states as large as a host's, and larger: in memory that does not grow with
 * them beyond what state_order.h says, and each item at the same cost.
 */
#include "tests/unit/golden/children.h"
#include "tests/unit/state_bed.h"

#define NODES  200000
#define MEMORY ((rlim_t)64 << 20) /* of a child, with its libraries */

static struct record_perm perm;

static void put_node(struct state_writer *writer, const char *path)
{
	struct state_item item = { .kind = STATE_NODE,
				   .node.node = { .path = path,
						  .path_len = strlen(path),
						  .perms = &perm,
						  .nr_perms = 1,
						  .value = "a value of some octets",
						  .value_len = 22 } };

	if (state_writer_append(writer, &item, NULL))
		_exit(1);
}

/* As a host has them: @count nodes, a thousand in each directory. */
static void put_nodes(struct state_writer *writer, uint64_t count)
{
	char path[64];

	put_node(writer, "/");
	for (uint64_t i = 0; i < count; i++) {
		if (i % 1000 == 0) {
			snprintf(path, sizeof(path), "/dir%u", (unsigned int)(i / 1000));
			put_node(writer, path);
		}
		snprintf(path, sizeof(path), "/dir%u/node%u", (unsigned int)(i / 1000),
			 (unsigned int)i);
		put_node(writer, path);
	}
}

static void write_state(int fd, uint64_t count, enum state_format format)
{
	struct state_item global = { .kind = STATE_GLOBAL, .global = { -1, -1, false, 0, -1 } };
	FILE *file = fdopen(fd, "w");
	struct state_writer *writer;

	if (!file || state_writer_new(&writer, file, format) ||
	    state_writer_append(writer, &global, NULL))
		_exit(1);
	put_nodes(writer, count);
	if (state_writer_finish(writer))
		_exit(1);
}

static void write_c(int fd, uint64_t count)
{
	write_state(fd, count, STATE_C);
}

static void write_ox(int fd, uint64_t count)
{
	write_state(fd, count, STATE_OX);
}

/* Of @fd, with not much memory; the exit status is the number of a failed step. */
static void read_bounded(int fd)
{
	struct rlimit limit = { MEMORY, MEMORY };
	struct state_reader *reader;
	struct state_item item;
	uint64_t nr = 0;

	if (!SANITIZED && setrlimit(RLIMIT_AS, &limit)) /* ASan maps terabytes */
		_exit(1);
	if (state_reader_open(&reader, fd, LIBXL_STREAM_MAX_DEFAULT, NULL))
		_exit(2);
	while (state_reader_next(reader, &item) > 0)
		nr += item.kind == STATE_NODE;
	state_reader_free(reader);
	_exit(nr == NODES + NODES / 1000 + 1 ? 0 : 3);
}

/* While another process writes it. */
static void assert_read_bounded(void (*write_child)(int fd, uint64_t count))
{
	pid_t writer, reader;
	int fd = start_child(&writer, write_child, NODES);

	reader = fork();
	assert_true(reader >= 0);
	if (!reader)
		read_bounded(fd);
	close(fd);
	wait_child(reader);
	wait_child(writer);
}

static void test_many_nodes(void **state)
{
	(void)state;
	if (getenv("XSPROXY_MEMCHECK")) /* limits on memory are not for valgrind */
		skip();
	perm = record_perm_make('n', 0);
	assert_read_bounded(write_c);
	assert_read_bounded(write_ox);
}

/* A line or a record as long as can be. */
static void test_large_item(void **state)
{
	static char value[UINT16_MAX];
	struct record_perm perms[1000];
	struct state_item item = { .kind = STATE_NODE,
				   .node.node = { "/", 1, perms, ARRAY_LEN(perms), value,
						  sizeof(value) } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(perms); i++)
		perms[i] = record_perm_make('b', (uint16_t)(i * 65));
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (char)i;
	for (enum state_format format = STATE_C; format <= STATE_OX_DEPTH; format++) {
		static char *octets;
		static size_t len;
		struct state_writer *writer;
		struct state_reader *reader;
		struct state_item again;
		FILE *file = open_memstream(&octets, &len);

		assert_non_null(file);
		assert_int_equal(state_writer_new(&writer, file, format), 0);
		assert_int_equal(state_writer_append(writer, &item, NULL), 0);
		assert_int_equal(state_writer_finish(writer), 0);
		state_writer_free(writer);
		fclose(file);
		assert_int_equal(state_open(&reader, octets, len, NULL), 0);
		assert_int_equal(state_reader_next(reader, &again), 1);
		assert_octets_equal(again.node.node.value, again.node.node.value_len, value,
				    sizeof(value));
		assert_octets_equal(again.node.node.perms,
				    again.node.node.nr_perms * sizeof(*perms), perms,
				    sizeof(perms));
		state_reader_free(reader);
		free(octets);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_nodes),
		cmocka_unit_test(test_large_item),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
