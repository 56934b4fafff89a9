// SPDX-License-Identifier: MIT
#include "proxy/host/lasting.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"

#define WORDS_MAX 4

/* A record: its length and, above that, which request it is; then as many octets. */
#define LEN_BITS 13u
#define LEN_MASK ((1u << LEN_BITS) - 1)

_Static_assert(XENSTORE_PAYLOAD_MAX <= LEN_MASK, "a record holds any payload");

static const uint32_t types[] = { XS_CONTROL, MESSAGE_SET_FEATURE, MESSAGE_SET_QUOTA };

#define NR_TYPES (sizeof(types) / sizeof(types[0]))

/* Requests that change something, of so many words and more. */
static const struct command {
	uint32_t type;
	const char *name; /* its first word; NULL: it may be any */
	int least;
	int values; /* the last words, which do not say what it is about */
	int full;   /* with so many words one is a domain: */
	int domid;
} commands[] = {
	{ XS_CONTROL, "quota", 4, 1, 4, 1 }, /* set NAME NUMBER, or DOMID NAME NUMBER */
	{ XS_CONTROL, "quota-soft", 4, 1, 4, 1 },
	{ XS_CONTROL, "log", 2, 0, 0, 0 }, /* on, off, or a switch with its sign */
	{ XS_CONTROL, "logfile", 2, 1, 0, 0 },
	{ MESSAGE_SET_FEATURE, NULL, 1, 1, 2, 0 }, /* [DOMID] NUMBER */
	{ MESSAGE_SET_QUOTA, NULL, 2, 1, 3, 0 },   /* [DOMID] NAME NUMBER */
};

/* A request, taken apart. */
struct said {
	const struct command *command; /* NULL: it changes nothing for longer */
	const char *word[WORDS_MAX];
	int words;
};

static const struct command *find(uint32_t type, const char *const *word, int words)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];

		if (command->type == type && words >= command->least &&
		    (!command->name || !strcmp(command->name, word[0])))
			return command;
	}
	return NULL;
}

static struct said read_said(uint32_t type, const char *payload, uint32_t len)
{
	struct said said = { 0 };

	said.words = message_strings((const uint8_t *)payload, len, said.word, WORDS_MAX);
	if (said.words > 0 && said.words <= WORDS_MAX)
		said.command = find(type, said.word, said.words);
	return said;
}

static bool is_about_the_same(const struct said *a, const struct said *b)
{
	if (a->command != b->command || a->words != b->words)
		return false;
	for (int i = 0; i < a->words - a->command->values; i++)
		if (strcmp(a->word[i], b->word[i]) != 0)
			return false;
	return true;
}

/* The domain that it is about. Return: whether there is one. */
static bool names_domain(const struct said *said, uint32_t *domid)
{
	const char *word;
	char *end;

	if (!said->command || said->words != said->command->full)
		return false;
	word = said->word[said->command->domid];
	*domid = (uint32_t)strtoul(word, &end, 10);
	return end != word && !*end;
}

/* --- records */

static struct ledgers_lasting *memory(const struct daemon *daemon)
{
	const struct memory *memory = upstream_memory(daemon->upstream);

	return memory && !memory->old ? ledgers_lasting(&memory->ledgers) : NULL;
}

struct record {
	uint32_t type, len;
	const char *payload;
	uint32_t after; /* where the next one is */
};

/* Return: whether there is one at @at. */
static bool record_at(const struct ledgers_lasting *lasting, uint32_t at, struct record *record)
{
	uint32_t used = atomic_load(&lasting->used);
	uint16_t head;

	if (used > sizeof(lasting->records) || at + sizeof(head) > used)
		return false;
	memcpy(&head, lasting->records + at, sizeof(head));
	record->len = head & LEN_MASK;
	record->payload = lasting->records + at + sizeof(head);
	record->after = at + (uint32_t)sizeof(head) + record->len;
	if (record->after > used || head >> LEN_BITS >= NR_TYPES)
		return false;
	record->type = types[head >> LEN_BITS];
	return true;
}

/* Who is killed in it leaves none of those behind it, or all. */
static void remove_at(struct ledgers_lasting *lasting, uint32_t at, uint32_t after)
{
	uint32_t used = atomic_load(&lasting->used);

	atomic_store(&lasting->used, at);
	memmove(lasting->records + at, lasting->records + after, used - after);
	atomic_store(&lasting->used, used - (after - at));
}

static void remove_all(struct ledgers_lasting *lasting,
		       bool (*is_over)(const void *arg, const struct said *said), const void *arg)
{
	struct record record;
	uint32_t at = 0;

	while (record_at(lasting, at, &record)) {
		struct said said = read_said(record.type, record.payload, record.len);

		if (is_over(arg, &said))
			remove_at(lasting, at, record.after);
		else
			at = record.after;
	}
}

/* Where a type is among those that are noted; NR_TYPES: it is none. */
static uint32_t type_of(const struct message *msg)
{
	uint32_t i = 0;

	while (i < NR_TYPES && types[i] != msg->hdr.type)
		i++;
	return i;
}

static bool add(struct ledgers_lasting *lasting, const struct message *msg)
{
	uint32_t used = atomic_load(&lasting->used), len = msg->hdr.len;
	uint16_t head = (uint16_t)(type_of(msg) << LEN_BITS | len);

	if (used > sizeof(lasting->records) - sizeof(head) ||
	    len > sizeof(lasting->records) - sizeof(head) - used)
		return false;
	memcpy(lasting->records + used, &head, sizeof(head));
	memcpy(lasting->records + used + sizeof(head), msg->payload, len);
	atomic_store(&lasting->used, used + (uint32_t)sizeof(head) + len);
	return true;
}

/* --- what is noted */

static bool is_said_again(const void *arg, const struct said *said)
{
	return is_about_the_same(arg, said);
}

void lasting_note(const struct daemon *daemon, const struct message *msg)
{
	struct ledgers_lasting *lasting;
	struct said said;

	if (daemon->flavour != RINGS_FLAVOUR_C || type_of(msg) == NR_TYPES)
		return;
	lasting = memory(daemon);
	if (!lasting)
		return;
	said = read_said(msg->hdr.type, (const char *)msg->payload, msg->hdr.len);
	if (!said.command)
		return;
	remove_all(lasting, is_said_again, &said);
	if (!add(lasting, msg))
		log_line(LOG_WARNING,
			 "%s %s will not outlive this xenstored: too many others have been noted",
			 message_name(msg->hdr.type), said.word[0]);
}

struct absence {
	bool (*there)(void *arg, uint32_t domid);
	void *arg;
};

static bool is_absent(const void *arg, const struct said *said)
{
	const struct absence *absence = arg;
	uint32_t domid;

	return names_domain(said, &domid) && !absence->there(absence->arg, domid);
}

void lasting_only(const struct daemon *daemon, bool (*there)(void *arg, uint32_t domid), void *arg)
{
	const struct absence absence = { there, arg };
	struct ledgers_lasting *lasting = memory(daemon);

	if (lasting)
		remove_all(lasting, is_absent, &absence);
}

static bool is_another(void *arg, uint32_t domid)
{
	return domid != *(const uint32_t *)arg;
}

void lasting_domain_gone(const struct daemon *daemon, uint32_t domid)
{
	lasting_only(daemon, is_another, &domid);
}

int lasting_each(const struct daemon *daemon,
		 int (*fn)(void *arg, uint32_t type, const char *payload, uint32_t len), void *arg)
{
	const struct ledgers_lasting *lasting = memory(daemon);
	struct record record;
	int r = 0;

	for (uint32_t at = 0; lasting && !r && record_at(lasting, at, &record); at = record.after)
		r = fn(arg, record.type, record.payload, record.len);
	return r;
}
