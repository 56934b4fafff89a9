// SPDX-License-Identifier: MIT
/*
 * CONTROL's strings to our requests and our replies to text, for any payload; also how replies and
 * errors are read. The first octet chooses the reply's type.
 */
#include <ctype.h>

#include "protocol/control_text.h"
#include "tests/fuzz/fuzz.h"

static void request(const struct message *msg)
{
	struct message out;
	uint32_t type = control_text_type(msg);

	CHECK(!type || message_is_ours(type) || type == MESSAGE_LIVE_UPDATE);
	if (!type || type == MESSAGE_LIVE_UPDATE)
		return;
	control_text_request(msg, &out);
	CHECK(out.hdr.type == type);
	CHECK(out.hdr.len <= msg->hdr.len && out.hdr.len <= XENSTORE_PAYLOAD_MAX);
	CHECK(out.hdr.req_id == msg->hdr.req_id && out.hdr.tx_id == msg->hdr.tx_id);
}

/* Replies of ours are made of terminated strings. */
static void reply(const struct message *msg, uint32_t type)
{
	struct message text = *msg;
	uint32_t len = text.hdr.len;

	if (len)
		text.payload[len - 1] = 0;
	if (control_text_reply(type, &text)) {
		CHECK(type == MESSAGE_GET_DOMAIN_WATCHES);
		return;
	}
	CHECK(text.hdr.len && text.hdr.len <= XENSTORE_PAYLOAD_MAX);
	CHECK(!text.payload[text.hdr.len - 1]);
	for (uint32_t i = 0; i + 1 < text.hdr.len; i++)
		CHECK(isprint(text.payload[i]) || text.payload[i] == '\n');
}

static void help(const struct message *msg)
{
	struct message text = *msg;

	control_text_is_help(msg);
	control_text_help(&text);
	CHECK(text.hdr.len <= XENSTORE_PAYLOAD_MAX);
	CHECK(text.hdr.len <= msg->hdr.len + CONTROL_TEXT_HELP_MAX);
	CHECK(text.hdr.len == XENSTORE_PAYLOAD_MAX || !text.payload[text.hdr.len - 1]);
}

static void strings(const struct message *msg)
{
	const char *vec[4];
	int n = message_strings(msg->payload, msg->hdr.len, vec, 4);

	CHECK(n >= 0 ? n <= 5 : msg->payload[msg->hdr.len - 1]);
	for (int i = 0; i < n && i < 4; i++)
		CHECK(vec[i] + strlen(vec[i]) < (const char *)msg->payload + msg->hdr.len);
	CHECK(message_error_parse(msg->payload, msg->hdr.len) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct message msg;
	struct tape tape = { data, data + size };
	uint32_t type = MESSAGE_QUIESCE + tape_u8(&tape) % (MESSAGE_OURS_END - MESSAGE_QUIESCE);
	const uint8_t *payload;

	msg.hdr = (struct xsd_sockmsg){ .type = XS_CONTROL, .req_id = 5, .tx_id = 6 };
	/* As received: what lies behind the payload is whatever was there before. */
	memset(msg.payload, 'x', sizeof(msg.payload));
	msg.hdr.len = (uint32_t)tape_take(&tape, XENSTORE_PAYLOAD_MAX, &payload);
	memcpy(msg.payload, payload, msg.hdr.len);
	request(&msg);
	reply(&msg, type);
	help(&msg);
	strings(&msg);
	return 0;
}
