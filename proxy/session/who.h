/* SPDX-License-Identifier: MIT */
/*
 * who - who asks for something that changes how a domain stands, and the line in the log that says
 * so.
 *
 * A client of one of our sockets is known by what the kernel says of its other end when it
 * connects, and by the name of that process then; dom0's kernel by its ring. Requests of guests
 * never come here.
 *
 * Used where a connection is accepted, and by what carries out, refuses or shows such requests.
 */
#ifndef XSPROXY_PROXY_SESSION_WHO_H
#define XSPROXY_PROXY_SESSION_WHO_H

#include <stdbool.h>
#include <stdint.h>

#define WHO_COMM     16 /* as in /proc/PID/comm, NUL included */
#define WHO_TEXT_MAX 64

/* Nobody that is known: all 0. */
struct who {
	uint32_t uid;
	int32_t pid; /* 0: dom0's kernel */
	char comm[WHO_COMM];
	char verb[8]; /* of xsproxyctl: "export", "import", or "" */
};

#define WHO_KERNEL ((struct who){ .comm = "dom0's kernel" })

/* Since when, and for whom, a domain stands still. */
struct stand {
	uint64_t since; /* ns since 1970; 0: not known */
	struct who by;
};

/**
 * who_peer() - who is at the other end of a unix socket; what cannot be found out is 0.
 *
 * Return: whether at least the uid is known.
 */
bool who_peer(int fd, struct who *who);

/** who_text() - "xsproxyctl export (pid 123, uid 0)". Return: @text, of WHO_TEXT_MAX octets. */
const char *who_text(const struct who *who, char *text);

/** who_kept() - what an xsproxyd before us noted, as a value whose texts end. */
struct who who_kept(const struct who *noted);

/**
 * who_log() - a line at notice: what came of @who's request about a domain. Not limited: only dom0
 * can ask.
 * @request: its name
 */
void who_log(uint32_t domid, const char *request, const struct who *who, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/** stand_now() - a stand that begins now. */
struct stand stand_now(const struct who *by);

#endif
