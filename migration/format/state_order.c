// SPDX-License-Identifier: MIT
/*
 * state_order - see state_order.h. A key is a letter for its kind, whose it is, and text; a slot's
 * place is the low bits of its hash.
 */
#include "migration/format/state_order.h"

#include "protocol/table.h"
#include "text/buffer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BITS_MIN 10
#define BITS_MAX 32
#define OTHER	 0x80 /* what is different in a key for the second half of its hash */

/* All zero is free; no hash is. */
struct slot {
	uint64_t half[2];
};

struct key {
	char kind;
	struct state_peer peer;
	uint32_t number;
	const char *text;
	size_t text_len;
	const char *more; /* another string */
	size_t more_len;
};

struct state_order {
	struct slot *slots; /* 1 << bits of them */
	unsigned int bits;
	size_t used;
	struct buffer scratch;
	bool global;
	bool quotas;
};

/* --- the set */

static size_t key_write(char *out, const struct key *key)
{
	char *p = out;

	*p++ = key->kind;
	*p++ = (char)key->peer.socket;
	p = mempcpy(p, &key->peer.number, sizeof(key->peer.number));
	p = mempcpy(p, &key->number, sizeof(key->number));
	p = mempcpy(p, &key->text_len, sizeof(key->text_len));
	if (key->text_len)
		p = mempcpy(p, key->text, key->text_len);
	if (key->more_len)
		p = mempcpy(p, key->more, key->more_len);
	return (size_t)(p - out);
}

static int key_hash(struct state_order *order, const struct key *key, struct slot *hash)
{
	char *octets;
	size_t len;
	int r = buffer_reserve(&order->scratch, 32 + key->text_len + key->more_len);

	if (r)
		return r;
	octets = order->scratch.data;
	len = key_write(octets, key);
	hash->half[0] = table_hash(octets, len);
	octets[0] = (char)(octets[0] | OTHER);
	hash->half[1] = table_hash(octets, len) | 1;
	return 0;
}

static struct slot *set_place(struct slot *slots, unsigned int bits, const struct slot *hash)
{
	size_t mask = ((size_t)1 << bits) - 1;
	size_t i = hash->half[0] & mask;

	while (slots[i].half[1] && memcmp(&slots[i], hash, sizeof(*hash)))
		i = (i + 1) & mask;
	return &slots[i];
}

static int set_grow(struct state_order *order)
{
	struct slot *slots;
	size_t old = (size_t)1 << order->bits;

	if (order->bits == BITS_MAX)
		return -ENOMEM;
	slots = calloc(old * 2, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < old; i++)
		if (order->slots[i].half[1])
			*set_place(slots, order->bits + 1, &order->slots[i]) = order->slots[i];
	free(order->slots);
	order->slots = slots;
	order->bits++;
	return 0;
}

/* Return: 1 if it was there, 0 if it is there now, or -ENOMEM. */
static int set_add(struct state_order *order, const struct key *key)
{
	struct slot hash, *place;
	int r = key_hash(order, key, &hash);

	if (r)
		return r;
	if (order->used + 1 > ((size_t)7 << order->bits) / 8) {
		r = set_grow(order);
		if (r)
			return r;
	}
	place = set_place(order->slots, order->bits, &hash);
	if (place->half[1])
		return 1;
	*place = hash;
	order->used++;
	return 0;
}

/* Return: 1 if it is there, 0 if not, or -ENOMEM. */
static int set_has(struct state_order *order, const struct key *key)
{
	struct slot hash;
	int r = key_hash(order, key, &hash);

	return r ? r : !!set_place(order->slots, order->bits, &hash)->half[1];
}

/* --- the rules */

static int need(struct state_order *order, const struct key *key, const char *what, uint64_t at,
		struct record_fault *fault)
{
	int r = set_has(order, key);

	if (r < 0)
		return r;
	return r ? 0 : record_refuse(fault, at, "%s", what);
}

static int add(struct state_order *order, const struct key *key, const char *what, uint64_t at,
	       struct record_fault *fault)
{
	int r = set_add(order, key);

	return r > 0 ? record_refuse(fault, at, "%s was given before", what) : r;
}

static int need_peer(struct state_order *order, struct state_peer peer, uint64_t at,
		     struct record_fault *fault)
{
	struct key key = { .kind = 'c', .peer = peer };
	char what[64];

	snprintf(what, sizeof(what), "there is no connection of %s %" PRIu32 " before it",
		 peer.socket ? "socket" : "domain", peer.number);
	return need(order, &key, what, at, fault);
}

static int once(bool *had, const char *what, uint64_t at, struct record_fault *fault)
{
	if (*had)
		return record_refuse(fault, at, "%s were given before", what);
	*had = true;
	return 0;
}

static int add_watch(struct state_order *order, const struct state_watch *watch, uint64_t at,
		     struct record_fault *fault)
{
	struct key key = { .kind = 'w',
			   .peer = watch->peer,
			   .text = watch->path,
			   .text_len = watch->path_len,
			   .more = watch->token,
			   .more_len = watch->token_len };
	int r = need_peer(order, watch->peer, at, fault);

	return r ? r : add(order, &key, "this watch", at, fault);
}

static int add_transaction(struct state_order *order, struct state_peer peer, uint32_t tx_id,
			   uint64_t at, struct record_fault *fault)
{
	struct key key = { .kind = 't', .peer = peer, .number = tx_id };
	int r = need_peer(order, peer, at, fault);

	return r ? r : add(order, &key, "this transaction", at, fault);
}

static int add_pending(struct state_order *order, const struct state_node *node, uint64_t at,
		       struct record_fault *fault)
{
	struct key transaction = { .kind = 't', .peer = node->peer, .number = node->tx_id };
	struct key key = { .kind = 'p',
			   .peer = node->peer,
			   .number = node->tx_id,
			   .text = node->node.path,
			   .text_len = node->node.path_len };
	int r = need(order, &transaction, "its transaction is not there before it", at, fault);

	return r ? r : add(order, &key, "this node of the transaction", at, fault);
}

/* In oxenstored a special watch is a node, which there may be others below. */
static int need_parent(struct state_order *order, const char *path, size_t len, uint64_t at,
		       struct record_fault *fault)
{
	struct key above = { .kind = 'n', .text = path, .text_len = len };

	if (state_path_known(path + 1, len - 1) && set_has(order, &above) == 0) {
		above.text++;
		above.text_len--;
	}
	return need(order, &above, "its parent is not there before it", at, fault);
}

static int add_node(struct state_order *order, const struct record_node *node, uint64_t at,
		    struct record_fault *fault)
{
	size_t parent = state_path_parent(node->path, node->path_len);
	struct key key = { .kind = 'n', .text = node->path, .text_len = node->path_len };
	int r = 0;

	if (parent && order->global)
		r = need_parent(order, node->path, parent, at, fault);
	return r ? r : add(order, &key, "this node", at, fault);
}

static int add_connection(struct state_order *order, struct state_peer peer, uint64_t at,
			  struct record_fault *fault)
{
	struct key key = { .kind = 'c', .peer = peer };

	return add(order, &key, "this connection", at, fault);
}

static int add_domain(struct state_order *order, uint16_t domid, uint64_t at,
		      struct record_fault *fault)
{
	struct key key = { .kind = 'd', .number = domid };

	return add(order, &key, "what is known of this domain", at, fault);
}

int state_order_add(struct state_order *order, const struct state_item *item, uint64_t at,
		    struct record_fault *fault)
{
	switch (item->kind) {
	case STATE_GLOBAL:
		return once(&order->global, "global data", at, fault);
	case STATE_QUOTAS:
		return once(&order->quotas, "quotas", at, fault);
	case STATE_CONNECTION:
		return add_connection(order, item->connection.peer, at, fault);
	case STATE_WATCH:
		return add_watch(order, &item->watch, at, fault);
	case STATE_TRANSACTION:
		return add_transaction(order, item->transaction.peer, item->transaction.tx_id, at,
				       fault);
	case STATE_NODE:
		return item->node.pending ? add_pending(order, &item->node, at, fault)
					  : add_node(order, &item->node.node, at, fault);
	case STATE_DOMAIN:
		return add_domain(order, item->domain.domid, at, fault);
	case STATE_UNKNOWN:
		break;
	}
	return 0;
}

void state_order_free(struct state_order *order)
{
	if (!order)
		return;
	free(order->slots);
	free(order->scratch.data);
	free(order);
}

int state_order_new(struct state_order **out)
{
	struct state_order *order = calloc(1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	order->bits = BITS_MIN;
	order->slots = calloc((size_t)1 << order->bits, sizeof(*order->slots));
	if (!order->slots) {
		free(order);
		return -ENOMEM;
	}
	*out = order;
	return 0;
}
