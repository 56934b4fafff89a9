// SPDX-License-Identifier: MIT
#include "protocol/message.h"

#include <string.h>

static const char *const wire_names[] = {
	[XS_CONTROL] = "CONTROL",
	[XS_DIRECTORY] = "DIRECTORY",
	[XS_READ] = "READ",
	[XS_GET_PERMS] = "GET_PERMS",
	[XS_WATCH] = "WATCH",
	[XS_UNWATCH] = "UNWATCH",
	[XS_TRANSACTION_START] = "TRANSACTION_START",
	[XS_TRANSACTION_END] = "TRANSACTION_END",
	[XS_INTRODUCE] = "INTRODUCE",
	[XS_RELEASE] = "RELEASE",
	[XS_GET_DOMAIN_PATH] = "GET_DOMAIN_PATH",
	[XS_WRITE] = "WRITE",
	[XS_MKDIR] = "MKDIR",
	[XS_RM] = "RM",
	[XS_SET_PERMS] = "SET_PERMS",
	[XS_WATCH_EVENT] = "WATCH_EVENT",
	[XS_ERROR] = "ERROR",
	[XS_IS_DOMAIN_INTRODUCED] = "IS_DOMAIN_INTRODUCED",
	[XS_RESUME] = "RESUME",
	[XS_SET_TARGET] = "SET_TARGET",
	[XS_RESET_WATCHES] = "RESET_WATCHES",
	[XS_DIRECTORY_PART] = "DIRECTORY_PART",
};

static const char *const our_names[] = {
	"QUIESCE",
	"ADD_DOMAIN_WATCHES",
	"GET_DOMAIN_WATCHES",
	"START_DOMAIN_TRANSACTION",
	"UNQUIESCE",
	"HOLD",
	"GET_DOMAIN_TRANSACTIONS",
	"GET_DOMAIN_STATE",
	"RESET_DOMAIN",
};

_Static_assert(sizeof(our_names) / sizeof(our_names[0]) == MESSAGE_OURS_END - MESSAGE_QUIESCE,
	       "every request of ours has a name");

#define NR_ERRORS (sizeof(xsd_errors) / sizeof(xsd_errors[0]))

/* Not in xsd_errors, but oxenstored says it: EDQUOT. */
static const char equota[] = "EQUOTA";

const char *message_name(uint32_t type)
{
	const char *name = NULL;

	if (type < sizeof(wire_names) / sizeof(wire_names[0]))
		name = wire_names[type];
	else if (message_is_ours(type))
		name = our_names[type - MESSAGE_QUIESCE];
	return name ? name : "UNKNOWN";
}

const char *message_error_name(int err)
{
	for (size_t i = 0; i < NR_ERRORS; i++)
		if (xsd_errors[i].errnum == err)
			return xsd_errors[i].errstring;
	return err == EDQUOT ? equota : "EINVAL";
}

const char *message_error_at(uint32_t index)
{
	if (index < NR_ERRORS)
		return xsd_errors[index].errstring;
	return index == NR_ERRORS ? equota : NULL;
}

uint32_t message_error_index(int err)
{
	for (uint32_t i = 0; i < NR_ERRORS; i++)
		if (xsd_errors[i].errnum == err)
			return i;
	return err == EDQUOT ? NR_ERRORS : UINT32_MAX;
}

int message_error_parse(const uint8_t *payload, uint32_t len)
{
	for (size_t i = 0; i < NR_ERRORS; i++) {
		size_t n = strlen(xsd_errors[i].errstring);

		if (len >= n && len <= n + 1 && !memcmp(payload, xsd_errors[i].errstring, n))
			return xsd_errors[i].errnum;
	}
	if (len >= strlen(equota) && !memcmp(payload, equota, strlen(equota)))
		return EDQUOT;
	return EIO;
}

void message_set_error(struct message *msg, int err)
{
	const char *name = message_error_name(err);

	msg->hdr.type = XS_ERROR;
	message_set_text(msg, name, strlen(name) + 1);
}

void message_set_text(struct message *msg, const void *text, uint32_t len)
{
	msg->hdr.len = len;
	memcpy(msg->payload, text, len);
}

int message_strings(const uint8_t *payload, uint32_t len, const char **vec, int max)
{
	const char *p = (const char *)payload, *end = p + len;
	int n = 0;

	if (len && end[-1])
		return -EINVAL;
	while (p < end) {
		if (n == max)
			return max + 1;
		vec[n++] = p;
		p += strlen(p) + 1;
	}
	return n;
}
