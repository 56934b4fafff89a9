// SPDX-License-Identifier: MIT
/*
 * wire - see wire.h. Bottom up: names of errors, octets on their way, one message, waiting.
 * Connecting is in wire_connect.c.
 */
#include "migration/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define READ_CHUNK 65536

/* A request id is a slot's number in the low bits, so that a reply is found without a search. */
#define SLOT_BITS 8
#define SEQ_MAX	  (1u << (30 - SLOT_BITS))

_Static_assert(WIRE_WINDOW <= 1 << SLOT_BITS, "every slot has a number");

struct slot {
	uint32_t id; /* 0: free */
	uint32_t type;
	wire_fn fn; /* NULL: nobody is interested any more */
	void *arg;
	uint64_t tag;
};

/* Octets [start, end) of @data. */
struct queue {
	char *data;
	size_t size;
	size_t start;
	size_t end;
};

struct wire {
	int fd;
	int error; /* of the connection, for ever */
	const struct interrupt *interrupt;
	int timeout_ms;
	bool firm;
	wire_slow_fn on_slow;
	const void *slow_arg;
	wire_event_fn on_event;
	void *event_arg;
	uint32_t seq;
	unsigned int window;
	unsigned int in_flight;
	struct slot slots[WIRE_WINDOW];
	struct queue out;
	struct queue in;
};

/* --- names of errors */

/* The negative errno for the name in an XS_ERROR. */
static int error_parse(const char *name, size_t len)
{
	len = strnlen(name, len);
	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
		if (strlen(xsd_errors[i].errstring) == len &&
		    !memcmp(name, xsd_errors[i].errstring, len))
			return -xsd_errors[i].errnum;
	/* oxenstored's own, which xs_wire.h does not have */
	if (len == strlen("EQUOTA") && !memcmp(name, "EQUOTA", len))
		return -EDQUOT;
	return -EIO;
}

/* --- octets */

static size_t queue_fill(const struct queue *queue)
{
	return queue->end - queue->start;
}

/* Make room for @len octets at the end. */
static int queue_reserve(struct queue *queue, size_t len)
{
	size_t fill = queue_fill(queue);
	size_t size = queue->size ? queue->size : READ_CHUNK;
	char *data;

	if (queue->size - queue->end >= len)
		return 0;
	if (queue->start) {
		memmove(queue->data, queue->data + queue->start, fill);
		queue->start = 0;
		queue->end = fill;
	}
	while (size - fill < len)
		size *= 2;
	if (size == queue->size)
		return 0;
	data = realloc(queue->data, size);
	if (!data)
		return -ENOMEM;
	queue->data = data;
	queue->size = size;
	return 0;
}

static void queue_put(struct queue *queue, const void *data, size_t len)
{
	if (len)
		memcpy(queue->data + queue->end, data, len);
	queue->end += len;
}

static int wire_flush(struct wire *wire)
{
	while (queue_fill(&wire->out)) {
		ssize_t n = send(wire->fd, wire->out.data + wire->out.start, queue_fill(&wire->out),
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return -errno;
		wire->out.start += (size_t)n;
	}
	return 0;
}

static int wire_fill(struct wire *wire)
{
	ssize_t n;
	int r = queue_reserve(&wire->in, READ_CHUNK);

	if (r)
		return r;
	do
		n = recv(wire->fd, wire->in.data + wire->in.end, READ_CHUNK, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (!n)
		return -ECONNRESET;
	wire->in.end += (size_t)n;
	return 0;
}

/* As interrupt_poll(). */
static int wire_poll(struct wire *wire, struct pollfd *pfd)
{
	const struct interrupt *interrupt = wire->firm ? NULL : wire->interrupt;

	if (wire->on_slow) {
		int r = interrupt_poll(interrupt, pfd, 1, WIRE_SLOW_MS);

		if (r)
			return r;
		wire->on_slow(wire->slow_arg);
		wire->on_slow = NULL;
	}
	return interrupt_poll(interrupt, pfd, 1, wire->timeout_ms);
}

/* Send what there is to send, and wait for something to receive. */
static int wire_exchange(struct wire *wire)
{
	struct pollfd pfd = { .fd = wire->fd, .events = POLLIN };
	int r = wire_flush(wire);

	if (r) {
		wire->error = r;
		return r;
	}
	if (queue_fill(&wire->out))
		pfd.events |= POLLOUT;
	r = wire_poll(wire, &pfd);
	if (r <= 0)
		return r ? r : -ETIMEDOUT;
	if (!(pfd.revents & ~POLLOUT))
		return 0;
	r = wire_fill(wire);
	if (r != -ENOMEM)
		wire->error = r;
	return r;
}

/* --- messages */

static int take_event(struct wire *wire, const char *payload, size_t len)
{
	if (!wire->on_event || !memchr(payload, 0, len))
		return 0;
	return wire->on_event(wire->event_arg, payload);
}

static int take_reply(struct wire *wire, const struct xsd_sockmsg *hdr, const char *payload)
{
	struct slot *slot = &wire->slots[hdr->req_id % (1u << SLOT_BITS) % WIRE_WINDOW];
	struct wire_reply reply = { .data = payload, .len = hdr->len };
	struct slot was = *slot;

	/* An id that is not ours is oxenstored's way to say that an event was lost. */
	if (!hdr->req_id || was.id != hdr->req_id)
		return 0;
	slot->id = 0;
	wire->in_flight--;
	if (!was.fn)
		return 0;
	if (hdr->type == XS_ERROR)
		reply.err = error_parse(payload, hdr->len);
	else if (hdr->type != was.type)
		return wire->error = -EPROTO;
	return was.fn(was.arg, was.tag, &reply);
}

/* Take a message off the queue. Return: 1, 0 if none is complete, or a negative errno. */
static int wire_take(struct wire *wire)
{
	struct queue *in = &wire->in;
	struct xsd_sockmsg hdr;
	const char *payload;
	int r;

	if (queue_fill(in) < sizeof(hdr))
		return 0;
	memcpy(&hdr, in->data + in->start, sizeof(hdr));
	if (hdr.len > WIRE_REPLY_MAX)
		return wire->error = -EPROTO;
	if (queue_fill(in) < sizeof(hdr) + hdr.len)
		return queue_reserve(in, sizeof(hdr) + hdr.len - queue_fill(in));
	payload = in->data + in->start + sizeof(hdr);
	in->start += sizeof(hdr) + hdr.len;
	r = hdr.type == XS_WATCH_EVENT ? take_event(wire, payload, hdr.len)
				       : take_reply(wire, &hdr, payload);
	return r ? r : 1;
}

unsigned int wire_room(const struct wire *wire)
{
	return wire->window - wire->in_flight;
}

static struct slot *free_slot(struct wire *wire)
{
	for (size_t i = 0; i < WIRE_WINDOW; i++)
		if (!wire->slots[i].id)
			return &wire->slots[i];
	return NULL;
}

int wire_send(struct wire *wire, uint32_t type, uint32_t tx_id, const struct iovec *parts,
	      int nr_parts, wire_fn fn, void *arg, uint64_t tag)
{
	struct xsd_sockmsg hdr = { .type = type, .tx_id = tx_id };
	struct slot *slot = wire_room(wire) ? free_slot(wire) : NULL;
	size_t len = 0;
	int r;

	for (int i = 0; i < nr_parts; i++)
		len += parts[i].iov_len;
	if (len > XENSTORE_PAYLOAD_MAX)
		return -E2BIG;
	if (!slot)
		return -EAGAIN;
	r = queue_reserve(&wire->out, sizeof(hdr) + len);
	if (r)
		return r;
	wire->seq = wire->seq % (SEQ_MAX - 1) + 1;
	hdr.req_id = wire->seq << SLOT_BITS | (uint32_t)(slot - wire->slots);
	hdr.len = (uint32_t)len;
	*slot = (struct slot){ hdr.req_id, type, fn, arg, tag };
	wire->in_flight++;
	queue_put(&wire->out, &hdr, sizeof(hdr));
	for (int i = 0; i < nr_parts; i++)
		queue_put(&wire->out, parts[i].iov_base, parts[i].iov_len);
	return 0;
}

/* --- waiting */

int wire_wait(struct wire *wire)
{
	for (;;) {
		int r = wire->error ? wire->error : wire_take(wire);

		if (r)
			return r < 0 ? r : 0;
		r = wire_exchange(wire);
		if (r)
			return r;
	}
}

int wire_drain(struct wire *wire)
{
	int r = 0;

	while (!r && wire->in_flight)
		r = wire_wait(wire);
	return r;
}

struct call {
	bool done;
	struct wire_reply reply;
};

static int on_call(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	struct call *call = arg;

	(void)tag;
	call->done = true;
	call->reply = *reply;
	return 0;
}

/* Call nobody for requests with @arg; NULL: for any. */
static void forget(struct wire *wire, const void *arg)
{
	for (size_t i = 0; i < WIRE_WINDOW; i++)
		if (!arg || wire->slots[i].arg == arg)
			wire->slots[i].fn = NULL;
}

int wire_call(struct wire *wire, uint32_t type, uint32_t tx_id, const struct iovec *parts,
	      int nr_parts, struct wire_reply *reply)
{
	struct call call = { 0 };
	int r = 0;

	while (!r && !wire_room(wire))
		r = wire_wait(wire);
	if (!r)
		r = wire_send(wire, type, tx_id, parts, nr_parts, on_call, &call, 0);
	while (!r && !call.done)
		r = wire_wait(wire);
	if (r) {
		forget(wire, &call);
		return r;
	}
	if (reply)
		*reply = call.reply;
	return call.reply.err;
}

bool wire_answered(int err)
{
	static const int unanswered[] = { -EINTR, -ETIMEDOUT, -ECONNRESET, -EPIPE, -EPROTO };

	for (size_t i = 0; i < sizeof(unanswered) / sizeof(unanswered[0]); i++)
		if (err == unanswered[i])
			return false;
	return true;
}

bool wire_is_limit(int err)
{
	return err == -EINVAL || err == -E2BIG || err == -ENOSPC || err == -EDQUOT;
}

void wire_forget(struct wire *wire)
{
	forget(wire, NULL);
}

struct iovec wire_string(const char *text)
{
	return (struct iovec){ (char *)text, strlen(text) + 1 };
}

void wire_set_patience(struct wire *wire, const struct interrupt *interrupt, int timeout_ms)
{
	wire->interrupt = interrupt;
	wire->timeout_ms = timeout_ms;
}

void wire_set_slow(struct wire *wire, wire_slow_fn fn, const void *arg)
{
	wire->on_slow = fn;
	wire->slow_arg = arg;
}

void wire_set_window(struct wire *wire, unsigned int window)
{
	wire->window = window;
}

void wire_set_firm(struct wire *wire, bool firm)
{
	wire->firm = firm;
}

void wire_set_event(struct wire *wire, wire_event_fn fn, void *arg)
{
	wire->on_event = fn;
	wire->event_arg = arg;
}

/* --- connections */

void wire_free(struct wire *wire)
{
	if (!wire)
		return;
	close(wire->fd);
	free(wire->out.data);
	free(wire->in.data);
	free(wire);
}

int wire_adopt(struct wire **out, int fd)
{
	struct wire *wire;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	wire = calloc(1, sizeof(*wire));
	if (!wire)
		return -ENOMEM;
	wire->fd = fd;
	wire->window = WIRE_WINDOW;
	wire->timeout_ms = -1;
	*out = wire;
	return 0;
}
