// SPDX-License-Identifier: MIT
/*
 * What an exchange of xenstored takes, and what the host has: refused only where it is known that
 * there is less.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/room.h"

#define KIB 1024ull

static char status[64], memory[64];
static struct room room;
static uint64_t disk_kib; /* that are free there, for now */

static void put(const char *path, const char *before, uint64_t kib, const char *name)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fprintf(file, "%s%s%10" PRIu64 " kB\nOther: 1 kB\n", before, name, kib);
	assert_int_equal(fclose(file), 0);
}

static void host_has(uint64_t daemon_kib, uint64_t available_kib)
{
	put(status, "Name:\txenstored\nVmRSS:\t 99 kB\n", daemon_kib, "RssAnon:\t");
	put(memory, "MemTotal: 1 kB\nMemFree: 2 kB\n", available_kib, "MemAvailable:");
}

static int set_up(void **state)
{
	struct statvfs disk;

	(void)state;
	snprintf(status, sizeof(status), "/tmp/room-status-%d", (int)getpid());
	snprintf(memory, sizeof(memory), "/tmp/room-memory-%d", (int)getpid());
	room = (struct room){ .status = status, .memory = memory, .written = "/tmp" };
	if (statvfs("/tmp", &disk))
		return -1;
	disk_kib = (uint64_t)disk.f_bavail * disk.f_frsize / KIB;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(status);
	unlink(memory);
	return 0;
}

static void assert_hindered(const char *word)
{
	const char *why = room_hindrance(&room);

	assert_non_null(why);
	if (!strstr(why, word))
		fail_msg("\"%s\" does not mention \"%s\"", why, word);
}

static void there_is_enough(void **state)
{
	(void)state;
	host_has(100, 400);
	assert_null(room_hindrance(&room));
}

static void too_little_memory(void **state)
{
	(void)state;
	host_has(100, 399);
	assert_hindered("memory is available");
}

static void too_little_disk(void **state)
{
	(void)state;
	host_has(disk_kib * 2, disk_kib * 100);
	assert_hindered("/run/xenstored");
}

static void what_is_not_known_hinders_nothing(void **state)
{
	(void)state;
	host_has(disk_kib * 2, disk_kib * 100);
	room.written = "/nonexistent";
	assert_null(room_hindrance(&room));
	room.written = "/tmp";
	room.status = "/nonexistent";
	assert_null(room_hindrance(&room));
	host_has(100, 0);
	room.status = status;
	assert_null(room_hindrance(&room));
	room.memory = "/nonexistent";
	assert_null(room_hindrance(&room));
}

static void this_process(void **state)
{
	(void)state;
	assert_null(room_of(getpid()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(there_is_enough, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_little_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_little_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_known_hinders_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(this_process, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
