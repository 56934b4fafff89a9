/* SPDX-License-Identifier: MIT */
/*
 * wire - one request of Xenstore's protocol at a time, and its answer, for the program xs. Whatever
 * fails ends the program and says why.
 */
#ifndef XSPROXY_TESTS_XEN_WIRE_H
#define XSPROXY_TESTS_XEN_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define PAYLOAD_MAX 4096

enum type {
	XS_DIRECTORY = 1,
	XS_READ = 2,
	XS_WATCH = 4,
	XS_TRANSACTION_START = 6,
	XS_TRANSACTION_END = 7,
	XS_INTRODUCE = 8,
	XS_RELEASE = 9,
	XS_WRITE = 11,
	XS_WATCH_EVENT = 15,
	XS_ERROR = 16,
	XS_QUIESCE = 0x100, /* docs/protocol.md */
	XS_UNQUIESCE = 0x104,
};

struct header {
	uint32_t type, req_id, tx_id, len;
};

struct message {
	struct header hdr;
	char payload[PAYLOAD_MAX + 1];
};

__attribute__((noreturn)) void fail(const char *what);

/* In dom0, and in a guest. */
int open_socket(void);
int open_xenbus(void);

void receive(int fd, struct message *msg);

/*
 * Sends @count strings, each with a NUL but for WRITE's value. *msg is the answer; true if it is
 * not an error.
 */
bool ask(int fd, struct message *msg, enum type type, uint32_t tx_id, int count,
	 char *const *words);

/* Ends the program if not @done, with the error in *msg. */
void must(bool done, const char *what, const struct message *msg);

void put(int fd, struct message *msg, uint32_t tx_id, char *node, char *value);
/* Whether it has this value; which it has is in *msg. */
bool reads(int fd, struct message *msg, uint32_t tx_id, char *node, const char *value);

void watch(int fd, struct message *msg, char *path);
uint32_t start(int fd, struct message *msg);

/* Whether it was committed; if not, the reason is in *msg. */
bool commit(int fd, struct message *msg, uint32_t tx_id);

#endif
