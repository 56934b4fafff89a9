// SPDX-License-Identifier: MIT
#include "protocol/control_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	uint32_t type;
	const char *arguments;
} commands[] = {
#define OURS(number, name, function, who, word, arguments, ...) { word, MESSAGE_##name, arguments },
#include "protocol/requests.def"
	/* It would be executed behind our back (toolstack/update.h); help has xenstored's own line.
	 */
	{ "live-update", MESSAGE_LIVE_UPDATE, NULL },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* As large as our part of the help: each command with a blank, and a newline before it. */
struct help {
#define OURS(number, name, function, who, word, arguments, ...) \
	char function[sizeof(word) + sizeof(arguments)];
#include "protocol/requests.def"
};

_Static_assert(sizeof(struct help) < CONTROL_TEXT_HELP_MAX, "our part of the help has room");

/* The first string of a CONTROL payload, and where the arguments start; NULL if unterminated. */
static const char *command(const void *payload, uint32_t len, uint32_t *rest)
{
	const char *nul = memchr(payload, 0, len);

	if (!nul)
		return NULL;
	*rest = (uint32_t)(nul - (const char *)payload) + 1;
	return payload;
}

uint32_t control_text_named(const void *payload, uint32_t len)
{
	uint32_t rest;
	const char *name = command(payload, len, &rest);

	for (size_t i = 0; name && i < NR_COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].type;
	return 0;
}

uint32_t control_text_type(const struct message *msg)
{
	return msg->hdr.type == XS_CONTROL ? control_text_named(msg->payload, msg->hdr.len) : 0;
}

void control_text_request(const struct message *msg, struct message *out)
{
	uint32_t rest = 0, len;

	command(msg->payload, msg->hdr.len, &rest);
	len = msg->hdr.len - rest;
	out->hdr = msg->hdr;
	out->hdr.type = control_text_type(msg);
	message_set_text(out, msg->payload + rest, len);
	/* The index may be left out on a command line. */
	if (out->hdr.type == MESSAGE_GET_DOMAIN_WATCHES && len && len < sizeof(out->payload) - 2 &&
	    memchr(out->payload, 0, len) == out->payload + len - 1) {
		memcpy(out->payload + len, "0", 2);
		out->hdr.len = len + 2;
	}
}

/* Append a string as printable text; a blank separates, so one inside is escaped like the rest. */
static uint32_t escape(char *to, const char *text)
{
	uint32_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c > ' ' && c < 0x7f && c != '\\')
			to[n++] = (char)c;
		else
			n += (uint32_t)sprintf(to + n, "\\x%02x", c);
	}
	return n;
}

int control_text_reply(uint32_t type, struct message *msg)
{
	/* A watch is a line of path and token; everything else is a line a string. */
	bool pairs = type == MESSAGE_GET_DOMAIN_WATCHES;
	char out[XENSTORE_PAYLOAD_MAX], line[4 * XENSTORE_PAYLOAD_MAX + 8];
	const char *text = (const char *)msg->payload, *end = text + msg->hdr.len;
	uint32_t n = 0, strings = 0;

	while (text < end) {
		uint32_t len = escape(line, text);

		text += strlen(text) + 1;
		if (pairs && strings && text < end) {
			line[len++] = ' ';
			len += escape(line + len, text);
			text += strlen(text) + 1;
		}
		strings++;
		line[len++] = '\n';
		if (n + len >= sizeof(out)) {
			if (pairs && strings == 2)
				return -E2BIG;
			break;
		}
		memcpy(out + n, line, len);
		n += len;
	}
	if (n)
		n--; /* the tool ends the last line */
	out[n++] = '\0';
	message_set_text(msg, out, n);
	return 0;
}

bool control_text_is_help(const struct message *msg)
{
	uint32_t rest;
	const char *name = command(msg->payload, msg->hdr.len, &rest);

	/* With arguments it is somebody else's idea of help. */
	return name && rest == msg->hdr.len && !strcmp(name, "help");
}

void control_text_help(struct message *msg)
{
	uint32_t n = msg->hdr.len, limit;

	while (n && !msg->payload[n - 1])
		n--;
	if (n == sizeof(msg->payload))
		return;
	limit = n + CONTROL_TEXT_HELP_MAX;
	if (limit > sizeof(msg->payload))
		limit = sizeof(msg->payload);
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		int len;

		if (!commands[i].arguments)
			continue;
		len = snprintf((char *)msg->payload + n, limit - n, "%s%s %s",
			       n && msg->payload[n - 1] != '\n' ? "\n" : "", commands[i].name,
			       commands[i].arguments);
		if (n + (uint32_t)len >= limit)
			break;
		n += (uint32_t)len;
	}
	msg->payload[n++] = '\0';
	msg->hdr.len = n;
}

enum control_text_quota control_text_quota(const struct message *msg)
{
	uint32_t rest;
	const char *name = command(msg->payload, msg->hdr.len, &rest);

	if (!name || strcmp(name, "quota") != 0)
		return CONTROL_TEXT_QUOTA_NOT;
	if (rest == msg->hdr.len)
		return CONTROL_TEXT_QUOTA_SHOW;
	/* With a domid it shows what that domain has. */
	return msg->hdr.len - rest >= sizeof("set") && !memcmp(msg->payload + rest, "set", 4)
		       ? CONTROL_TEXT_QUOTA_SET
		       : CONTROL_TEXT_QUOTA_NOT;
}

uint32_t control_text_quota_watches(const struct message *msg)
{
	static const char name[] = "watches";
	char text[XENSTORE_PAYLOAD_MAX + 1], *line, *next, *rest;

	memcpy(text, msg->payload, msg->hdr.len);
	text[msg->hdr.len] = '\0';
	for (line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		line += strspn(line, " ");
		if (strncmp(line, name, sizeof(name) - 1) != 0)
			continue;
		rest = line + sizeof(name) - 1;
		rest += strspn(rest, " ");
		if (*rest == ':')
			return (uint32_t)strtoul(rest + 1, NULL, 10);
	}
	return 0;
}
