// SPDX-License-Identifier: MIT
#include "proxy/mirror/draft.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/table.h"

#define PLACES_MIN 8u
#define NO_PLACE   UINT64_MAX

/* Without holes, for it is hashed. */
struct draft_id {
	uint32_t key[2];
	uint32_t tx;
};

struct draft {
	UT_hash_handle hh;
	struct draft_id id;
	struct drafts *drafts;
	uint64_t *places; /* of each change; NO_PLACE: none */
	uint32_t nr, room;
	uint32_t octets;
	struct change *above; /* NULL: there is no change yet */
};

struct drafts {
	struct annals *annals;
	struct draft *all;
	uint64_t live;
};

/* In the annals. DRAFT_OVER: of it only `id`. */
struct written {
	struct draft_id id;
	uint32_t number; /* of the change in the transaction */
	uint8_t kind, odd;
	uint16_t len, rest_len;
	uint8_t text[]; /* path, rest */
};

static struct draft_id id_of(uint64_t key, uint32_t tx)
{
	return (struct draft_id){ .key = { (uint32_t)key, (uint32_t)(key >> 32) }, .tx = tx };
}

static uint64_t key_of(const struct draft_id *id)
{
	return id->key[0] | (uint64_t)id->key[1] << 32;
}

/* How many octets of its changes a session has, of all its transactions. */
static uint32_t octets_of(const struct drafts *drafts, uint64_t key)
{
	uint32_t sum = 0;

	for (const struct draft *draft = drafts->all; draft; draft = draft->hh.next)
		if (key_of(&draft->id) == key)
			sum += draft->octets;
	return sum;
}

int drafts_new(struct drafts **out, struct annals *annals)
{
	struct drafts *drafts = calloc(1, sizeof(*drafts));

	if (!drafts)
		return -ENOMEM;
	drafts->annals = annals;
	*out = drafts;
	return 0;
}

static void forget(struct draft *draft)
{
	struct drafts *drafts = draft->drafts;

	drafts->live -= draft->octets;
	HASH_DELETE(hh, drafts->all, draft);
	free(draft->above);
	free(draft->places);
	free(draft);
}

struct drafts *drafts_free(struct drafts *drafts)
{
	struct draft *draft, *tmp;

	if (!drafts)
		return NULL;
	HASH_ITER(hh, drafts->all, draft, tmp)
		forget(draft);
	free(drafts);
	return NULL;
}

struct draft *draft_find(struct drafts *drafts, uint64_t key, uint32_t tx)
{
	const struct draft_id id = id_of(key, tx);
	struct draft *draft;

	HASH_FIND(hh, drafts->all, &id, sizeof(id), draft);
	return draft;
}

static struct draft *find_or_make(struct drafts *drafts, uint64_t key, uint32_t tx)
{
	struct draft *draft = draft_find(drafts, key, tx);

	if (draft)
		return draft;
	draft = calloc(1, sizeof(*draft));
	if (!draft)
		return NULL;
	draft->drafts = drafts;
	draft->id = id_of(key, tx);
	HASH_ADD(hh, drafts->all, id, sizeof(draft->id), draft);
	if (!draft->hh.tbl) {
		free(draft);
		return NULL;
	}
	return draft;
}

static int reach(struct draft *draft, uint32_t number)
{
	uint32_t room = draft->room ? draft->room : PLACES_MIN;
	uint64_t *places;

	while (room <= number)
		room *= 2;
	if (room != draft->room) {
		places = realloc(draft->places, room * sizeof(*places));
		if (!places)
			return -ENOMEM;
		draft->places = places;
		draft->room = room;
	}
	while (draft->nr <= number)
		draft->places[draft->nr++] = NO_PLACE;
	return 0;
}

static struct written *written_at(const struct drafts *drafts, uint64_t pos)
{
	return (struct written *)annals_at(drafts->annals, pos)->body;
}

static uint32_t size_at(const struct drafts *drafts, uint64_t pos)
{
	return annals_at(drafts->annals, pos)->quads * ANNALS_ALIGN;
}

static void count(struct draft *draft, uint64_t pos, bool more)
{
	uint32_t size = size_at(draft->drafts, pos);

	draft->octets += more ? size : -size;
	draft->drafts->live += more ? size : -(uint64_t)size;
}

static void read_change(const struct written *written, struct change *change)
{
	change->kind = written->kind;
	change->odd = written->odd;
	change->len = written->len;
	change->rest_len = written->rest_len;
	change->rest = written->text + written->len;
	change->home = NULL;
	change->place = (struct change_place){ 0 };
	memcpy(change->path, written->text, written->len);
	change->path[written->len] = '\0';
}

static uint16_t common(const struct change *a, const struct change *b)
{
	return (uint16_t)change_common(a->path, a->len, b->path, b->len);
}

/* Return: 0 or -ENOMEM. */
static int note_above(struct draft *draft, uint64_t pos)
{
	struct change change;

	read_change(written_at(draft->drafts, pos), &change);
	if (!draft->above) {
		draft->above = malloc(sizeof(*draft->above));
		if (!draft->above)
			return -ENOMEM;
		*draft->above = change;
	}
	draft->above->len = common(draft->above, &change);
	draft->above->path[draft->above->len] = '\0';
	return 0;
}

/* Return: 0 or -ENOMEM. */
static int put(struct draft *draft, uint32_t number, uint64_t pos)
{
	int err = reach(draft, number);

	if (err)
		return err;
	if (draft->places[number] != NO_PLACE)
		count(draft, draft->places[number], false);
	draft->places[number] = pos;
	count(draft, pos, true);
	return note_above(draft, pos);
}

static int write_change(struct draft *draft, uint32_t number, const struct change *change)
{
	uint16_t rest_len = change->odd ? 0 : change->rest_len;
	struct annals_record *in;
	struct written *written;
	uint64_t pos;

	in = annals_add(draft->drafts->annals, DRAFT_CHANGE,
			(uint32_t)sizeof(*written) + change->len + rest_len, &pos);
	if (!in)
		return -ENOMEM;
	written = (struct written *)in->body;
	*written = (struct written){ .id = draft->id,
				     .number = number,
				     .kind = (uint8_t)change->kind,
				     .odd = change->odd,
				     .len = change->len,
				     .rest_len = rest_len };
	memcpy(written->text, change->path, change->len);
	if (rest_len)
		memcpy(written->text + change->len, change->rest, rest_len);
	return put(draft, number, pos);
}

/* The last change becomes one of what is above it and this one. */
static int join_last(struct draft *draft, struct change *path_only)
{
	struct change last;

	read_change(written_at(draft->drafts, draft->places[draft->nr - 1]), &last);
	path_only->len = common(&last, path_only);
	path_only->path[path_only->len] = '\0';
	return write_change(draft, draft->nr - 1, path_only);
}

static bool last_is_path(const struct draft *draft)
{
	return draft->nr && written_at(draft->drafts, draft->places[draft->nr - 1])->odd;
}

/* A change that was kept has no more of its path than it needs: never copied whole. */
static void path_of(struct change *path_only, const struct change *change)
{
	memcpy(path_only, change, offsetof(struct change, path) + change->len + 1u);
	path_only->odd = true;
}

int draft_add(struct drafts *drafts, uint64_t key, uint32_t tx, const struct change *change,
	      uint32_t most)
{
	struct draft *draft = find_or_make(drafts, key, tx);
	uint32_t octets = octets_of(drafts, key), size;
	struct change path_only;
	int err;

	if (!draft)
		return -ENOMEM;
	size = annals_size((uint32_t)sizeof(struct written) + change->len + change->rest_len);
	if (octets + size <= most)
		return write_change(draft, draft->nr, change);
	path_of(&path_only, change);
	if (octets + size > 2 * most && last_is_path(draft))
		err = join_last(draft, &path_only);
	else
		err = write_change(draft, draft->nr, &path_only);
	return err ? err : 1;
}

uint32_t draft_count(const struct draft *draft)
{
	return draft->nr;
}

void draft_above(const struct draft *draft, struct change *change)
{
	*change = *draft->above;
	change->kind = CHANGE_NOTHING;
	change->odd = true; /* all below it */
}

int draft_each(const struct draft *draft, int (*fn)(void *arg, const struct change *change),
	       void *arg)
{
	struct change change;
	int ret = 0;

	for (uint32_t i = 0; i < draft->nr && !ret; i++) {
		if (draft->places[i] == NO_PLACE)
			continue;
		read_change(written_at(draft->drafts, draft->places[i]), &change);
		ret = fn(arg, &change);
	}
	return ret;
}

int draft_drop(struct draft *draft)
{
	struct annals_record *in;
	struct written *written;
	uint64_t pos;

	in = annals_add(draft->drafts->annals, DRAFT_OVER, sizeof(*written), &pos);
	if (!in)
		return -ENOMEM;
	written = (struct written *)in->body;
	*written = (struct written){ .id = draft->id };
	forget(draft);
	return 0;
}

int drafts_sift(struct drafts *drafts, bool (*there)(void *arg, uint64_t key), void *arg)
{
	struct draft *draft, *tmp;
	int err = 0;

	HASH_ITER(hh, drafts->all, draft, tmp)
		if (!err && !there(arg, key_of(&draft->id)))
			err = draft_drop(draft);
	return err;
}

static bool is_another(void *arg, uint64_t key)
{
	return key != *(const uint64_t *)arg;
}

int drafts_drop(struct drafts *drafts, uint64_t key)
{
	return drafts_sift(drafts, is_another, &key);
}

static bool written_is_sane(const struct annals_record *in)
{
	const struct written *written = (const struct written *)in->body;
	uint32_t len = (uint32_t)in->quads * ANNALS_ALIGN - (uint32_t)sizeof(*in);

	return len >= sizeof(*written) &&
	       len >= sizeof(*written) + written->len + written->rest_len &&
	       written->len <= TREE_PATH_MAX && written->number < ANNALS_DATA_MAX / 64;
}

int drafts_replay(struct drafts *drafts, uint64_t pos)
{
	const struct annals_record *in = annals_at(drafts->annals, pos);
	const struct written *written = (const struct written *)in->body;
	struct draft *draft;

	if (!written_is_sane(in))
		return -EINVAL;
	if (in->kind == DRAFT_OVER) {
		draft = draft_find(drafts, key_of(&written->id), written->id.tx);
		if (draft)
			forget(draft);
		return 0;
	}
	draft = find_or_make(drafts, key_of(&written->id), written->id.tx);
	return draft ? put(draft, written->number, pos) : -ENOMEM;
}

int drafts_keep(struct drafts *drafts, uint64_t pos)
{
	const struct written *written = written_at(drafts, pos);
	struct draft *draft = draft_find(drafts, key_of(&written->id), written->id.tx);
	struct change change;

	if (annals_at(drafts->annals, pos)->kind != DRAFT_CHANGE || !draft ||
	    written->number >= draft->nr || draft->places[written->number] != pos)
		return 0;
	read_change(written, &change);
	return write_change(draft, written->number, &change);
}

uint64_t drafts_live(const struct drafts *drafts)
{
	return drafts->live;
}
