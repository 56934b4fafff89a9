// SPDX-License-Identifier: MIT
/*
 * The control socket: any octets, in pieces, then the end. Each line gets one reply, each reply is
 * a line with a JSON object, and guests notice nothing but what was asked for.
 *
 * proxy/control/control.c is compiled in here, so that a connection needs no listener and, since
 * system calls cost most of the time, no socket: its client is the other end of a pair of
 * libevent's.
 */
#include <event2/bufferevent.h>
#include <jansson.h>

#include "tests/fuzz/world.h"

static struct bufferevent *client;

/* Takes the place of libevent's for a socket. */
static struct bufferevent *pair_new(struct event_base *base, evutil_socket_t fd, int options)
{
	struct bufferevent *pair[2];

	(void)fd;
	CHECK(!bufferevent_pair_new(base, options, pair));
	client = pair[1];
	return pair[0];
}

#define bufferevent_socket_new pair_new
#include "proxy/control/control.c"
#undef bufferevent_socket_new

#include "proxy/exchange/exchange.h"
#include "proxy/host/clients.h"
#include "proxy/host/keeper.h"
#include "proxy/settings.h"

#define LINES_MAX  12
#define PIECES	   8
#define ROUNDS_MAX 10000

uint32_t __wrap_clients_count(const struct clients *clients);
uint32_t __wrap_clients_kept(const struct clients *clients);
uint32_t __wrap_clients_waiting(const struct clients *clients);
uint64_t __wrap_clients_waited(const struct clients *clients);
bool __wrap_keeper_there(const struct keeper *keeper);
bool __wrap_keeper_foreign(const struct keeper *keeper);
const char *__wrap_exchange_hindrance(const struct exchange *exchange, const char *with,
				      bool reads);
const char *__wrap_exchange_begin(struct exchange *exchange, const char *with, bool reads,
				  const struct exchange_waiter *waiter, void *arg);
const char *__wrap_exchange_doing(const struct exchange *exchange);
bool __wrap_exchange_last(const struct exchange *exchange, struct exchange_result *result);

uint32_t __wrap_clients_count(const struct clients *clients)
{
	(void)clients;
	return 0;
}

uint32_t __wrap_clients_kept(const struct clients *clients)
{
	(void)clients;
	return 0;
}

bool __wrap_keeper_there(const struct keeper *keeper)
{
	(void)keeper;
	return false;
}

bool __wrap_keeper_foreign(const struct keeper *keeper)
{
	(void)keeper;
	return false;
}

uint32_t __wrap_clients_waiting(const struct clients *clients)
{
	(void)clients;
	return 0;
}

uint64_t __wrap_clients_waited(const struct clients *clients)
{
	(void)clients;
	return 0;
}

const char *__wrap_exchange_hindrance(const struct exchange *exchange, const char *with, bool reads)
{
	(void)exchange;
	(void)reads;
	return *with ? NULL : "it is not to be";
}

const char *__wrap_exchange_begin(struct exchange *exchange, const char *with, bool reads,
				  const struct exchange_waiter *waiter, void *arg)
{
	(void)exchange;
	(void)reads;
	(void)waiter;
	(void)arg;
	return *with ? with : "it is not to be";
}

const char *__wrap_exchange_doing(const struct exchange *exchange)
{
	(void)exchange;
	return NULL;
}

bool __wrap_exchange_last(const struct exchange *exchange, struct exchange_result *result)
{
	(void)exchange;
	(void)result;
	return false;
}

static struct controls controls;
static bool streamed;	     /* a trace has begun */
static size_t streamed_from; /* ... with which of the octets that the client is sent */

/* --- the client */

static struct evbuffer *replies(void)
{
	return bufferevent_get_input(client);
}

/* What the client will have been sent before the first frame of a trace. */
static void note_stream(void)
{
	const struct control *control = TAILQ_FIRST(&controls.open);

	if (streamed || !control || !control->ended)
		return;
	streamed = true;
	streamed_from = evbuffer_get_length(replies()) +
			evbuffer_get_length(bufferevent_get_output(control->bev));
}

static void judge_reply(const char *line, size_t len)
{
	json_t *reply = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL), *error;

	CHECK(json_is_object(reply));
	error = json_object_get(reply, "error");
	CHECK(!error == !!json_object_get(reply, "return"));
	if (error)
		CHECK(json_is_string(json_object_get(error, "class")) &&
		      json_is_string(json_object_get(error, "desc")));
	json_decref(reply);
}

/* Those that have come since this was called last. Return: how many there are. */
static uint32_t judge_replies(void)
{
	size_t len = evbuffer_get_length(replies());
	const char *at = (char *)evbuffer_pullup(replies(), -1), *end, *nl;
	uint32_t n = 0;

	if (!len)
		return 0;
	end = at + len;
	if (streamed && len > streamed_from) {
		watch_frames(&streamed, at + streamed_from, len - streamed_from);
		end = at + streamed_from;
	}
	for (; at < end; at = nl + 1, n++) {
		nl = memchr(at, '\n', (size_t)(end - at));
		CHECK(nl);
		judge_reply(at, (size_t)(nl - at));
	}
	evbuffer_drain(replies(), len);
	streamed_from = 0;
	return n;
}

/* --- xsproxyd */

static bool is_busy(void)
{
	return event_base_get_num_events(world.daemon.base, EVENT_BASE_COUNT_ACTIVE) ||
	       world.hostile.s->task.queued || world.innocent.s->task.queued;
}

static void run(void)
{
	for (int i = 0; is_busy(); i++) {
		CHECK(i < ROUNDS_MAX);
		event_base_loop(world.daemon.base, EVLOOP_NONBLOCK);
		note_stream();
		if (world.hostile.s->task.queued)
			party_turn(&world.hostile);
		if (world.innocent.s->task.queued)
			party_turn(&world.innocent);
	}
	if (streamed && session_state(world.innocent.s) == LEDGER_RUN)
		innocent_exchange(7);
}

/* The octets up to the last line that counts. */
static size_t cut(const uint8_t *data, size_t size)
{
	uint32_t lines = 0;

	for (size_t i = 0; i < size; i++)
		if (data[i] == '\n' && ++lines == LINES_MAX)
			return i + 1;
	return size;
}

/* How many lines there are, and whether one of them is longer than any may be. */
static uint32_t count_lines(const uint8_t *data, size_t size, bool *too_long)
{
	const uint8_t *end = data + size, *nl;
	uint32_t n = 0;

	*too_long = false;
	for (; (nl = memchr(data, '\n', (size_t)(end - data))); data = nl + 1, n++)
		*too_long |= nl - data >= LINE_MAX_OCTETS;
	*too_long |= end - data >= LINE_MAX_OCTETS;
	return n;
}

/* While the client is there still: all that it asked is answered, but for what must wait. */
static void judge(const uint8_t *data, size_t size)
{
	const struct control *control = TAILQ_FIRST(&controls.open);
	bool too_long;
	uint32_t lines = count_lines(data, size, &too_long), n = judge_replies();

	CHECK(n <= lines + too_long);
	if (too_long || streamed)
		return;
	CHECK(control);
	CHECK(control->busy ? n < lines : n == lines);
}

static void begin(void)
{
	/* What a reload finds wrong, on any machine. */
	static const struct settings settings = { .file = "/" };

	world_init();
	world.daemon.settings = &settings;
	/* The wait for a bridge, which there is not. */
	world.daemon.upstream = upstream_free(world.daemon.upstream);
	controls.daemon = &world.daemon;
	TAILQ_INIT(&controls.open);
}

FUZZ_BEGINS_WITH(begin)

/* The first octet says how large the pieces are, and whether the client reads while it writes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tape tape = { data, data + cut(data, size) };
	uint8_t how = tape_u8(&tape);
	size_t piece = 1u + how / 2 * 128u + tape_left(&tape) / PIECES, n;
	const uint8_t *octets = tape.at, *part;

	world_open(7);
	streamed = false;
	control_new(&controls, -1);
	CHECK(controls.count == 1);
	bufferevent_enable(client, how & 1 ? EV_WRITE : EV_WRITE | EV_READ);
	while ((n = tape_take(&tape, piece, &part)) && controls.count) {
		CHECK(!bufferevent_write(client, part, n));
		run();
	}
	bufferevent_enable(client, EV_READ);
	run();
	judge(octets, (size_t)(tape.at - octets));
	bufferevent_flush(client, EV_WRITE, BEV_FINISHED);
	run();
	judge_replies();
	while (controls.count)
		control_free(TAILQ_FIRST(&controls.open));
	bufferevent_free(client);

	/* Whatever was stopped goes on. */
	log_set_level(-1);
	session_resume(world.innocent.s);
	innocent_exchange(3);
	world_close();
	return 0;
}
