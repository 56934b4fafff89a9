// SPDX-License-Identifier: MIT
/*
 * no_tap - tap.c that sees nothing, for `make bench` only: linked in its place it gives the
 * xsproxyd whose traffic cannot be seen, to compare with.
 */
#include "proxy/observe/tap.h"

int taps_new(struct taps **out, struct traces *traces, const struct config *config)
{
	(void)traces;
	(void)config;
	*out = NULL;
	return 0;
}

struct taps *taps_free(struct taps *taps)
{
	return taps;
}

void taps_total(const struct taps *taps, struct stats *total)
{
	(void)taps;
	*total = (struct stats){ 0 };
}

void taps_clients(const struct taps *taps, struct stats *total)
{
	taps_total(taps, total);
}

const uint64_t *taps_malformed(const struct taps *taps)
{
	static const uint64_t none[STATS_OPS] = { 0 };

	(void)taps;
	return none;
}

void taps_trim(struct taps *taps)
{
	(void)taps;
}

void taps_round_over(struct taps *taps)
{
	(void)taps;
}

struct tap *tap_new(struct taps *taps, const struct log_source *source, bool socket)
{
	(void)taps;
	(void)source;
	(void)socket;
	return NULL;
}

struct tap *tap_free(struct tap *tap)
{
	return tap;
}

void tap_stats(const struct tap *tap, struct stats *stats)
{
	(void)tap;
	*stats = (struct stats){ 0 };
}

const struct flight *tap_flight(const struct tap *tap)
{
	(void)tap;
	return NULL;
}

void tap_dump(const struct tap *tap)
{
	(void)tap;
}

void tap_turn_moved(struct tap *tap, bool full, bool unread)
{
	(void)tap;
	(void)full;
	(void)unread;
}

void tap_request(struct tap *tap, int slot, bool ours, const struct message *msg)
{
	(void)tap;
	(void)slot;
	(void)ours;
	(void)msg;
}

void tap_reply(struct tap *tap, int slot, const struct xsd_sockmsg *hdr, const void *payload,
	       uint32_t len)
{
	(void)tap;
	(void)slot;
	(void)hdr;
	(void)payload;
	(void)len;
}

void tap_malformed(struct tap *tap, uint32_t type)
{
	(void)tap;
	(void)type;
}

void tap_event(struct tap *tap, const struct message *msg)
{
	(void)tap;
	(void)msg;
}
