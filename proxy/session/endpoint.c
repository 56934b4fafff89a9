// SPDX-License-Identifier: MIT
#include "proxy/session/endpoint.h"

#include "proxy/util.h"

static struct ring requests(struct xenstore_domain_interface *page)
{
	return (struct ring){ .data = (uint8_t *)page->req,
			      .size = XENSTORE_RING_SIZE,
			      .prod = page_word(&page->req_prod),
			      .cons = page_word(&page->req_cons) };
}

static struct ring replies(struct xenstore_domain_interface *page)
{
	return (struct ring){ .data = (uint8_t *)page->rsp,
			      .size = XENSTORE_RING_SIZE,
			      .prod = page_word(&page->rsp_prod),
			      .cons = page_word(&page->rsp_cons) };
}

struct endpoint endpoint_served(struct xenstore_domain_interface *page, void (*kick)(void *owner),
				void *owner)
{
	return (struct endpoint){
		.in = requests(page), .out = replies(page), .kick = kick, .owner = owner
	};
}

struct endpoint endpoint_serving(struct xenstore_domain_interface *page, void (*kick)(void *owner),
				 void *owner)
{
	return (struct endpoint){
		.in = replies(page), .out = requests(page), .kick = kick, .owner = owner
	};
}

int endpoint_begin(struct endpoint *end)
{
	int err = ring_load(&end->in, &end->in_view);

	if (!err)
		err = ring_load(&end->out, &end->out_view);
	end->in_start = end->in_view.cons;
	end->produced = false;
	end->nudge = false;
	end->starved = false;
	return err;
}

bool endpoint_consumed(const struct endpoint *end)
{
	return end->in_view.cons != end->in_start;
}

/*
 * When must the other side be woken? Always when it was sent something. When octets were taken from
 * it, only if it may have found its queue full: Linux and both daemons wait for room only then, and
 * they may have filled the queue after we loaded its index, so it is read again.
 */
void endpoint_kick(struct endpoint *end)
{
	uint32_t prod = atomic_load_explicit(end->in.prod, memory_order_acquire);

	if (end->produced || end->nudge ||
	    (endpoint_consumed(end) && prod - end->in_start >= end->in.size))
		end->kick(end->owner);
}

bool endpoint_again(const struct endpoint *end)
{
	uint32_t prod = atomic_load_explicit(end->in.prod, memory_order_acquire);
	uint32_t cons = atomic_load_explicit(end->out.cons, memory_order_acquire);

	return prod != end->in_view.prod || (end->starved && cons != end->out_view.cons);
}

void endpoint_consume(struct endpoint *end, struct commit *commit, uint32_t len)
{
	uint32_t cons = end->in_view.cons;

	commit_move(commit, end->in.cons, cons, cons + len);
	end->in_view.cons = cons + len;
}

void endpoint_produce(struct endpoint *end, struct commit *commit, uint32_t len)
{
	uint32_t prod = end->out_view.prod;

	commit_move(commit, end->out.prod, prod, prod + len);
	end->out_view.prod = prod + len;
	end->produced = true;
}
