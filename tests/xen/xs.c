// SPDX-License-Identifier: MIT
/*
 * xs - speaks Xenstore's protocol for the tests on real Xen. In dom0, over the daemon's socket:
 *
 *   xs introduce DOMID GFN PORT
 *   xs release DOMID
 *
 * In a guest, over its kernel's xenbus:
 *
 *   xs watch PATH                until killed: a line for each event
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET "/run/xenstored/socket"
#define XENBUS "/dev/xen/xenbus"
#define PAYLOAD_MAX 4096

enum { XS_WATCH = 4, XS_INTRODUCE = 8, XS_RELEASE = 9, XS_WATCH_EVENT = 15, XS_ERROR = 16 };

struct header {
	uint32_t type, req_id, tx_id, len;
};

struct message {
	struct header hdr;
	char payload[PAYLOAD_MAX + 1];
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail(SOCKET);
	return fd;
}

static int open_xenbus(void)
{
	int fd = open(XENBUS, O_RDWR);

	if (fd < 0)
		fail(XENBUS);
	return fd;
}

static void read_all(int fd, void *to, size_t len)
{
	while (len) {
		ssize_t n = read(fd, to, len);

		if (n <= 0)
			fail("read");
		to = (char *)to + n;
		len -= (size_t)n;
	}
}

static void receive(int fd, struct message *msg)
{
	read_all(fd, &msg->hdr, sizeof(msg->hdr));
	if (msg->hdr.len > PAYLOAD_MAX) {
		fprintf(stderr, "xs: a message of %u octets\n", msg->hdr.len);
		exit(1);
	}
	read_all(fd, msg->payload, msg->hdr.len);
	msg->payload[msg->hdr.len] = 0;
}

/* Sends a request of strings, each with its NUL; *msg is the answer. */
static bool request(int fd, struct message *msg, uint32_t type, char **words, int count)
{
	msg->hdr = (struct header){ .type = type };
	for (int i = 0; i < count; i++) {
		strcpy(msg->payload + msg->hdr.len, words[i]);
		msg->hdr.len += (uint32_t)strlen(words[i]) + 1;
	}
	if (write(fd, msg, sizeof(msg->hdr) + msg->hdr.len) < 0)
		fail("write");
	do
		receive(fd, msg);
	while (msg->hdr.type == XS_WATCH_EVENT);
	if (msg->hdr.type != XS_ERROR)
		return true;
	fprintf(stderr, "xs: %s\n", msg->payload);
	return false;
}

static int watch(char *path)
{
	char *words[] = { path, "xs" };
	struct message msg;
	int fd = open_xenbus();

	if (!request(fd, &msg, XS_WATCH, words, 2))
		return 1;
	for (;;) {
		receive(fd, &msg);
		printf("%s\n", msg.payload);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct message msg;

	if (argc == 5 && !strcmp(argv[1], "introduce"))
		return !request(open_socket(), &msg, XS_INTRODUCE, argv + 2, 3);
	if (argc == 3 && !strcmp(argv[1], "release"))
		return !request(open_socket(), &msg, XS_RELEASE, argv + 2, 1);
	if (argc == 3 && !strcmp(argv[1], "watch"))
		return watch(argv[2]);
	fputs("Usage: xs introduce DOMID GFN PORT | release DOMID | watch PATH\n", stderr);
	return 2;
}
