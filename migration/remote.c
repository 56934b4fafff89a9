// SPDX-License-Identifier: MIT
/*
 * remote - see remote.h.
 */
#include "migration/remote.h"

#include "migration/report.h"
#include "protocol/clock.h"
#include "protocol/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#define NUMBER_MAX   sizeof("4294967295") /* NUL included */
#define RESTARTS_MAX 16
#define RETRY_MS     50
#define NS_OF_A_MS   1000000u

struct number {
	char text[NUMBER_MAX];
};

static struct iovec number_part(struct number *number, uint32_t value)
{
	snprintf(number->text, sizeof(number->text), "%" PRIu32, value);
	return wire_string(number->text);
}

/* A request whose payload is nothing but a domid. */
static int call_domid(struct wire *wire, uint32_t type, uint16_t domid, struct wire_reply *reply)
{
	struct number text;
	struct iovec part = number_part(&text, domid);

	return wire_call(wire, type, 0, &part, 1, reply);
}

static int call_number(struct wire *wire, uint32_t type, uint16_t domid, uint32_t number,
		       struct wire_reply *reply)
{
	struct number texts[2];
	struct iovec parts[] = { number_part(&texts[0], domid), number_part(&texts[1], number) };

	return wire_call(wire, type, 0, parts, 2, reply);
}

/* Whether a reply is made of strings that end in NUL. */
static bool is_strings(const struct wire_reply *reply)
{
	return !reply->len || !reply->data[reply->len - 1];
}

/* Connect, and see that somebody answers: a request that every xsproxyd refuses. */
static int connect_once(struct wire **wire, const char *path, int timeout_ms)
{
	int r = wire_open(wire, path);

	if (r)
		return r;
	wire_set_patience(*wire, NULL, timeout_ms);
	r = wire_call(*wire, MESSAGE_GET_DOMAIN_STATE, 0, NULL, 0, NULL);
	if (wire_answered(r))
		return 0;
	wire_free(*wire);
	*wire = NULL;
	return r;
}

int remote_reconnect(struct wire **wire, const char *path, int timeout_ms)
{
	uint64_t end = clock_monotonic() + (uint64_t)timeout_ms * NS_OF_A_MS;
	int r;

	wire_free(*wire);
	*wire = NULL;
	while ((r = connect_once(wire, path, timeout_ms)) && clock_monotonic() < end)
		poll(NULL, 0, RETRY_MS);
	return r;
}

int remote_is_introduced(struct wire *wire, uint16_t domid, bool *is)
{
	struct wire_reply reply;
	int r = call_domid(wire, XS_IS_DOMAIN_INTRODUCED, domid, &reply);

	*is = !r && reply.len && reply.data[0] == 'T';
	return r;
}

int remote_get_state(struct wire *wire, uint16_t domid, enum remote_state *state)
{
	static const char *const words[] = {
		[REMOTE_RUNNING] = "running",
		[REMOTE_QUIESCED] = "quiesced",
		[REMOTE_HELD] = "held",
		[REMOTE_ENDED] = "ended",
	};
	struct wire_reply reply;
	int r = call_domid(wire, MESSAGE_GET_DOMAIN_STATE, domid, &reply);

	if (r)
		return r;
	if (!reply.len || !is_strings(&reply))
		return -EPROTO;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(reply.data, words[i]))
			continue;
		*state = (enum remote_state)i;
		return 0;
	}
	return -EPROTO;
}

/* An octet that is no string, for oxenstored hangs on no payload over a socket. */
int remote_fears_any(struct wire *wire, bool *fears)
{
	static const struct iovec nothing = { "0", 1 };
	struct wire_reply reply;
	int r = wire_call(wire, MESSAGE_GET_FEATURE, 0, &nothing, 1, &reply);

	*fears = !r && reply.len && is_strings(&reply) &&
		 (strtoul(reply.data, NULL, 10) & MESSAGE_FEATURE_DOMID_ANY);
	return r && !wire_answered(r) ? r : 0;
}

int remote_get_why(struct wire *wire, uint16_t domid, char text[static REMOTE_WHY_MAX])
{
	struct number number;
	struct iovec parts[] = { number_part(&number, domid), wire_string("why") };
	struct wire_reply reply;
	int r = wire_call(wire, MESSAGE_GET_DOMAIN_STATE, 0, parts, 2, &reply);
	const char *why;

	if (r)
		return r;
	if (!reply.len || !is_strings(&reply))
		return -EPROTO;
	why = reply.data + strlen(reply.data) + 1;
	if (why >= reply.data + reply.len)
		return -EPROTO;
	snprintf(text, REMOTE_WHY_MAX, "%s", why);
	return 0;
}

int remote_quiesce(struct wire *wire, uint16_t domid)
{
	return call_domid(wire, MESSAGE_QUIESCE, domid, NULL);
}

int remote_lease(struct wire *wire, uint16_t domid)
{
	struct number text;
	struct iovec parts[] = { number_part(&text, domid), wire_string("lease") };

	return wire_call(wire, MESSAGE_QUIESCE, 0, parts, 2, NULL);
}

int remote_unquiesce(struct wire *wire, uint16_t domid)
{
	return call_domid(wire, MESSAGE_UNQUIESCE, domid, NULL);
}

int remote_hold(struct wire *wire, uint16_t domid)
{
	return call_domid(wire, MESSAGE_HOLD, domid, NULL);
}

int remote_reset(struct wire *wire, uint16_t domid)
{
	return call_domid(wire, MESSAGE_RESET_DOMAIN, domid, NULL);
}

/* --- watches */

/*
 * A page is <gencnt>| and pairs of strings. A pair with an empty path, which no watch can have, is
 * not a watch: its second string is the depth of the watch that follows.
 */
static size_t count_watches(const char *octets, size_t len)
{
	size_t strings = 0, markers = 0;

	for (size_t at = 0; at < len; at += strlen(octets + at) + 1, strings++)
		markers += strings % 2 == 0 && !octets[at];
	return strings / 2 - markers;
}

static bool is_pairs(const char *octets, size_t len)
{
	size_t strings = 0;

	for (size_t i = 0; i < len; i++)
		strings += !octets[i];
	return strings % 2 == 0;
}

/*
 * Append the page that begins with watch number @watches->nr. Return: 1; 0 if there are no more;
 * -ESTALE if the list is no longer the one that @gencnt belongs to.
 */
static int get_page(struct wire *wire, uint16_t domid, struct remote_watches *watches,
		    struct number *gencnt)
{
	struct wire_reply reply;
	size_t head, nr;
	char *octets;
	int r = call_number(wire, MESSAGE_GET_DOMAIN_WATCHES, domid, (uint32_t)watches->nr, &reply);

	if (r)
		return r;
	if (!reply.len || !is_strings(&reply))
		return -EPROTO;
	head = strlen(reply.data) + 1;
	if (head > sizeof(gencnt->text) || !is_pairs(reply.data + head, reply.len - head))
		return -EPROTO;
	if (!watches->nr)
		strcpy(gencnt->text, reply.data);
	else if (strcmp(gencnt->text, reply.data))
		return -ESTALE;
	if (reply.len == head)
		return 0;
	nr = count_watches(reply.data + head, reply.len - head);
	if (!nr)
		return -EPROTO;
	octets = realloc(watches->octets, watches->len + reply.len - head);
	if (!octets)
		return -ENOMEM;
	memcpy(octets + watches->len, reply.data + head, reply.len - head);
	watches->octets = octets;
	watches->len += reply.len - head;
	watches->nr += nr;
	return 1;
}

/* Fill in the list over all that was read. */
static int list_watches(struct remote_watches *watches)
{
	const char *at = watches->octets, *depth = NULL;
	struct remote_watch *watch;

	if (!watches->nr)
		return 0;
	watches->list = calloc(watches->nr, sizeof(*watches->list));
	if (!watches->list)
		return -ENOMEM;
	for (watch = watches->list; watch < watches->list + watches->nr;) {
		const char *second = at + strlen(at) + 1;

		if (*at) {
			*watch++ = (struct remote_watch){ at, second, depth };
			depth = NULL;
		} else {
			depth = second;
		}
		at = second + strlen(second) + 1;
	}
	return 0;
}

void remote_watches_free(struct remote_watches *watches)
{
	free(watches->list);
	free(watches->octets);
	*watches = (struct remote_watches){ 0 };
}

int remote_get_watches(struct wire *wire, uint16_t domid, struct remote_watches *watches)
{
	struct number gencnt;
	int r = -ESTALE;

	*watches = (struct remote_watches){ 0 };
	for (int i = 0; r == -ESTALE && i < RESTARTS_MAX; i++) {
		remote_watches_free(watches);
		do
			r = get_page(wire, domid, watches, &gencnt);
		while (r > 0);
	}
	if (!r)
		r = list_watches(watches);
	if (r)
		remote_watches_free(watches);
	return r;
}

size_t remote_watches_max(uint16_t domid)
{
	struct number text;

	return XENSTORE_PAYLOAD_MAX - number_part(&text, domid).iov_len;
}

int remote_add_watches(struct wire *wire, uint16_t domid, const char *pairs, size_t len)
{
	struct number text;
	struct iovec parts[] = { number_part(&text, domid), { (char *)pairs, len } };

	return wire_call(wire, MESSAGE_ADD_DOMAIN_WATCHES, 0, parts, 2, NULL);
}

/* --- transactions */

int remote_get_transactions(struct wire *wire, uint16_t domid,
			    struct remote_transactions *transactions)
{
	struct wire_reply reply;
	size_t nr = 0;
	uint32_t *ids;
	int r = call_domid(wire, MESSAGE_GET_DOMAIN_TRANSACTIONS, domid, &reply);

	*transactions = (struct remote_transactions){ 0 };
	if (r)
		return r;
	if (!is_strings(&reply))
		return -EPROTO;
	if (!reply.len)
		return 0;
	ids = calloc(reply.len, sizeof(*ids)); /* more than there can be */
	if (!ids)
		return -ENOMEM;
	for (const char *at = reply.data; at < reply.data + reply.len; at += strlen(at) + 1) {
		char *end;
		unsigned long id = strtoul(at, &end, 10);

		if (end == at || *end || !id || id > UINT32_MAX) {
			free(ids);
			return -EPROTO;
		}
		ids[nr++] = (uint32_t)id;
	}
	*transactions = (struct remote_transactions){ ids, nr };
	return 0;
}

int remote_start_transaction(struct wire *wire, uint16_t domid, uint32_t id)
{
	return call_number(wire, MESSAGE_START_DOMAIN_TRANSACTION, domid, id, NULL);
}

const char *remote_reason(int err)
{
	switch (-err) {
	case ENOENT:
		return "it is not introduced (see xl list)";
	case EACCES:
		return "only dom0 may";
	case EINVAL:
		return "xsproxyd does not do that for this domain";
	case ENOSYS:
		return "the socket is not xsproxyd's; start xsproxyd or name its socket by "
		       "--socket";
	case EBUSY:
		return "the guest does not come to rest; try again while its vCPUs run";
	case ESTALE:
		return "the list keeps changing; stop who adds watches and try again";
	case ECONNRESET:
	case EPIPE:
		return "xsproxyd closed the connection; see its log";
	default:
		return report_reason(err);
	}
}

const char *remote_quiesce_reason(struct wire *wire, uint16_t domid, int err,
				  char text[static REMOTE_WHY_MAX])
{
	if (err != -EBUSY || remote_get_why(wire, domid, text) || !*text)
		return remote_reason(err);
	return text;
}
