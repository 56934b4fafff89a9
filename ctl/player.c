// SPDX-License-Identifier: MIT
/*
 * player - see player.h.
 */
#include "ctl/player.h"

#include "ctl/player_same.h"
#include "migration/wire.h"
#include "protocol/clock.h"
#include "protocol/message.h"
#include "protocol/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 10000 /* for an answer */
#define HOME_MAX    sizeof("/local/domain/4294967295/")

struct player_tx {
	uint32_t theirs, ours;
	UT_hash_handle hh;
};

struct player_key {
	uint32_t domid, session;
};

struct player_session {
	struct player_key key;
	uint64_t last; /* its last frame, counted from 1 on */
	struct wire *wire;
	struct player_tx *txs;
	UT_hash_handle hh;
};

struct player {
	const char *socket;
	const struct interrupt *interrupt;
	player_differs_fn differs;
	void *arg;
	struct flow *flow;
	struct player_session *sessions;
	uint64_t seen, taken; /* frames */
	struct player_count count;
	int error; /* of what flow has given out */
};

static void on_exchange(void *arg, const struct exchange *exchange);

struct player *player_new(const char *socket, const struct interrupt *interrupt,
			  player_differs_fn differs, void *arg)
{
	struct player *player = calloc(1, sizeof(*player));

	if (!player)
		return NULL;
	*player = (struct player){
		.socket = socket, .interrupt = interrupt, .differs = differs, .arg = arg
	};
	player->flow = flow_new(on_exchange, player);
	if (player->flow)
		return player;
	free(player);
	return NULL;
}

/* --- sessions */

static void drop_tx(struct player_session *session, struct player_tx *tx)
{
	HASH_DEL(session->txs, tx);
	free(tx);
}

static void drop_all_tx(struct player_session *session)
{
	while (session->txs)
		drop_tx(session, session->txs);
}

static void drop_session(struct player *player, struct player_session *session)
{
	wire_free(session->wire);
	drop_all_tx(session);
	HASH_DEL(player->sessions, session);
	free(session);
}

void player_free(struct player *player)
{
	if (!player)
		return;
	while (player->sessions)
		drop_session(player, player->sessions);
	flow_free(player->flow);
	free(player);
}

static struct player_session *find_session(struct player *player, const struct frame *frame)
{
	struct player_key key = { frame->domid, frame->session };
	struct player_session *session;

	HASH_FIND(hh, player->sessions, &key, sizeof(key), session);
	return session;
}

static struct player_session *get_session(struct player *player, const struct frame *frame)
{
	struct player_session *session = find_session(player, frame);

	if (session)
		return session;
	session = calloc(1, sizeof(*session));
	if (!session)
		return NULL;
	session->key = (struct player_key){ frame->domid, frame->session };
	HASH_ADD(hh, player->sessions, key, sizeof(session->key), session);
	if (session->hh.tbl)
		return session;
	free(session);
	return NULL;
}

int player_see(struct player *player, const struct view *view)
{
	struct player_session *session;

	player->seen++;
	if (view->frame.kind != FRAME_REQUEST && view->frame.kind != FRAME_REPLY)
		return 0;
	session = get_session(player, &view->frame);
	if (!session)
		return -ENOMEM;
	session->last = player->seen;
	return 0;
}

static int connect_session(struct player *player, struct player_session *session)
{
	int r = session->wire ? 0 : wire_open(&session->wire, player->socket);

	if (!r)
		wire_set_patience(session->wire, player->interrupt, PATIENCE_MS);
	return r;
}

/* --- transactions */

static struct player_tx *find_tx(const struct player_session *session, uint32_t theirs)
{
	struct player_tx *tx;

	HASH_FIND(hh, session->txs, &theirs, sizeof(theirs), tx);
	return tx;
}

static int add_tx(struct player_session *session, uint32_t theirs, uint32_t ours)
{
	struct player_tx *tx = find_tx(session, theirs);

	if (tx)
		drop_tx(session, tx);
	tx = calloc(1, sizeof(*tx));
	if (!tx)
		return -ENOMEM;
	*tx = (struct player_tx){ .theirs = theirs, .ours = ours };
	HASH_ADD(hh, session->txs, theirs, sizeof(tx->theirs), tx);
	if (tx->hh.tbl)
		return 0;
	free(tx);
	return -ENOMEM;
}

/* The id that a reply to TRANSACTION_START has; 0: none. */
static uint32_t tx_of(const char *data, size_t len)
{
	char text[16] = "";
	unsigned long id;
	char *end;

	if (!len || len > sizeof(text) || data[len - 1])
		return 0;
	memcpy(text, data, len);
	errno = 0;
	id = strtoul(text, &end, 10);
	return errno || *end || id > UINT32_MAX ? 0 : (uint32_t)id;
}

/* What a request has done to the transactions of its session. */
static int follow_tx(struct player_session *session, const struct exchange *exchange,
		     const struct wire_reply *here)
{
	const struct view *request = exchange->request, *answer = exchange->answer;
	struct player_tx *tx;
	uint32_t theirs, ours;

	switch (request->msg.type) {
	case XS_TRANSACTION_START:
		theirs = view_is_error(answer) ? 0 : tx_of(answer->payload, answer->len);
		ours = here->err ? 0 : tx_of(here->data, here->len);
		return theirs && ours ? add_tx(session, theirs, ours) : 0;
	case XS_TRANSACTION_END:
		tx = find_tx(session, request->msg.tx_id);
		if (tx)
			drop_tx(session, tx);
		return 0;
	case XS_RESET_WATCHES:
		if (!here->err)
			drop_all_tx(session);
		return 0;
	default:
		return 0;
	}
}

/* --- what is played */

static bool is_played(uint32_t type)
{
	static const uint32_t types[] = {
		XS_DIRECTORY,
		XS_READ,
		XS_GET_PERMS,
		XS_WATCH,
		XS_UNWATCH,
		XS_TRANSACTION_START,
		XS_TRANSACTION_END,
		XS_GET_DOMAIN_PATH,
		XS_WRITE,
		XS_MKDIR,
		XS_RM,
		XS_SET_PERMS,
		XS_RESET_WATCHES,
		XS_DIRECTORY_PART,
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i] == type)
			return true;
	return false;
}

/* Whether it was refused what dom0 is not. */
static bool is_guests_refusal(const struct view *answer)
{
	int err;

	if (!answer->frame.domid || !view_is_error(answer))
		return false;
	err = message_error_parse((const uint8_t *)answer->payload, answer->len);
	return err == EACCES || err == EPERM || wire_is_limit(-err);
}

/* What a request is played with. */
struct payload {
	char octets[HOME_MAX + XENSTORE_PAYLOAD_MAX];
	size_t len;
};

static void put(struct payload *payload, const char *octets, size_t len)
{
	if (len)
		memcpy(payload->octets + payload->len, octets, len);
	payload->len += len;
}

/* How many octets of SET_PERMS are before the owner's number, and how many that has; 0: none. */
static size_t owner_of(const struct view *request, size_t *at)
{
	const char *nul = memchr(request->payload, 0, request->len);
	size_t len = 0;

	if (request->msg.type != XS_SET_PERMS || !nul)
		return 0;
	*at = (size_t)(nul - request->payload) + 2; /* the NUL and the letter */
	while (*at + len < request->len && request->payload[*at + len])
		len++;
	return len;
}

/* Its path is made absolute, and dom0 the owner of what has another one: that need not be there. */
static void make_payload(struct payload *payload, const struct view *request)
{
	const struct message_info *info = message_info(request->msg.type);
	const char *octets = request->payload;
	size_t len, at = 0;

	payload->len = 0;
	if (request->frame.domid && info && *info->request == 'p' &&
	    !(request->len && (*octets == '/' || *octets == '@')))
		payload->len = (size_t)snprintf(payload->octets, HOME_MAX, "/local/domain/%u/",
						request->frame.domid);
	len = owner_of(request, &at);
	if (len) {
		put(payload, octets, at);
		put(payload, "0", 1);
	}
	put(payload, octets + at + len, request->len - at - len);
}

/* Return: whether it is to be played; if not it has been counted. */
static bool choose(struct player *player, const struct player_session *session,
		   const struct exchange *exchange, size_t size)
{
	const struct view *request = exchange->request, *answer = exchange->answer;
	enum player_left left;

	if (!is_played(request->msg.type))
		left = PLAYER_OTHER;
	else if (!answer)
		left = PLAYER_UNANSWERED;
	else if (view_cut(request) || size > XENSTORE_PAYLOAD_MAX)
		left = PLAYER_CUT;
	else if (is_guests_refusal(answer))
		left = PLAYER_REFUSED;
	else if (request->msg.tx_id && !find_tx(session, request->msg.tx_id))
		left = PLAYER_TRANSACTION;
	else
		return true;
	player->count.left[left]++;
	return false;
}

static void tell(struct player *player, const struct exchange *exchange,
		 const struct wire_reply *reply, uint64_t took)
{
	struct view here = { .frame = exchange->answer->frame, .msg = exchange->answer->msg };
	const char *data = reply->err ? message_error_name(-reply->err) : reply->data;
	size_t len = reply->err ? strlen(data) + 1 : reply->len;

	here.frame.took = here.frame.upstream = took;
	here.msg.type = reply->err ? XS_ERROR : exchange->request->msg.type;
	here.msg.len = (uint32_t)len;
	here.payload = data;
	here.len = (uint32_t)(len < XENSTORE_PAYLOAD_MAX ? len : XENSTORE_PAYLOAD_MAX);
	player->differs(player->arg, exchange, &here);
}

static int ask(struct player_session *session, const struct view *request, struct payload *payload,
	       struct wire_reply *reply)
{
	struct iovec part = { payload->octets, payload->len };
	const struct player_tx *tx = find_tx(session, request->msg.tx_id);
	int r;

	*reply = (struct wire_reply){ .data = "" };
	r = wire_call(session->wire, request->msg.type, tx ? tx->ours : 0, &part, 1, reply);
	if (r && (r == -ENOMEM || !wire_answered(r)))
		return r;
	reply->err = r;
	return 0;
}

static int play(struct player *player, const struct exchange *exchange)
{
	const struct view *request = exchange->request;
	struct player_session *session = get_session(player, &request->frame);
	struct payload payload;
	uint64_t begin = clock_monotonic(), took;
	struct wire_reply reply;
	int r;

	if (!session)
		return -ENOMEM;
	make_payload(&payload, request);
	if (!choose(player, session, exchange, payload.len))
		return 0;
	r = connect_session(player, session);
	if (!r)
		r = ask(session, request, &payload, &reply);
	if (r)
		return r;
	took = clock_monotonic() - begin;
	player->count.played++;
	r = player_same(request->msg.type, exchange->answer, &reply);
	if (r < 0)
		return r;
	if (!r) {
		player->count.different++;
		tell(player, exchange, &reply, took);
	}
	return follow_tx(session, exchange, &reply);
}

static void on_exchange(void *arg, const struct exchange *exchange)
{
	struct player *player = arg;

	if (exchange->answer && exchange->answer->frame.kind == FRAME_LOST)
		player->count.lost += exchange->answer->frame.number;
	if (exchange->request && !player->error)
		player->error = play(player, exchange);
}

int player_take(struct player *player, const struct view *view)
{
	struct player_session *session;
	int r = flow_take(player->flow, view);

	player->taken++;
	session = r || view->frame.kind == FRAME_LOST ? NULL : find_session(player, &view->frame);
	if (session && session->last == player->taken)
		drop_session(player, session);
	return r ? r : player->error;
}

int player_end(struct player *player)
{
	flow_end(player->flow);
	return player->error;
}

const struct player_count *player_count(const struct player *player)
{
	return &player->count;
}
