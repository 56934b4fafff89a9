// SPDX-License-Identifier: MIT
#include "proxy/toolstack/sift.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/session/session.h"

/* Comparisons of an event with a watch that one turn may cost. */
#define AT_ONCE	     4096u

#define MESSAGES_MAX (FIFO_SIZE / MESSAGE_HEADER)

struct sift {
	struct session *target;
	uint32_t batch;
	uint32_t head; /* of the fifo: if that moves, what is said below is of other messages */
	uint32_t off;  /* from there, to the next message to look at */
	uint32_t seen; /* messages that have been looked at */
	uint32_t next; /* of those, the next one for sift_end() */
	uint8_t drop[MESSAGES_MAX / 8];
};

static void begin(struct sift *sift)
{
	const struct ledger *ledger = sift->target->ledger;

	sift->head = word_get(&ledger->fifo_head);
	sift->off = word_get(&ledger->fifo_left);
	sift->seen = 0;
	memset(sift->drop, 0, sizeof(sift->drop));
}

int sift_new(struct sift **out, struct session *target, uint32_t batch)
{
	struct sift *sift = malloc(sizeof(*sift));

	if (!sift)
		return -ENOMEM;
	sift->target = target;
	sift->batch = batch;
	begin(sift);
	*out = sift;
	return 0;
}

struct sift *sift_free(struct sift *sift)
{
	free(sift);
	return NULL;
}

static bool is_explained(const struct sift *sift, const struct message *msg)
{
	const char *vec[2];

	if (msg->hdr.type != XS_WATCH_EVENT ||
	    message_strings(msg->payload, msg->hdr.len, vec, 2) != 2)
		return true;
	return watches_explain(&sift->target->watches, vec[0], vec[1], sift->batch);
}

bool sift_some(struct sift *sift)
{
	struct fifo *fifo = &sift->target->fifo;
	struct message msg;

	if (word_get(&fifo->ledger->fifo_head) != sift->head)
		begin(sift);
	for (uint32_t cost = 0; cost < AT_ONCE; cost += 1 + sift->target->watches.count) {
		if (sift->off >= fifo_used(fifo))
			return true;
		fifo_read(fifo, sift->off, &msg.hdr, sizeof(msg.hdr));
		fifo_read(fifo, sift->off + MESSAGE_HEADER, msg.payload, msg.hdr.len);
		if (!is_explained(sift, &msg))
			sift->drop[sift->seen / 8] |= (uint8_t)(1u << sift->seen % 8);
		sift->off += message_size(&msg.hdr);
		sift->seen++;
	}
	return false;
}

static bool is_kept(void *arg, const struct message *msg)
{
	struct sift *sift = arg;
	uint32_t i = sift->next++;

	(void)msg;
	return !(sift->drop[i / 8] >> i % 8 & 1);
}

int sift_end(struct sift *sift)
{
	sift->next = 0;
	return fifo_filter(&sift->target->fifo, &sift->target->place, is_kept, sift);
}
