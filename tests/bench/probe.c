// SPDX-License-Identifier: MIT
/*
 * probe - the rows of `make bench` that are no guest's requests.
 *
 *	xsprobe watch SECONDS DIR DOMID SOCKET	a toolstack writes, the guest is told
 *	xsprobe socket SECONDS SOCKET		a toolstack reads 10 octets
 *	xsprobe connect SECONDS SOCKET		the same, each time on a new connection
 *	xsprobe hops SECONDS			two processes pass an eventfd to and fro: no proxy
 *can add less to a request
 *
 * Prints one line of JSON as xsload does. What is needed in the store has been written by scale.py.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#include "protocol/clock.h"
#include "tests/bench/times.h"
#include "tests/sim/guest.h"

#define WAIT_MS 20000

static int octets(int fd, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, (char *)buf + done, len - done);

		if (n <= 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

static int toolstack(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	return fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -1 : fd;
}

static int request(int fd, uint32_t type, const char *payload, uint32_t len)
{
	struct {
		struct xsd_sockmsg hdr;
		char payload[XENSTORE_PAYLOAD_MAX];
	} msg = { .hdr = { .type = type, .len = len } };

	memcpy(msg.payload, payload, len);
	if (write(fd, &msg, sizeof(msg.hdr) + len) < 0 || octets(fd, &msg.hdr, sizeof(msg.hdr)) ||
	    octets(fd, msg.payload, msg.hdr.len) || msg.hdr.type == XS_ERROR)
		return -EIO;
	return 0;
}

static int watch(char **argv, uint64_t end, struct times *times)
{
	char path[128];
	int fd = toolstack(argv[5]), n, err;
	struct xsguest_msg msg;
	struct xsguest *g;

	if (fd < 0 || xsguest_open(argv[3], (uint32_t)atoi(argv[4]), &g))
		return -EIO;
	n = snprintf(path, sizeof(path), "/local/domain/%s/data/small%c0123456789", argv[4], 0);
	err = xsguest_request(g, XS_WATCH, 1, 0, "data/small\0t", 13, &msg, WAIT_MS);
	if (!err)
		err = xsguest_recv_event(g, &msg, WAIT_MS);
	for (uint64_t start; !err && (start = clock_monotonic()) < end;) {
		err = request(fd, XS_WRITE, path, (uint32_t)n);
		if (!err)
			err = xsguest_recv_event(g, &msg, WAIT_MS);
		times_add(times, clock_monotonic() - start);
	}
	/* The guest goes on without us, and may be played again. */
	if (!err)
		err = xsguest_request(g, XS_UNWATCH, 2, 0, "data/small\0t", 13, &msg, WAIT_MS);
	xsguest_close(g);
	close(fd);
	return err;
}

static int socket_read(char **argv, uint64_t end, struct times *times)
{
	static const char path[] = "/local/domain/1/data/small";
	int fd = toolstack(argv[3]), err = fd < 0 ? -EIO : 0;

	for (uint64_t start; !err && (start = clock_monotonic()) < end;) {
		err = request(fd, XS_READ, path, sizeof(path));
		times_add(times, clock_monotonic() - start);
	}
	close(fd);
	return err;
}

static int connect_and_read(char **argv, uint64_t end, struct times *times)
{
	static const char path[] = "/local/domain/1/data/small";
	int err = 0;

	for (uint64_t start; !err && (start = clock_monotonic()) < end;) {
		int fd = toolstack(argv[3]);

		err = fd < 0 ? -EIO : request(fd, XS_READ, path, sizeof(path));
		if (fd >= 0)
			close(fd);
		times_add(times, clock_monotonic() - start);
	}
	return err;
}

static int hops(uint64_t end, struct times *times)
{
	int to = eventfd(0, 0), fro = eventfd(0, 0);
	eventfd_t count;
	pid_t pid = fork();

	if (to < 0 || fro < 0 || pid < 0)
		return -EIO;
	while (!pid)
		if (eventfd_read(to, &count) || eventfd_write(fro, 1))
			_exit(1);
	for (uint64_t start; (start = clock_monotonic()) < end;) {
		if (eventfd_write(to, 1) || eventfd_read(fro, &count))
			break;
		times_add(times, clock_monotonic() - start);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	static struct times times;
	uint64_t start = clock_monotonic();
	double seconds = argc > 2 ? atof(argv[2]) : 0;
	uint64_t end = start + (uint64_t)(seconds * 1e9);
	int err = -EINVAL;

	if (argc == 6 && !strcmp(argv[1], "watch"))
		err = watch(argv, end, &times);
	else if (argc == 4 && !strcmp(argv[1], "socket"))
		err = socket_read(argv, end, &times);
	else if (argc == 4 && !strcmp(argv[1], "connect"))
		err = connect_and_read(argv, end, &times);
	else if (argc == 3 && !strcmp(argv[1], "hops"))
		err = hops(end, &times);
	if (err) {
		fprintf(stderr, "xsprobe: %s\n", strerror(-err));
		return 1;
	}
	times_print(&times, (double)(clock_monotonic() - start) / 1e9);
	puts("}");
	return 0;
}
