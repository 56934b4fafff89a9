// SPDX-License-Identifier: MIT
#include "proxy/host/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* `draining`: how many octets are in the pipe, in the low half, and whose, from bit 32 on. */
static uint64_t draining(uint32_t socket, uint32_t octets)
{
	return (uint64_t)socket << 32 | octets;
}

int outlet_open(struct outlet *outlet, struct ledgers_outlet *words, const int fds[2])
{
	outlet->words = words;
	memcpy(outlet->fds, fds, sizeof(outlet->fds));
	if (fds[0] >= 0 && fds[1] >= 0)
		return 0;
	outlet_close(outlet);
	return pipe2(outlet->fds, O_NONBLOCK | O_CLOEXEC) ? -errno : 0;
}

void outlet_close(struct outlet *outlet)
{
	for (int i = 0; i < 2; i++) {
		if (outlet->fds[i] >= 0)
			close(outlet->fds[i]);
		outlet->fds[i] = -1;
	}
}

bool outlet_recover(const struct outlet *outlet, struct outlet_left *left)
{
	uint64_t was = atomic_load(&outlet->words->draining);
	uint32_t octets = (uint32_t)was;
	int kept = 0;

	if (!was || ioctl(outlet->fds[0], FIONREAD, &kept) || (uint32_t)kept > octets)
		return false;
	left->socket = (uint32_t)(was >> 32);
	left->cons = atomic_load(&outlet->words->base) + octets - (uint32_t)kept;
	return true;
}

/* Nobody else reads it, and it never holds more than one step's octets. */
static void empty(const struct outlet *outlet)
{
	uint8_t octets[4096];

	while (read(outlet->fds[0], octets, sizeof(octets)) > 0)
		;
}

void outlet_settle(struct outlet *outlet)
{
	atomic_store(&outlet->words->draining, 0);
	empty(outlet);
}

ssize_t outlet_write(struct outlet *outlet, int fd, uint32_t socket, const struct iovec *iov,
		     int count, ledger_word *cons)
{
	ssize_t filled = writev(outlet->fds[1], iov, count), gone;
	uint32_t base = word_get(cons);
	int err = errno;

	if (filled <= 0)
		return -err;
	atomic_store_explicit(&outlet->words->base, base, memory_order_release);
	atomic_store_explicit(&outlet->words->draining, draining(socket, (uint32_t)filled),
			      memory_order_release);
	gone = splice(outlet->fds[0], NULL, fd, NULL, (size_t)filled, SPLICE_F_NONBLOCK);
	err = errno;
	if (gone > 0)
		atomic_store_explicit(cons, base + (uint32_t)gone, memory_order_release);
	atomic_store_explicit(&outlet->words->draining, 0, memory_order_release);
	if (gone < filled)
		empty(outlet);
	return gone < 0 ? -err : gone;
}
