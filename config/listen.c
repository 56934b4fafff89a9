// SPDX-License-Identifier: MIT
#include "config/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define UNIX_PREFIX "unix:"

static int parse_unix(struct listen_at *at, const char *path)
{
	if (path[0] != '/' || strlen(path) >= sizeof(at->un.sun_path))
		return -EINVAL;
	at->un.sun_family = AF_UNIX;
	strcpy(at->un.sun_path, path);
	at->len = sizeof(at->un);
	return 0;
}

/* Return: the port in network order, or 0. */
static in_port_t parse_port(const char *text)
{
	unsigned long port;
	char *end;

	port = strtoul(text, &end, 10);
	if (*end || text[0] < '1' || text[0] > '9' || port > UINT16_MAX)
		return 0;
	return htons((uint16_t)port);
}

static int parse_in(struct listen_at *at, const char *host, in_port_t port)
{
	if (inet_pton(AF_INET, host, &at->in.sin_addr) != 1)
		return -EINVAL;
	at->in.sin_family = AF_INET;
	at->in.sin_port = port;
	at->len = sizeof(at->in);
	return ntohl(at->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET ? 0 : -EADDRNOTAVAIL;
}

static int parse_in6(struct listen_at *at, const char *host, in_port_t port)
{
	if (inet_pton(AF_INET6, host, &at->in6.sin6_addr) != 1)
		return -EINVAL;
	at->in6.sin6_family = AF_INET6;
	at->in6.sin6_port = port;
	at->len = sizeof(at->in6);
	return IN6_IS_ADDR_LOOPBACK(&at->in6.sin6_addr) ? 0 : -EADDRNOTAVAIL;
}

int listen_parse(struct listen_at *at, const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[LISTEN_TEXT_MAX];
	size_t len;
	in_port_t port;

	*at = (struct listen_at){ .any.sa_family = AF_UNSPEC };
	if (!strcmp(text, LISTEN_OFF))
		return 0;
	if (!strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)))
		return parse_unix(at, text + strlen(UNIX_PREFIX));
	port = colon ? parse_port(colon + 1) : 0;
	len = colon ? (size_t)(colon - text) : 0;
	if (!port || len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (host[0] != '[')
		return parse_in(at, host, port);
	if (host[len - 1] != ']')
		return -EINVAL;
	host[len - 1] = '\0';
	return parse_in6(at, host + 1, port);
}
