// SPDX-License-Identifier: MIT
/*
 * xs - speaks Xenstore's protocol for the tests on real Xen, in dom0 and in a guest.
 *
 *   xs introduce DOMID GFN PORT
 *   xs release DOMID
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET "/run/xenstored/socket"

enum { XS_INTRODUCE = 8, XS_RELEASE = 9, XS_WATCH_EVENT = 15, XS_ERROR = 16, PAYLOAD_MAX = 4096 };

struct header {
	uint32_t type, req_id, tx_id, len;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int connect_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail(SOCKET);
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

/* Sends strings, each with its NUL, and prints what an error says. Returns 0 or 1. */
static int request(int fd, uint32_t type, char **words, int count)
{
	char payload[PAYLOAD_MAX + 1];
	struct header hdr = { .type = type };
	char message[sizeof(hdr) + PAYLOAD_MAX];

	for (int i = 0; i < count; i++) {
		size_t len = strlen(words[i]) + 1;

		memcpy(message + sizeof(hdr) + hdr.len, words[i], len);
		hdr.len += (uint32_t)len;
	}
	memcpy(message, &hdr, sizeof(hdr));
	if (write(fd, message, sizeof(hdr) + hdr.len) != (ssize_t)(sizeof(hdr) + hdr.len))
		fail("write");
	read_all(fd, &hdr, sizeof(hdr));
	read_all(fd, payload, hdr.len);
	payload[hdr.len] = 0;
	if (hdr.type == type)
		return 0;
	fprintf(stderr, "xs: answer %u: %s\n", hdr.type, payload);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "introduce"))
		return request(connect_socket(), XS_INTRODUCE, argv + 2, 3);
	if (argc == 3 && !strcmp(argv[1], "release"))
		return request(connect_socket(), XS_RELEASE, argv + 2, 1);
	fputs("Usage: xs introduce DOMID GFN PORT | xs release DOMID\n", stderr);
	return 2;
}
