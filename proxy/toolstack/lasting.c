// SPDX-License-Identifier: MIT
#include "proxy/toolstack/lasting.h"

#include <stdbool.h>
#include <string.h>

#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"

#define WORDS_MAX 4

/* How many words a command has that changes something, and how many of these say what. */
static const struct command {
	const char *name;
	int least, key;
} commands[] = {
	{ "quota", 3, 3 }, /* set NAME NUMBER, or DOMID NAME NUMBER */
	{ "quota-soft", 3, 3 },
	{ "log", 2, 2 }, /* on, off, or a switch with its sign */
	{ "logfile", 2, 1 },
};

/* The words of a payload. Return: how many, or 0 for more than there can be. */
static int split(const char *payload, uint32_t len, const char *vec[WORDS_MAX])
{
	int n = message_strings((const uint8_t *)payload, len, vec, WORDS_MAX);

	return n < 0 || n > WORDS_MAX ? 0 : n;
}

static const struct command *find(const char *const *vec, int n)
{
	for (size_t i = 0; n && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, vec[0]) && n >= commands[i].least)
			return &commands[i];
	return NULL;
}

static struct ledgers_lasting *memory(const struct daemon *daemon)
{
	const struct memory *memory = upstream_memory(daemon->upstream);

	return memory && !memory->old ? ledgers_lasting(&memory->ledgers) : NULL;
}

/* What is said again has the place of what was said before about the same. */
static bool is_about_the_same(const struct command *command, const char *const *vec,
			      const char *payload, uint32_t len)
{
	const char *other[WORDS_MAX];
	int n = split(payload, len, other);

	if (n < command->least)
		return false;
	for (int i = 0; i < command->key; i++)
		if (strcmp(vec[i], other[i]) != 0)
			return false;
	return true;
}

/* A record: its length, then as many octets. Return: the next one's place, or 0 at the end. */
static uint32_t next(const struct ledgers_lasting *lasting, uint32_t at, uint16_t *len)
{
	uint32_t used = atomic_load(&lasting->used);

	if (used > sizeof(lasting->records) || at + sizeof(*len) > used)
		return 0;
	memcpy(len, lasting->records + at, sizeof(*len));
	if (at + sizeof(*len) + *len > used)
		return 0;
	return at + (uint32_t)sizeof(*len) + *len;
}

/* Take out what was said before about the same. Who is killed in it leaves none, or all. */
static void remove_same(struct ledgers_lasting *lasting, const struct command *command,
			const char *const *vec)
{
	uint32_t at = 0, after, used = atomic_load(&lasting->used);
	uint16_t len;

	while ((after = next(lasting, at, &len))) {
		if (!is_about_the_same(command, vec, lasting->records + at + sizeof(len), len)) {
			at = after;
			continue;
		}
		atomic_store(&lasting->used, at);
		memmove(lasting->records + at, lasting->records + after, used - after);
		used -= after - at;
		atomic_store(&lasting->used, used);
	}
}

void lasting_note(const struct daemon *daemon, const struct message *msg)
{
	struct ledgers_lasting *lasting = memory(daemon);
	const char *payload = (const char *)msg->payload, *vec[WORDS_MAX];
	const struct command *command;
	uint16_t len = (uint16_t)msg->hdr.len;
	uint32_t used;

	if (msg->hdr.type != XS_CONTROL || daemon->flavour != RINGS_FLAVOUR_C || !lasting)
		return;
	command = find(vec, split(payload, msg->hdr.len, vec));
	if (!command)
		return;
	remove_same(lasting, command, vec);
	used = atomic_load(&lasting->used);
	if (used > sizeof(lasting->records) - sizeof(len) ||
	    len > sizeof(lasting->records) - sizeof(len) - used) {
		log_line(LOG_WARNING,
			 "CONTROL %s will not outlive this xenstored: too many others "
			 "have been noted",
			 vec[0]);
		return;
	}
	memcpy(lasting->records + used, &len, sizeof(len));
	memcpy(lasting->records + used + sizeof(len), payload, len);
	atomic_store(&lasting->used, used + (uint32_t)sizeof(len) + len);
}

int lasting_each(const struct daemon *daemon,
		 int (*fn)(void *arg, const char *payload, uint32_t len), void *arg)
{
	const struct ledgers_lasting *lasting = memory(daemon);
	uint32_t at = 0, after;
	uint16_t len;
	int r = 0;

	while (lasting && !r && (after = next(lasting, at, &len))) {
		r = fn(arg, lasting->records + at + sizeof(len), len);
		at = after;
	}
	return r;
}
