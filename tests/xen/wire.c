// SPDX-License-Identifier: MIT
#include "tests/xen/wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET "/run/xenstored/socket"
#define XENBUS "/dev/xen/xenbus"

void fail(const char *what)
{
	perror(what);
	exit(1);
}

int open_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail(SOCKET);
	return fd;
}

int open_xenbus(void)
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

void receive(int fd, struct message *msg)
{
	read_all(fd, &msg->hdr, sizeof(msg->hdr));
	if (msg->hdr.len > PAYLOAD_MAX) {
		fprintf(stderr, "xs: a message of %u octets\n", msg->hdr.len);
		exit(1);
	}
	read_all(fd, msg->payload, msg->hdr.len);
	msg->payload[msg->hdr.len] = 0;
}

bool ask(int fd, struct message *msg, enum type type, uint32_t tx_id, int count, char *const *words)
{
	msg->hdr = (struct header){ .type = type, .tx_id = tx_id };
	for (int i = 0; i < count; i++) {
		strcpy(msg->payload + msg->hdr.len, words[i]);
		msg->hdr.len += (uint32_t)strlen(words[i]) + 1;
	}
	if (type == XS_WRITE)
		msg->hdr.len--;
	if (write(fd, msg, sizeof(msg->hdr) + msg->hdr.len) < 0)
		fail("write");
	do
		receive(fd, msg);
	while (msg->hdr.type == XS_WATCH_EVENT);
	if (msg->hdr.type == XS_ERROR || msg->hdr.type == (uint32_t)type)
		return msg->hdr.type != XS_ERROR;
	fprintf(stderr, "xs: answer of type %u to a request of type %d\n", msg->hdr.type, type);
	exit(1);
}

void must(bool done, const char *what, const struct message *msg)
{
	if (done)
		return;
	printf("%s: %s\n", what, msg->payload);
	exit(1);
}

bool reads(int fd, struct message *msg, uint32_t tx_id, char *node, const char *value)
{
	must(ask(fd, msg, XS_READ, tx_id, 1, &node), node, msg);
	return !strcmp(msg->payload, value);
}

void watch(int fd, struct message *msg, char *path)
{
	char *words[] = { path, "xs" };

	must(ask(fd, msg, XS_WATCH, 0, 2, words), path, msg);
}

uint32_t start(int fd, struct message *msg)
{
	char *words[] = { "" };

	must(ask(fd, msg, XS_TRANSACTION_START, 0, 1, words), "TRANSACTION_START", msg);
	return (uint32_t)strtoul(msg->payload, NULL, 10);
}

bool commit(int fd, struct message *msg, uint32_t tx_id)
{
	char *words[] = { "T" };

	return ask(fd, msg, XS_TRANSACTION_END, tx_id, 1, words);
}

void put(int fd, struct message *msg, uint32_t tx_id, char *node, char *value)
{
	char *words[] = { node, value };

	must(ask(fd, msg, XS_WRITE, tx_id, 2, words), node, msg);
}
