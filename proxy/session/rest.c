// SPDX-License-Identifier: MIT
#include "proxy/session/rest.h"

#include <inttypes.h>
#include <stdio.h>

#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"

bool rest_is_due(const struct session *s)
{
	return s->daemon->paused || s->daemon->drains;
}

bool rest_request(const struct session *s, struct rest_request *out)
{
	uint32_t fill = word_get(&s->ledger->up_fill), of = 0;

	if (fill >= MESSAGE_HEADER)
		of = message_size(&s->ledger->up_hdr);
	/* A whole one waits for xenstored, not for the front. */
	if (!fill || fill == of || word_get(&s->ledger->up_sent))
		return false;
	*out = (struct rest_request){ .octets = fill,
				      .of = of,
				      .seconds = clock_seconds() - s->up_since };
	return true;
}

static void request_text(const struct rest_request *request, char *text)
{
	int n = snprintf(text, REST_TEXT_MAX,
			 "it is in the middle of a request for %" PRIu64 " s, %u ",
			 request->seconds, request->octets);

	if (request->of)
		snprintf(text + n, REST_TEXT_MAX - (size_t)n, "of %u octets", request->of);
	else
		snprintf(text + n, REST_TEXT_MAX - (size_t)n, "octets of its header");
}

static void running_text(const struct session *s, char *text)
{
	int unanswered = pending_upstream(s->ledger);
	struct rest_request request;

	if (s->fifo.waiting.replies)
		snprintf(text, REST_TEXT_MAX,
			 "it does not read: its ring is full, replies that wait: %u",
			 s->fifo.waiting.replies);
	else if (rest_request(s, &request))
		request_text(&request, text);
	else if (s->unbound && rings_is_mute(s->attach))
		snprintf(text, REST_TEXT_MAX, "it has closed its event channel");
	else if (s->unbound)
		snprintf(text, REST_TEXT_MAX, "xenstored has not bound its event channel");
	else if (unanswered)
		snprintf(text, REST_TEXT_MAX, "xenstored has not answered all of its requests: %d",
			 unanswered);
	else if (word_get(&s->ledger->up_fill))
		snprintf(text, REST_TEXT_MAX, "xenstored has not taken its request");
}

void rest_text(const struct session *s, char *text)
{
	const char *fault = session_fault(s);

	*text = '\0';
	switch (session_state(s)) {
	case LEDGER_ENDED:
		snprintf(text, REST_TEXT_MAX,
			 "it broke the protocol%s%s, and is ignored until it is released",
			 fault ? ": " : "", fault ? fault : "");
		break;
	case LEDGER_RESET:
		snprintf(text, REST_TEXT_MAX,
			 "it reconnects its ring, and xenstored has not answered");
		break;
	case LEDGER_RUN:
		running_text(s, text);
		break;
	case LEDGER_QUIET:
		if (word_get(&s->ledger->fifo_left))
			snprintf(text, REST_TEXT_MAX,
				 "its ring holds a part of an event, octets that are to follow: %u",
				 word_get(&s->ledger->fifo_left));
		break;
	default:
		break;
	}
}
