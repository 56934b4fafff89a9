/* SPDX-License-Identifier: MIT */
/*
 * inventory_bed - a state in memory, the descriptors that it names, and what starter/inventory.c
 * makes of it, in lines.
 */
#ifndef XSPROXY_TESTS_INVENTORY_BED_H
#define XSPROXY_TESTS_INVENTORY_BED_H

#include "tests/unit/golden/recorded_states.h"
#include "tests/unit/state_bed.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "link/conns.h"
#include "starter/inventory.h"

#define RECORDED_OX_LEN (sizeof(recorded_ox) - 1)
#define DESCRIPTORS	16 /* what states name is below */

/* --- the descriptors that they name */

static inline void place(int fd, int as)
{
	assert_true(fd >= 0);
	assert_int_equal(dup2(fd, as), as);
	if (fd != as)
		close(fd);
}

static inline void place_listener(int as)
{
	const struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	/* without a path the kernel finds a name */
	assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 1), 0);
	place(fd, as);
}

static inline void place_client(int as)
{
	place(socket(AF_UNIX, SOCK_STREAM, 0), as);
}

static inline void place_file(int as)
{
	place(open("/dev/null", O_RDWR), as);
}

static inline int tear_down(void **state)
{
	(void)state;
	for (int fd = 3; fd < DESCRIPTORS; fd++)
		close(fd);
	return 0;
}

static inline int place_c(void **state)
{
	tear_down(state);
	place_listener(3);
	place_file(8);
	place_client(10);
	place_client(13);
	place_client(15);
	return 0;
}

static inline int place_ox(void **state)
{
	tear_down(state);
	place_listener(5);
	place_file(7);
	place_client(10);
	place_client(13);
	place_client(14);
	return 0;
}

/* For those of golden/states.h: oxenstored's has its event channels elsewhere. */
static inline int place_golden(void **state)
{
	place_ox(state);
	place_file(8);
	return 0;
}

/* --- Xen */

struct xen {
	int error;
	uint32_t gone; /* this one has closed it; 0: none */
	int asked;
};

static inline int remote(void *opaque, uint16_t domid, uint32_t local)
{
	struct xen *xen = opaque;

	xen->asked++;
	if (xen->error)
		return xen->error;
	return domid && domid == xen->gone ? 0 : 1000 * domid + (int)(local % 1000);
}

/* --- what comes of a state */

static inline int take(struct inventory **out, const void *octets, size_t len, struct xen *xen,
		       struct reason *reason)
{
	struct xen none = { 0 };
	int fd = input_fd(octets, len), r;

	/* what we open must not be where a state may look for what was inherited */
	place(fd, DESCRIPTORS + 1);
	r = inventory_new(out, DESCRIPTORS + 1, remote, xen ? xen : &none, reason);
	close(DESCRIPTORS + 1);
	return r;
}

static inline void show_octets(FILE *out, const char *name, const uint8_t *octets, size_t len)
{
	if (!len)
		return;
	fprintf(out, " %s ", name);
	for (size_t i = 0; i < len; i++)
		fprintf(out, octets[i] > ' ' && octets[i] < 0x7f ? "%c" : "%02x", octets[i]);
}

static inline void show_view(FILE *out, const struct inventory *inventory,
			     const struct conns_view *view)
{
	const struct conns_record *record = &view->record;
	const char *words[3];
	size_t at = 0;

	if (record->kind == CONNS_SOCKET)
		fprintf(out, "socket %u fd %d", record->number, inventory->sockets[record->number]);
	else
		fprintf(out, "ring %u port %u gfn %" PRIu64, record->number, record->port,
			record->gfn);
	if (record->target != CONNS_NO_TARGET)
		fprintf(out, " target %u", record->target);
	show_octets(out, "in", view->in, record->in_len);
	show_octets(out, "rest", view->out, record->out_rest);
	show_octets(out, "out", view->out + record->out_rest, record->out_len - record->out_rest);
	while (conns_watch(view, &at, words))
		fprintf(out, " watch %s,%s,%s", words[0], words[1], words[2]);
	fprintf(out, "\n");
}

/* A line for each; free() it. */
static inline char *shown(const struct inventory *inventory)
{
	struct conns conns = { .len = (size_t)lseek(inventory->conns, 0, SEEK_END) };
	struct conns_view view;
	char *text, *octets;
	size_t text_len;
	FILE *out = open_memstream(&text, &text_len);
	int r;

	assert_non_null(out);
	octets = malloc(conns.len + !conns.len);
	assert_non_null(octets);
	assert_int_equal(pread(inventory->conns, octets, conns.len, 0), conns.len);
	conns.octets = (const uint8_t *)octets;
	while ((r = conns_next(&conns, &view)) > 0)
		show_view(out, inventory, &view);
	assert_int_equal(r, 0);
	fprintf(out, "listener %d, event channels %d", inventory->listener,
		inventory->event_channels);
	fclose(out);
	free(octets);
	return text;
}

static inline void assert_taken(const void *octets, size_t len, struct xen *xen, const char *want)
{
	struct inventory *inventory;
	struct reason reason = { "" };
	char *text;

	assert_int_equal(take(&inventory, octets, len, xen, &reason), 0);
	assert_int_equal(fcntl(inventory->conns, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(inventory->conns, F_GET_SEALS),
			 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	text = shown(inventory);
	assert_string_equal(text, want);
	free(text);
	inventory_free(inventory);
}

static inline void assert_not(const void *octets, size_t len, struct xen *xen, int want,
			      const char *why)
{
	struct inventory *inventory = NULL;
	struct reason reason = { "" };

	assert_int_equal(take(&inventory, octets, len, xen, &reason), want);
	assert_string_equal(reason.text, why);
	assert_null(inventory);
}

#endif
