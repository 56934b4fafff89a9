// SPDX-License-Identifier: MIT
#include "proxy/host/memory.h"

#include <errno.h>
#include <unistd.h>

#include "proxy/session/ledger.h"

/* Behind the words that both versions have. */
struct old_header {
	struct rings_header header;
	_Alignas(64) _Atomic uint64_t held[ARENA_DOMIDS / 64];
	_Atomic uint32_t hold_new;
	_Alignas(64) _Atomic uint64_t hold_begun[ARENA_DOMIDS / 64];
};

_Static_assert(offsetof(struct old_header, held) == 12608 &&
		       offsetof(struct old_header, hold_new) == 16704 &&
		       offsetof(struct old_header, hold_begun) == 16768 &&
		       sizeof(struct old_header) == 20864,
	       "as xsproxy 0.1 has them");
_Static_assert(sizeof(struct old_header) <= OLD_BLAME_OFF - RINGS_HEADER_OFF &&
		       sizeof(struct ledgers_blame) <= 8ULL * ARENA_PAGE,
	       "blame goes where 0.1 has nothing");

int memory_open_old(struct memory *memory, int fd)
{
	struct old_header *old;
	struct arena arena;
	int err;

	*memory = (struct memory)MEMORY_NULL;
	err = arena_open(&arena, fd, OLD_SIZE);
	if (err)
		return err;
	old = (struct old_header *)(arena.base + RINGS_HEADER_OFF);
	if (old->header.magic != RINGS_MAGIC || old->header.version != OLD_VERSION) {
		err = old->header.magic == RINGS_MAGIC ? -EPROTONOSUPPORT : -EPROTO;
		arena.fd = -1; /* it stays the caller's */
		arena_close(&arena);
		return err;
	}
	memory->old = true;
	memory->rings = (struct rings){
		.arena = arena,
		.attach_off = OLD_LEDGER_OFF,
		.attach_size = ARENA_PAGE,
	};
	memory->ledgers = (struct ledgers){
		.arena = arena,
		.version = LEDGER_VERSION_OLD,
		.ring_off = OLD_LEDGER_OFF,
		.extent_off = OLD_EXTENT_OFF,
		.extents = OLD_EXTENTS,
		.held = old->held,
		.hold_begun = old->hold_begun,
		.hold_new = &old->hold_new,
		.blame = (struct ledgers_blame *)(arena.base + OLD_BLAME_OFF),
	};
	return 0;
}

int memory_adopt(struct memory *memory, int kept, bool *made)
{
	uint64_t rings = rings_header(&memory->rings)->id;
	int err;

	*made = false;
	if (kept >= 0) {
		err = ledgers_open(&memory->ledgers, kept);
		if (err)
			return err;
		if (ledgers_rings(&memory->ledgers) == rings)
			return 0;
		/* Of a xenstored that is no more; it stays the caller's for now. */
		memory->ledgers.arena.fd = -1;
		ledgers_close(&memory->ledgers);
	}
	err = ledgers_create(&memory->ledgers, rings);
	if (err)
		return err;
	*made = true;
	if (kept >= 0)
		close(kept);
	return 0;
}

void memory_close(struct memory *memory)
{
	if (!memory->old)
		ledgers_close(&memory->ledgers);
	rings_close(&memory->rings);
	*memory = (struct memory)MEMORY_NULL;
}

uint32_t memory_foreign(const struct memory *memory)
{
	ARENA_EACH(rings_header(&memory->rings)->mapped, domid) {
		const struct ledger *ledger = ledgers_ledger(&memory->ledgers, domid);
		const struct rings_attach *attach = rings_attach(&memory->rings, domid);

		if (ledger_current(ledger, &memory->ledgers, atomic_load(&attach->map_gen)) &&
		    ledger->version != memory->ledgers.version)
			return ledger->version;
	}
	return 0;
}
