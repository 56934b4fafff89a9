// SPDX-License-Identifier: MIT
#include "proxy/mend/reading.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "protocol/clock.h"
#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/host/own.h"
#include "proxy/mirror/follow.h"

/* What is asked of a node, in this order. */
enum question {
	CHILDREN,
	VALUE,
	PERMS,
	PART, /* more of the children, if there are too many for one reply */
	DONE,
};

struct octets {
	uint8_t *data;
	size_t len;
};

struct under_way {
	TAILQ_ENTRY(under_way) list;
	enum question next; /* whose reply is to come */
	struct claim_read claim;
	struct reading result;
	struct octets children, value;
	char part_gen[32]; /* of the children, as they were when the first ones were told */
	struct tree_perm *perms;
	uint32_t nr_perms;
	char path[TREE_PATH_MAX + 1];
};

struct readings {
	struct daemon *daemon;
	struct own *own;
	void (*done)(void *owner, const struct reading *reading);
	void (*lost)(void *owner);
	void *owner;
	uint32_t busy, nr_held;
	TAILQ_HEAD(under_way_list, under_way)
	all;			    /* in the order of the replies that are to come */
	struct under_way_list held; /* not asked yet */
};

/* It is in no list. */
static void forget(struct readings *readings, struct under_way *it)
{
	claim_read_end(follow_claims(readings->daemon->follow), &it->claim);
	readings->busy--;
	free(it->children.data);
	free(it->value.data);
	free(it->perms);
	free(it);
}

static void tell(struct readings *readings, struct under_way *it)
{
	it->result.disturbed = it->claim.disturbed;
	it->result.content = (struct tree_content){ .perms = it->perms,
						    .nr_perms = it->nr_perms,
						    .value = it->value.data,
						    .value_len = (uint32_t)it->value.len };
	it->result.children = (const char *)it->children.data;
	it->result.children_len = it->children.len;
	readings->done(readings->owner, &it->result);
}

static int append(struct octets *to, const uint8_t *data, size_t len)
{
	uint8_t *grown = realloc(to->data, to->len + len + 1);

	if (!grown)
		return -ENOMEM;
	to->data = grown;
	memcpy(grown + to->len, data, len);
	to->len += len;
	return 0;
}

/* --- what is answered */

/* Also one that no request may have, as long as it says for whom. */
static void read_perm(struct tree_perm *perm, const char *text)
{
	char *end;
	long domid = *text ? strtol(text + 1, &end, 10) : -1;

	*perm = (struct tree_perm){ .domid = (uint16_t)domid, .letter = (uint8_t)*text };
	if (domid < 0 || domid > UINT16_MAX)
		perm->flags = TREE_PERM_ODD;
}

static int read_perms(struct under_way *it, const struct own_reply *reply)
{
	const char *p = (const char *)reply->payload, *end = p + reply->len;
	uint32_t n = 0;

	if (!reply->len || end[-1])
		return -EPROTO;
	for (const char *q = p; q < end; q += strlen(q) + 1)
		n++;
	if (n > TREE_PERMS_MAX)
		return -E2BIG;
	it->perms = calloc(n, sizeof(*it->perms));
	if (!it->perms)
		return -ENOMEM;
	for (; p < end; p += strlen(p) + 1)
		read_perm(&it->perms[it->nr_perms++], p);
	return 0;
}

static int ask_part(struct readings *readings, struct under_way *it)
{
	char words[TREE_PATH_MAX + 32];
	int n = sprintf(words, "%s%c%zu", it->path, 0, it->children.len);

	return own_ask(readings->own, XS_DIRECTORY_PART, words, (uint32_t)n + 1);
}

/*
 * "generation NUL names"; an empty name, too, at the end. Return: 0: that was all; 1: more is to
 * come; -EAGAIN: it has changed since the first part.
 */
static int read_part(struct readings *readings, struct under_way *it, const struct own_reply *reply)
{
	const char *text = (const char *)reply->payload;
	size_t gen = strnlen(text, reply->len), len = reply->len - gen;
	bool last;
	int err;

	if (len < 1 || gen >= sizeof(it->part_gen))
		return -EPROTO;
	if (it->children.len && strcmp(it->part_gen, text)) {
		it->claim.disturbed = true;
		return -EAGAIN;
	}
	strcpy(it->part_gen, text);
	text += gen + 1;
	len--;
	last = !len || (len >= 2 && !text[len - 1] && !text[len - 2]) || (len == 1 && !*text);
	err = append(&it->children, (const uint8_t *)text, last && len ? len - 1 : len);
	if (err || last)
		return err;
	err = ask_part(readings, it);
	return err ? err : 1;
}

static int error_of(const struct own_reply *reply)
{
	return -message_error_parse(reply->payload, reply->len);
}

/* A special watch's path, which has permissions and nothing else. */
static bool is_special(const struct under_way *it)
{
	return it->path[0] == '@';
}

/* Return: 0; 1: another reply is to come before the next question's; or a negative errno. */
static int take(struct readings *readings, struct under_way *it, const struct own_reply *reply)
{
	bool bad = reply->type == XS_ERROR;

	if (is_special(it) && it->next != PERMS)
		return 0;
	switch (it->next) {
	case CHILDREN:
		if (bad && error_of(reply) == -E2BIG) {
			it->part_gen[0] = '?'; /* in parts, when the rest was answered */
			return 0;
		}
		return bad ? error_of(reply) : append(&it->children, reply->payload, reply->len);
	case VALUE:
		return bad ? error_of(reply) : append(&it->value, reply->payload, reply->len);
	case PERMS:
		return bad ? error_of(reply) : read_perms(it, reply);
	case PART:
		return bad ? error_of(reply) : read_part(readings, it, reply);
	case DONE:
		break;
	}
	return -EPROTO;
}

/* Those that were asked of before it are answered before it. */
static struct under_way *first(struct readings *readings)
{
	return TAILQ_FIRST(&readings->all);
}

static void to_the_end(struct readings *readings, struct under_way *it)
{
	TAILQ_REMOVE(&readings->all, it, list);
	TAILQ_INSERT_TAIL(&readings->all, it, list);
}

/* All of it was answered, but for children that come in parts. */
static bool goes_on(struct readings *readings, struct under_way *it)
{
	if (it->next != PART || it->result.err || it->part_gen[0] != '?')
		return false;
	it->part_gen[0] = '\0';
	it->result.err = ask_part(readings, it);
	if (!it->result.err)
		to_the_end(readings, it);
	return !it->result.err;
}

static void reply_cb(void *arg, const struct own_reply *reply)
{
	struct readings *readings = arg;
	struct under_way *it;
	int ret;

	if (!reply) {
		readings->lost(readings->owner);
		return;
	}
	it = first(readings);
	if (!it)
		return;
	ret = take(readings, it, reply);
	if (ret < 0 && !it->result.err)
		it->result.err = ret;
	if (it->next == PART && ret > 0) {
		to_the_end(readings, it);
		return;
	}
	it->next++;
	if (it->next < PART || goes_on(readings, it))
		return;
	tell(readings, it);
	TAILQ_REMOVE(&readings->all, it, list);
	forget(readings, it);
}

/* --- what is asked */

int readings_open(struct readings **out, struct daemon *daemon,
		  void (*done)(void *owner, const struct reading *reading),
		  void (*lost)(void *owner), void *owner)
{
	struct readings *readings = calloc(1, sizeof(*readings));
	int err = readings ? own_open(&readings->own, daemon, reply_cb, readings) : -ENOMEM;

	if (err) {
		free(readings);
		return err;
	}
	readings->daemon = daemon;
	readings->done = done;
	readings->lost = lost;
	readings->owner = owner;
	TAILQ_INIT(&readings->all);
	TAILQ_INIT(&readings->held);
	*out = readings;
	return 0;
}

struct readings *readings_close(struct readings *readings)
{
	struct under_way *it;

	if (!readings)
		return NULL;
	own_close(readings->own);
	TAILQ_CONCAT(&readings->all, &readings->held, list);
	while ((it = first(readings))) {
		TAILQ_REMOVE(&readings->all, it, list);
		forget(readings, it);
	}
	free(readings);
	return NULL;
}

uint32_t readings_busy(const struct readings *readings)
{
	return readings->busy;
}

static int ask(struct readings *readings, const struct under_way *it)
{
	static const uint32_t types[] = { XS_DIRECTORY, XS_READ, XS_GET_PERMS };
	int err = 0;

	for (uint32_t i = 0; i < 3 && !err; i++)
		err = own_ask(readings->own, types[i], it->path, it->result.len + 1);
	return err;
}

int readings_read(struct readings *readings, const char *path, uint32_t len, bool holds, void *arg)
{
	struct under_way *it;
	int err;

	if (readings->busy >= READINGS_MAX)
		return -EAGAIN;
	it = calloc(1, sizeof(*it));
	if (!it)
		return -ENOMEM;
	memcpy(it->path, path, len);
	it->result = (struct reading){ .path = it->path, .len = len, .arg = arg };
	claim_read_begin(follow_claims(readings->daemon->follow), &it->claim, it->path, len,
			 holds ? clock_monotonic() : 0);
	readings->busy++;
	if (holds && it->claim.disturbed) {
		TAILQ_INSERT_TAIL(&readings->held, it, list);
		readings->nr_held++;
		return 0;
	}
	TAILQ_INSERT_TAIL(&readings->all, it, list);
	err = ask(readings, it);
	/* Some of it may have gone, and be answered to nobody. */
	if (err)
		readings->lost(readings->owner);
	return err;
}

void readings_go_on(struct readings *readings)
{
	struct claims *claims = follow_claims(readings->daemon->follow);
	uint64_t now = clock_monotonic();
	struct under_way *it, *next;

	for (it = TAILQ_FIRST(&readings->held); it; it = next) {
		next = TAILQ_NEXT(it, list);
		it->claim.disturbed = claim_read_waits(claims, &it->claim);
		/* Nobody waits for it any longer. */
		if (it->claim.disturbed && now - it->claim.since < CLAIM_WAIT_NS)
			continue;
		TAILQ_REMOVE(&readings->held, it, list);
		TAILQ_INSERT_TAIL(&readings->all, it, list);
		readings->nr_held--;
		if (ask(readings, it)) {
			readings->lost(readings->owner);
			return;
		}
	}
}

uint32_t readings_held(const struct readings *readings)
{
	return readings->nr_held;
}
