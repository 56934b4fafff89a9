// SPDX-License-Identifier: MIT
/*
 * urge - see urge.h.
 *
 * While the C daemon waits for transactions to end, it lets nobody open one; so it is asked for a
 * few seconds at a time. It answers when these are over. oxenstored answers BUSY at once, looks
 * again whenever something wakes it, and has what it found when it is asked the next time.
 */
#include "ctl/urge.h"

#include "protocol/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#define ATTEMPT_S 3u
#define PAUSE_MS  1000u /* from one to the next, in which others' transactions begin and end */
#define TICK_MS	  100
#define LATE_MS	  60000u /* after that long without a word nobody knows what it does */
#define REVOKE_MS 5000
#define BACK_MS	  5000u /* xsproxyd has said before that why it is native again */

#define MS(ms)	  ((uint64_t)(ms)*CLOCK_NS_OF_MS)

struct urge {
	const struct urge_request *request;
	struct wire *wire;
	uint64_t deadline; /* ns of CLOCK_MONOTONIC: of all attempts */
	uint64_t end;	   /* of this one */
	uint64_t back;	   /* the C daemon has done it, and is there again; 0: no */
	bool last;	   /* there is none after it */
	bool answered;	   /* it has come to nothing */
	bool asked;	   /* oxenstored: what it has come to */
	bool refused;	   /* no attempt will come to anything */
	bool gone;	   /* the daemon, as far as our connection to it goes */
	char who[512];	   /* in the way, at the end of the last one */
	char why[640];	   /* nothing comes of it */
};

static bool is_readable(int fd)
{
	struct pollfd look = { .fd = fd, .events = POLLIN };

	return poll(&look, 1, 0) > 0;
}

/* --- what is asked, and answered */

static bool is_word(const struct wire_reply *reply, const char *word)
{
	return !reply->err && strnlen(reply->data, reply->len) == strlen(word) &&
	       !strncmp(reply->data, word, strlen(word));
}

static void note(struct urge *urge, const struct wire_reply *reply)
{
	if (reply->err)
		snprintf(urge->who, sizeof(urge->who), "%s", report_reason(reply->err));
	else
		urge_blame(reply->data, reply->len, urge->who, sizeof(urge->who));
}

static int on_program(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	struct urge *urge = arg;

	(void)tag;
	urge->refused = !is_word(reply, "OK");
	if (urge->refused)
		note(urge, reply);
	return 0;
}

/* OK is the C daemon's word in its state: who says it is what has become of that. */
static int on_start(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	struct urge *urge = arg;

	(void)tag;
	urge->asked = false;
	if (urge->request->kind == PROGRAM_C && is_word(reply, "OK"))
		urge->back = clock_monotonic();
	if (urge->refused || is_word(reply, "OK") || is_word(reply, "BUSY"))
		return 0;
	urge->answered = true;
	urge->refused = reply->err;
	note(urge, reply);
	return 0;
}

static int ask(struct urge *urge, const char *const *words, int nr, wire_fn fn)
{
	struct iovec parts[6] = { wire_string("live-update") };

	for (int i = 0; i < nr; i++)
		parts[i + 1] = wire_string(words[i]);
	return wire_send(urge->wire, XS_CONTROL, 0, parts, nr + 1, fn, urge, 0);
}

static int ask_start(struct urge *urge, uint64_t seconds)
{
	bool force = urge->last && urge->request->force && urge->request->kind == PROGRAM_C;
	char number[16];
	const char *const words[] = { "-s", "-t", number, "-F" };

	snprintf(number, sizeof(number), "%" PRIu64, seconds);
	urge->asked = true;
	return ask(urge, words, force ? 4 : 3, on_start);
}

/* One more attempt. Both in one write: between them the C daemon would hold everybody back. */
static int begin(struct urge *urge)
{
	const char *const words[] = { "-f", urge->request->program };
	uint64_t now = clock_monotonic(), left = urge->deadline > now ? urge->deadline - now : 0;
	uint64_t seconds = ATTEMPT_S;
	int r = ask(urge, words, 2, on_program);

	urge->last = left <= MS(ATTEMPT_S * 1000u);
	if (urge->last)
		seconds = (left + MS(1000u) - 1) / MS(1000u);
	urge->answered = false;
	urge->end = now + MS(seconds * 1000u);
	return r ? r : ask_start(urge, seconds);
}

/* oxenstored looks only when something comes; that it has given up it says only when asked. */
static int remind(struct urge *urge)
{
	const struct iovec domid = wire_string("0");

	if (urge->request->kind == PROGRAM_C || urge->gone || urge->asked)
		return 0;
	if (clock_monotonic() > urge->end)
		return ask_start(urge, 0);
	return wire_send(urge->wire, XS_GET_DOMAIN_PATH, 0, &domid, 1, NULL, NULL, 0);
}

/* --- how it ends for no good */

static int fail(struct urge *urge, int err, const char *what, const char *more)
{
	snprintf(urge->why, sizeof(urge->why), "%s%s", what, more);
	return err;
}

static int give_up(struct urge *urge)
{
	const char *more = urge->refused ? ""
			   : urge->request->kind == PROGRAM_OX
				   ? "; try again, or see --timeout"
				   : "; try again, or see --timeout and "
				     "--force";

	return fail(urge, urge->refused ? -EREMOTEIO : -EBUSY, urge->who, more);
}

/* --- */

/* Wait for either of them. Return: 0, -EINTR or -ENOMEM. */
static int wait_a_moment(struct urge *urge)
{
	const struct urge_request *request = urge->request;
	struct pollfd look = { .fd = request->control, .events = POLLIN };
	int r;

	if (urge->gone) {
		r = interrupt_poll(request->interrupt, &look, 1, TICK_MS);
		return r == -EINTR ? r : 0;
	}
	r = wire_wait(urge->wire);
	if (r == -ETIMEDOUT)
		r = remind(urge);
	if (r == -EINTR || r == -ENOMEM)
		return r;
	/* Once it is on its way to xsproxyd it may close what it had, ours too. */
	urge->gone = r && r != -EAGAIN;
	return 0;
}

/* What has come in this moment. Return: 0: go on; or a negative errno, and why is said. */
static int step(struct urge *urge)
{
	uint64_t now = clock_monotonic();

	if (urge->refused || (urge->answered && urge->last))
		return give_up(urge);
	if (urge->back && now > urge->back + MS(BACK_MS))
		return fail(urge, -ECANCELED, "its live update has come back to it; see its log",
			    "");
	if (!urge->answered && now > urge->end + MS(LATE_MS))
		return fail(urge, -ETIMEDOUT, "no answer in time", "");
	if (urge->answered && !urge->gone && now > urge->end + MS(PAUSE_MS))
		return begin(urge);
	return 0;
}

int urge_run(const struct urge_request *request, struct wire *wire)
{
	struct urge urge = { .request = request, .wire = wire };
	int r;

	urge.deadline = clock_monotonic() + MS(request->timeout_s * 1000ull);
	wire_set_patience(wire, request->interrupt, TICK_MS);
	r = begin(&urge);
	while (!r) {
		r = wait_a_moment(&urge);
		/* What xsproxyd says goes before: then the daemon's words are another one's. */
		if (is_readable(request->control))
			return 0;
		if (!r)
			r = step(&urge);
	}
	return report_fail(request->report, r,
			   "xenstored does not hand over its state: %s; all goes on as before",
			   *urge.why ? urge.why : report_reason(r));
}

/* --- taking it back */

static int round_trip(enum program_kind kind, struct wire *wire)
{
	const struct iovec abort[] = { wire_string("live-update"), wire_string("-a") };
	const struct iovec domid = wire_string("0");
	int r;

	wire_set_patience(wire, NULL, REVOKE_MS);
	r = kind == PROGRAM_OX ? wire_call(wire, XS_CONTROL, 0, abort, 2, NULL)
			       : wire_call(wire, XS_GET_DOMAIN_PATH, 0, &domid, 1, NULL);
	return wire_answered(r) ? 0 : r;
}

/*
 * oxenstored is told, and by the same connection, for it may not have read all that was asked
 * there. To the C daemon all is over with the connection: once it answers on another one it has
 * seen that.
 */
int urge_revoke(enum program_kind kind, struct wire *wire, const char *socket)
{
	int r = -ENOTCONN;

	if (wire && kind == PROGRAM_OX) {
		wire_forget(wire);
		r = round_trip(kind, wire);
	}
	wire_free(wire);
	if (!r)
		return 0;
	wire = NULL;
	r = wire_open(&wire, socket);
	if (!r)
		r = round_trip(kind, wire);
	wire_free(wire);
	return r;
}
