// SPDX-License-Identifier: MIT
/* The link: packets with and without descriptors, and everything that must be refused. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "link/link.h"
#include "link/start.h"

static int setup(void **state)
{
	static int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	*state = pair;
	return 0;
}

static int teardown(void **state)
{
	int *pair = *state, i;

	for (i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
	return 0;
}

static int open_fds(void)
{
	int fd, count = 0;

	for (fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void assert_no_fds(const int fds[LINK_HELLO_FDS])
{
	int i;

	for (i = 0; i < LINK_HELLO_FDS; i++)
		assert_int_equal(fds[i], -1);
}

static void message_goes_through(void **state)
{
	int *pair = *state, fds[LINK_HELLO_FDS];
	struct link_msg out = { .type = LINK_BIND, .seq = 5, .domid = 7, .value = -3 }, in;

	assert_int_equal(link_recv(pair[1], &in, fds), -EAGAIN);
	assert_int_equal(link_send(pair[0], &out, NULL, 0), 0);
	assert_int_equal(link_recv(pair[1], &in, fds), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_no_fds(fds);
	assert_int_equal(link_recv(pair[1], &in, fds), -EAGAIN);
}

static void hello_brings_descriptors(void **state)
{
	int *pair = *state, fds[LINK_HELLO_FDS], pipes[LINK_HELLO_FDS][2], send[LINK_HELLO_FDS], i;
	struct link_msg out = { .type = LINK_HELLO, .value = LINK_VERSION }, in;
	char octet;

	for (i = 0; i < LINK_HELLO_FDS; i++) {
		assert_int_equal(pipe(pipes[i]), 0);
		send[i] = pipes[i][1];
	}
	assert_int_equal(link_send(pair[0], &out, send, LINK_HELLO_FDS), 0);
	assert_int_equal(link_recv(pair[1], &in, fds), 0);
	assert_int_equal(in.type, LINK_HELLO);
	assert_int_equal(in.value, LINK_VERSION);
	for (i = 0; i < LINK_HELLO_FDS; i++) {
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		assert_int_equal(write(fds[i], &"abc"[i], 1), 1);
		assert_int_equal(read(pipes[i][0], &octet, 1), 1);
		assert_int_equal(octet, "abc"[i]); /* in the order they were sent */
		close(fds[i]);
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
}

/* What is kept comes alone, or not at all. */
static void kept_with_and_without(void **state)
{
	int *pair = *state, fds[LINK_FDS_MAX], i;
	struct link_msg out = { .type = LINK_KEPT }, in;

	for (i = 0; i < 2; i++) {
		assert_int_equal(link_send(pair[0], &out, &pair[0], i), 0);
		assert_int_equal(link_recv(pair[1], &in, fds), 0);
		assert_int_equal(in.type, LINK_KEPT);
		assert_int_equal(fds[0] >= 0, i);
		link_close_fds(fds);
		assert_no_fds(fds);
	}
}

/* As many as it takes, up to what one message has room for. */
static void sockets_come_together(void **state)
{
	int *pair = *state, fds[LINK_FDS_MAX], sent[LINK_FDS_MAX], count, i;
	struct link_msg out = { .type = START_SOCKETS }, in;

	for (i = 0; i < LINK_FDS_MAX; i++)
		sent[i] = pair[0];
	for (count = 1; count <= LINK_FDS_MAX; count++) {
		assert_int_equal(link_send(pair[0], &out, sent, count), 0);
		assert_int_equal(link_recv(pair[1], &in, fds), 0);
		for (i = 0; i < LINK_FDS_MAX; i++)
			assert_int_equal(fds[i] >= 0, i < count);
		link_close_fds(fds);
	}
}

/* Sends @len octets of a message with @count descriptors, as nobody should. */
static void send_raw(int sock, uint32_t type, size_t len, int count)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 8)];
		struct cmsghdr align;
	} control = { 0 };
	struct link_msg msg[2] = { { .type = type } };
	struct iovec iov = { .iov_base = msg, .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	int i;

	if (count > 0) {
		struct cmsghdr *cmsg;

		hdr.msg_control = control.buf;
		hdr.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
		for (i = 0; i < count; i++)
			((int *)CMSG_DATA(cmsg))[i] = sock;
	}
	assert_int_equal(sendmsg(sock, &hdr, 0), len);
}

static void wrong_packets_are_refused(void **state)
{
	static const struct {
		uint32_t type;
		size_t len;
		int fds;
	} cases[] = {
		{ LINK_ACK, sizeof(struct link_msg) - 1, 0 },
		{ LINK_ACK, sizeof(struct link_msg) + 1, 0 },
		{ LINK_ACK, 1, 0 },
		{ LINK_ACK, 2 * sizeof(struct link_msg), 0 },
		{ LINK_ACK, sizeof(struct link_msg), 1 },
		{ LINK_ACK, sizeof(struct link_msg), LINK_HELLO_FDS },
		{ LINK_FETCH, sizeof(struct link_msg), 1 },
		{ LINK_KEEP, sizeof(struct link_msg), 0 },
		{ LINK_KEEP, sizeof(struct link_msg), 2 },
		{ LINK_KEPT, sizeof(struct link_msg), 2 },
		{ LINK_HELLO, sizeof(struct link_msg), 0 },
		{ LINK_HELLO, sizeof(struct link_msg), LINK_HELLO_FDS - 1 },
		{ LINK_HELLO, sizeof(struct link_msg), LINK_HELLO_FDS + 1 },
		{ LINK_HELLO, sizeof(struct link_msg), 8 },
		{ LINK_HELLO, sizeof(struct link_msg) - 4, LINK_HELLO_FDS },
		{ START_GIVE, sizeof(struct link_msg), 1 },
		{ START_RETREAT, sizeof(struct link_msg), 1 },
		{ START_CONNS, sizeof(struct link_msg), 0 },
		{ START_CONNS, sizeof(struct link_msg), 2 },
		{ START_SOCKETS, sizeof(struct link_msg), 0 },
		{ START_SOCKETS, sizeof(struct link_msg), LINK_FDS_MAX + 1 },
		{ START_LISTENER, sizeof(struct link_msg), 0 },
		{ START_LISTENER, sizeof(struct link_msg), 2 },
		{ START_LEAVE, sizeof(struct link_msg), LINK_FDS_MAX - 1 },
	};
	int *pair = *state, fds[LINK_HELLO_FDS], before = open_fds();
	struct link_msg in;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		send_raw(pair[0], cases[i].type, cases[i].len, cases[i].fds);
		assert_int_equal(link_recv(pair[1], &in, fds), -EPROTO);
		assert_no_fds(fds);
		assert_int_equal(open_fds(), before); /* none leaked */
	}
	send_raw(pair[0], LINK_ACK, sizeof(struct link_msg), 0);
	assert_int_equal(link_recv(pair[1], &in, fds), 0); /* the stream itself is fine */
}

static void end_of_the_connection(void **state)
{
	int *pair = *state, fds[LINK_HELLO_FDS];
	struct link_msg msg = { .type = LINK_ACK };

	assert_int_equal(link_send(pair[0], &msg, NULL, 0), 0);
	close(pair[0]);
	pair[0] = -1;
	assert_int_equal(link_recv(pair[1], &msg, fds), 0); /* what came before it is delivered */
	assert_int_equal(link_recv(pair[1], &msg, fds), -ECONNRESET);
	assert_no_fds(fds);
	assert_int_equal(link_send(pair[1], &msg, NULL, 0), -EPIPE); /* and no SIGPIPE */
}

static void a_full_socket_does_not_block(void **state)
{
	int *pair = *state, rc = 0, i;
	struct link_msg msg = { .type = LINK_UNBIND };

	for (i = 0; i < 1000000 && rc == 0; i++)
		rc = link_send(pair[0], &msg, NULL, 0);
	assert_int_equal(rc, -EAGAIN);
}

static void listen_and_connect(void **state)
{
	char dir[] = "/tmp/test_link.XXXXXX", path[64];
	int listener, again, client, server, fds[LINK_HELLO_FDS];
	struct link_msg msg = { .type = LINK_MAP, .domid = 9 };
	mode_t mask = umask(0); /* as in the C daemon */
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/%s", dir, LINK_SOCKET);
	assert_int_equal(link_connect(dir, LINK_SOCKET), -ENOENT);

	listener = link_listen(dir, LINK_SOCKET);
	assert_true(listener >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_int_equal(umask(mask), 0);
	assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(listener, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);

	client = link_connect(dir, LINK_SOCKET);
	assert_true(client >= 0);
	assert_true(fcntl(client, F_GETFL) & O_NONBLOCK);
	server = accept(listener, NULL, NULL);
	assert_true(server >= 0);
	assert_int_equal(link_send(server, &msg, NULL, 0), 0);
	assert_int_equal(link_recv(client, &msg, fds), 0);
	assert_int_equal(msg.domid, 9);

	/* The name that a dead xenstored left behind is no obstacle, and not a way to it either. */
	close(listener);
	assert_int_equal(link_connect(dir, LINK_SOCKET), -ECONNREFUSED);
	again = link_listen(dir, LINK_SOCKET);
	assert_true(again >= 0);

	close(again);
	close(client);
	close(server);
	unlink(path);
	rmdir(dir);
}

static void names_that_do_not_fit(void **state)
{
	char dir[200];

	(void)state;
	memset(dir, 'x', sizeof(dir) - 1);
	dir[sizeof(dir) - 1] = '\0';
	assert_int_equal(link_listen(dir, LINK_SOCKET), -ENAMETOOLONG);
	assert_int_equal(link_connect(dir, LINK_SOCKET), -ENAMETOOLONG);
	/* The longest that fits, with its zero, is fine: here it only does not exist. */
	dir[sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("/" LINK_SOCKET)] = '\0';
	assert_int_equal(link_connect(dir, LINK_SOCKET), -ENOENT);
	assert_int_equal(link_listen(dir, LINK_SOCKET), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(message_goes_through, setup, teardown),
		cmocka_unit_test_setup_teardown(hello_brings_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(kept_with_and_without, setup, teardown),
		cmocka_unit_test_setup_teardown(sockets_come_together, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_packets_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(end_of_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_socket_does_not_block, setup, teardown),
		cmocka_unit_test(listen_and_connect),
		cmocka_unit_test(names_that_do_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
