// SPDX-License-Identifier: MIT
#include "proxy/session/ledgers.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "proxy/session/ledger.h"

static struct ledgers_header *header(const struct ledgers *ledgers)
{
	return (struct ledgers_header *)ledgers->arena.base;
}

static void find_parts(struct ledgers *ledgers)
{
	struct ledgers_header *h = header(ledgers);

	ledgers->version = LEDGER_VERSION;
	ledgers->ring_off = LEDGERS_RING_OFF;
	ledgers->extent_off = LEDGERS_EXTENT_OFF;
	ledgers->extents = LEDGERS_EXTENTS;
	ledgers->held = h->held;
	ledgers->hold_begun = h->hold_begun;
	ledgers->hold_new = &h->hold_new;
	ledgers->blame = &h->blame;
}

int ledgers_create(struct ledgers *ledgers, uint64_t rings)
{
	int err;

	*ledgers = (struct ledgers)LEDGERS_NULL;
	err = arena_create(&ledgers->arena, "xsproxy-ledgers", LEDGERS_SIZE);
	if (err)
		return err;
	err = arena_reserve(&ledgers->arena, 0, LEDGERS_HEADER_SIZE);
	if (err) {
		ledgers_close(ledgers);
		return err;
	}
	find_parts(ledgers);
	header(ledgers)->magic = LEDGERS_MAGIC;
	header(ledgers)->version = LEDGERS_VERSION;
	header(ledgers)->ledger = LEDGER_VERSION;
	header(ledgers)->rings = rings;
	return 0;
}

int ledgers_open(struct ledgers *ledgers, int fd)
{
	int err;

	*ledgers = (struct ledgers)LEDGERS_NULL;
	err = arena_open(&ledgers->arena, fd, LEDGERS_SIZE);
	if (err)
		return err;
	find_parts(ledgers);
	if (header(ledgers)->magic == LEDGERS_MAGIC && header(ledgers)->version == LEDGERS_VERSION)
		return 0;
	err = header(ledgers)->magic == LEDGERS_MAGIC ? -EPROTONOSUPPORT : -EPROTO;
	ledgers->arena.fd = -1; /* it stays the caller's */
	ledgers_close(ledgers);
	return err;
}

bool ledgers_foreign(const struct ledgers *ledgers)
{
	return header(ledgers)->ledger != LEDGER_VERSION;
}

uint32_t ledgers_version(int fd)
{
	uint32_t version;
	ssize_t len =
		pread(fd, &version, sizeof(version), offsetof(struct ledgers_header, version));

	return len == (ssize_t)sizeof(version) ? version : 0;
}

void ledgers_close(struct ledgers *ledgers)
{
	arena_close(&ledgers->arena);
	*ledgers = (struct ledgers)LEDGERS_NULL;
}
