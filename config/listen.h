/* SPDX-License-Identifier: MIT */
/*
 * listen - where to listen for whoever is on this machine: a loopback address or a unix socket.
 *
 * The only parser of these texts: config.c refuses what it refuses, metrics.c listens there.
 * Must never take an address that others than this machine reach.
 */
#ifndef XSPROXY_CONFIG_LISTEN_H
#define XSPROXY_CONFIG_LISTEN_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LISTEN_OFF	"off"
#define LISTEN_TEXT_MAX 104 /* of a text, NUL included; "unix:" and its path fit */

struct listen_at {
	union {
		struct sockaddr any; /* family AF_UNSPEC: nowhere */
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t len;
};

/**
 * listen_parse() - "off", "127.0.0.1:9777", "[::1]:9777" or "unix:/path".
 *
 * Return: 0; -EADDRNOTAVAIL for an address that is not this machine's alone; -EINVAL.
 */
int listen_parse(struct listen_at *at, const char *text);

#endif
