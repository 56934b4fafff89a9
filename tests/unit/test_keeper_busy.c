// SPDX-License-Identifier: MIT
/*
 * A keeper that cannot be told of a descriptor, for there are too many under way, or no memory: it
 * is told when it can be, and given up when it cannot for long; nobody waits for it busily.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/host/keeper.h"
#include "proxy/log.h"

#define KEY	 5
#define TRIES	 1000 /* in two seconds, with 10 ms between them; a busy loop has a million */
#define PATH_LEN 100

static struct {
	bool busy;
	unsigned int refused;
} kernel;

/* In place of the C library's: the kernel has too many descriptors under way, or it is done. */
ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (kernel.busy && msg->msg_controllen) {
		kernel.refused++;
		errno = ETOOMANYREFS;
		return -1;
	}
	return syscall(SYS_sendmsg, fd, msg, flags);
}

struct bed {
	char dir[PATH_LEN];
	struct daemon daemon;
	struct keeper *keeper;
	pid_t pid;
	int told; /* readable when it has been told */
};

/* What the one in @dir is asked and told. */
static void be_keeper(int listener, int tell)
{
	int fds[LINK_FDS_MAX], peer = accept(listener, NULL, NULL), err;
	struct link_msg msg;

	while ((err = link_recv(peer, &msg, fds)) != -ECONNRESET) {
		if (err)
			continue;
		link_close_fds(fds);
		if (msg.type == LINK_GIVE)
			link_send(peer, &(struct link_msg){ .type = LINK_END }, NULL, 0);
		if (msg.type == LINK_PUT && msg.domid == KEY)
			(void)!write(tell, "", 1);
	}
	_exit(0);
}

static int setup(void **state)
{
	static struct bed bed;
	int listener, tell[2];

	memset(&bed, 0, sizeof(bed));
	memset(&kernel, 0, sizeof(kernel));
	log_set_level(-1);
	strcpy(bed.dir, "/tmp/xsproxy-busy-XXXXXX");
	assert_non_null(mkdtemp(bed.dir));
	config_defaults(&bed.daemon.config);
	strcpy(bed.daemon.config.run_dir, bed.dir);
	listener = link_listen(bed.dir, LINK_KEEPER);
	assert_true(listener >= 0);
	assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
	assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
	bed.pid = fork();
	if (!bed.pid)
		be_keeper(listener, tell[1]);
	close(listener);
	close(tell[1]);
	bed.told = tell[0];
	bed.daemon.base = event_base_new();
	assert_int_equal(keeper_new(&bed.keeper, &bed.daemon), 0);
	assert_true(keeper_there(bed.keeper));
	*state = &bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;
	char path[PATH_LEN + sizeof(LINK_KEEPER)];

	keeper_free(bed->keeper);
	event_base_free(bed->daemon.base);
	assert_int_equal(waitpid(bed->pid, NULL, 0), bed->pid);
	close(bed->told);
	snprintf(path, sizeof(path), "%s/" LINK_KEEPER, bed->dir);
	unlink(path);
	rmdir(bed->dir);
	return 0;
}

static void put(struct bed *bed)
{
	assert_true(keeper_put(bed->keeper, KEY, (const int[]){ STDIN_FILENO }, 1));
}

static void it_is_told_when_it_can_be(void **state)
{
	struct bed *bed = *state;
	char octet;

	kernel.busy = true;
	put(bed);
	while (kernel.refused < 4)
		event_base_loop(bed->daemon.base, EVLOOP_ONCE);
	kernel.busy = false;
	event_base_loop(bed->daemon.base, EVLOOP_ONCE);
	assert_int_equal(read(bed->told, &octet, 1), 1);
	assert_true(keeper_there(bed->keeper));
}

static void it_is_given_up_after_a_while(void **state)
{
	struct bed *bed = *state;

	kernel.busy = true;
	put(bed);
	while (keeper_there(bed->keeper))
		event_base_loop(bed->daemon.base, EVLOOP_ONCE);
	assert_in_range(kernel.refused, 2, TRIES);
}

static void nobody_waits_for_it_for_ever_at_the_end(void **state)
{
	struct bed *bed = *state;
	uint64_t start = clock_monotonic();

	kernel.busy = true;
	put(bed);
	keeper_flush(bed->keeper);
	assert_true(clock_monotonic() - start >= CLOCK_NS_OF_S);
	assert_in_range(kernel.refused, 2, TRIES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(it_is_told_when_it_can_be),
		TEST(it_is_given_up_after_a_while),
		TEST(nobody_waits_for_it_for_ever_at_the_end),
	};

	return cmocka_run_group_tests_name("keeper, busy", tests, NULL, NULL);
}
