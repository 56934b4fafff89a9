// SPDX-License-Identifier: MIT
#include "proxy/host/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/host/keeper.h"
#include "proxy/log.h"
#include "proxy/session/pool.h"

/* Ledgers of free slots that keep their page, for clients come and go. */
#define WARM 64

/* At ten starts a second. The memory of a host that has none for longer is needed elsewhere. */
#define STARVED_MAX 100

_Static_assert(KEEP_SOCKETS == LEDGERS_SOCKETS, "a slot's number is its key");

struct slots {
	struct ledgers ledgers;
	struct pool *pool;
	struct outlet outlet;
	uint64_t used[LEDGERS_SOCKETS / 64];
};

struct ledger *slots_ledger(const struct slots *slots, uint32_t slot)
{
	return ledgers_socket(&slots->ledgers, slot);
}

const struct ledgers *slots_ledgers(const struct slots *slots)
{
	return &slots->ledgers;
}

struct pool *slots_pool(const struct slots *slots)
{
	return slots->pool;
}

/* --- all of them */

/*
 * What a predecessor had. If it is of another version, that is not ours to touch; what fails for
 * another reason, as for memory, may work at the next start.
 */
static int open_memory(struct slots *slots, struct keeper *keeper)
{
	int fds[LINK_PUT_FDS], err;

	if (!keeper_take(keeper, KEEP_MEMORY, fds))
		return ledgers_create(&slots->ledgers, 0);
	if (fds[1] >= 0)
		close(fds[1]);
	err = ledgers_open(&slots->ledgers, fds[0]);
	if (!err && !ledgers_foreign(&slots->ledgers))
		return 0;
	if (err)
		close(fds[0]);
	else
		ledgers_close(&slots->ledgers);
	err = err ? err : -EPROTONOSUPPORT;
	if (err != -EPROTO && err != -EPROTONOSUPPORT)
		return err;
	log_line(LOG_ERR,
		 "the keeper has toolstacks' connections that an xsproxyd of another version left; "
		 "they wait; install that version again and restart xsproxy, or restart "
		 "xsproxy-keeper to close them");
	keeper_leave(keeper);
	return ledgers_create(&slots->ledgers, 0);
}

/* Whoever's octets the pipe has: how many of them went is in its ledger from now on. */
static void recover_outlet(struct slots *slots)
{
	struct outlet_left left;

	if (outlet_recover(&slots->outlet, &left) && left.socket / SLOT_SIDES < LEDGERS_SOCKETS) {
		struct ledger *ledger = slots_ledger(slots, left.socket / SLOT_SIDES);

		/* It is in use, or all zeroes. */
		if (ledger->version == slots->ledgers.version)
			atomic_store(&ledger->more.sock[left.socket % SLOT_SIDES].out_cons,
				     left.cons);
	}
	outlet_settle(&slots->outlet);
}

int slots_new(struct slots **out, struct keeper *keeper)
{
	struct slots *slots = calloc(1, sizeof(*slots));
	int fds[LINK_PUT_FDS], err;

	if (!slots)
		return -ENOMEM;
	slots->ledgers = (struct ledgers)LEDGERS_NULL;
	slots->outlet.fds[0] = slots->outlet.fds[1] = -1;
	err = open_memory(slots, keeper);
	if (!err)
		err = pool_new_sockets(&slots->pool, &slots->ledgers);
	if (!err) {
		keeper_take(keeper, KEEP_PIPE, fds);
		err = outlet_open(&slots->outlet, ledgers_outlet(&slots->ledgers), fds);
	}
	if (err) {
		slots_free(slots);
		return err;
	}
	recover_outlet(slots);
	slots_keep(slots, keeper);
	*out = slots;
	return 0;
}

struct slots *slots_free(struct slots *slots)
{
	if (!slots)
		return NULL;
	outlet_close(&slots->outlet);
	slots->pool = pool_free(slots->pool);
	ledgers_close(&slots->ledgers);
	free(slots);
	return NULL;
}

bool slots_keep(struct slots *slots, struct keeper *keeper)
{
	return keeper_put(keeper, KEEP_MEMORY, &slots->ledgers.arena.fd, 1) &&
	       keeper_put(keeper, KEEP_PIPE, slots->outlet.fds, 2);
}

/* --- numbers */

int slots_take(struct slots *slots)
{
	for (uint32_t i = 0; i < LEDGERS_SOCKETS / 64; i++) {
		if (~slots->used[i]) {
			uint32_t slot = i * 64 + (uint32_t)__builtin_ctzll(~slots->used[i]);

			slots_claim(slots, slot);
			return (int)slot;
		}
	}
	return -EMFILE;
}

static bool is_used(const struct slots *slots, uint32_t slot)
{
	return slots->used[slot / 64] >> (slot % 64) & 1;
}

void slots_claim(struct slots *slots, uint32_t slot)
{
	slots->used[slot / 64] |= 1ULL << (slot % 64);
}

void slots_give(struct slots *slots, uint32_t slot)
{
	slots->used[slot / 64] &= ~(1ULL << (slot % 64));
}

void slots_sweep(struct slots *slots)
{
	uint32_t first = 0;

	for (uint32_t slot = 0; slot <= LEDGERS_SOCKETS; slot++) {
		if (slot < LEDGERS_SOCKETS && !is_used(slots, slot))
			continue;
		if (slot > first)
			arena_discard_many(&slots->ledgers.arena, ledgers_socket_off(first),
					   (uint64_t)(slot - first) * ARENA_PAGE);
		first = slot + 1;
	}
}

void slots_settle(struct slots *slots)
{
	pool_settle(slots->pool);
	atomic_store(ledgers_starved(&slots->ledgers), 0);
}

bool slots_starve(struct slots *slots)
{
	return atomic_fetch_add(ledgers_starved(&slots->ledgers), 1) < STARVED_MAX;
}

/* --- one of them */

static void place(struct slots *slots, uint32_t slot, struct sock socks[SLOT_SIDES])
{
	struct ledger_sock *words = slots_ledger(slots, slot)->more.sock;

	for (uint32_t side = 0; side < SLOT_SIDES; side++) {
		socks[side].words = &words[side];
		socks[side].in = pool_page(slots->pool, words[side].in_page);
		socks[side].out = pool_page(slots->pool, words[side].out_page);
		socks[side].outlet = &slots->outlet;
		socks[side].number = slot * SLOT_SIDES + side;
	}
}

int slots_open(struct slots *slots, uint32_t slot, struct sock socks[SLOT_SIDES], uint64_t cookie)
{
	struct ledger *ledger = slots_ledger(slots, slot);
	struct ledger_sock *words;

	if (arena_reserve(&slots->ledgers.arena, ledgers_socket_off(slot), ARENA_PAGE))
		return -ENOMEM;
	ledger_format(ledger, &slots->ledgers, 1);
	ledger->of.cookie = cookie;
	words = ledger_more(ledger)->sock;
	for (uint32_t side = 0; side < SLOT_SIDES; side++) {
		words[side].in_page = pool_alloc_vital(slots->pool);
		words[side].out_page = pool_alloc_vital(slots->pool);
		if (!words[side].in_page || !words[side].out_page) {
			slots_close(slots, slot);
			return -ENOMEM;
		}
	}
	place(slots, slot, socks);
	return 0;
}

static int reclaim(struct slots *slots, struct ledger_sock *words)
{
	int err = pool_claim(slots->pool, words->in_page);

	return err ? err : pool_claim(slots->pool, words->out_page);
}

int slots_reopen(struct slots *slots, uint32_t slot, struct sock socks[SLOT_SIDES],
		 const int fds[SLOT_SIDES], uint64_t cookie, bool parted)
{
	struct ledger *ledger = slots_ledger(slots, slot);
	int err = 0;

	/* Pages that are not there read as zeroes once they are. */
	if (arena_reserve(&slots->ledgers.arena, ledgers_socket_off(slot), ARENA_PAGE))
		return -ENOMEM;
	if (!ledger_current(ledger, &slots->ledgers, 1) || ledger->more.map_gen != 1 ||
	    ledger->version != slots->ledgers.version || ledger->of.cookie != cookie ||
	    !word_get(&ledger->more.kept))
		return -ESTALE;
	for (uint32_t side = 0; side < SLOT_SIDES && !err; side++) {
		err = reclaim(slots, &ledger->more.sock[side]);
		if (!err && !(parted && side == SLOT_UPSTREAM))
			err = sock_recover(&ledger->more.sock[side], fds[side]);
	}
	if (!err)
		place(slots, slot, socks);
	return err;
}

void slots_close(struct slots *slots, uint32_t slot)
{
	struct ledger *ledger = slots_ledger(slots, slot);

	for (uint32_t side = 0; side < SLOT_SIDES; side++) {
		pool_release(slots->pool, ledger->more.sock[side].in_page);
		pool_release(slots->pool, ledger->more.sock[side].out_page);
	}
	__atomic_store_n(&ledger->version, 0, __ATOMIC_RELEASE);
	if (slot >= WARM)
		arena_discard(&slots->ledgers.arena, ledgers_socket_off(slot));
}
