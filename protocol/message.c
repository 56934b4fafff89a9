// SPDX-License-Identifier: MIT
#include "protocol/message.h"

#include <stdlib.h>
#include <string.h>

/* So that what xs_wire.h says and what the list says is one. */
#define XEN(number, name, ...) _Static_assert(XS_##name == (number), #name);
#define LATER(...)
#include "protocol/requests.def"

static const struct message_info xen[] = {
#define XEN(number, name, who, request, reply) [number] = { #name, MESSAGE_##who, request, reply },
#include "protocol/requests.def"
};

static const struct message_info ours[] = {
#define OURS(number, name, function, who, word, arguments, request, request_text, reply, ...) \
	[MESSAGE_##name - MESSAGE_QUIESCE] = { #name, MESSAGE_##who, request, reply },
#include "protocol/requests.def"
};

#define NR(table) (sizeof(table) / sizeof((table)[0]))

enum {
#define OURS(number, name, ...) PLACE_##name,
#include "protocol/requests.def"
	NR_OURS,
};

_Static_assert(NR(ours) == NR_OURS && NR_OURS == MESSAGE_OURS_END - MESSAGE_QUIESCE,
	       "our numbers have no gap, and the last one of the list is the largest");

#define NR_ERRORS NR(xsd_errors)

/* Not in xsd_errors, but oxenstored says it: EDQUOT. */
static const char equota[] = "EQUOTA";

const struct message_info *message_info(uint32_t type)
{
	const struct message_info *info = NULL;

	if (type < NR(xen))
		info = &xen[type];
	else if (message_is_ours(type))
		info = &ours[type - MESSAGE_QUIESCE];
	return info && info->name ? info : NULL;
}

const char *message_name(uint32_t type)
{
	const struct message_info *info = message_info(type);

	return info ? info->name : "UNKNOWN";
}

bool message_number_parse(const char *text, uint32_t *type)
{
	bool hex = text[0] == '0' && text[1] == 'x';
	const char *digits = hex ? text + 2 : text;
	unsigned long number;

	/* strtoul() would take blanks and signs, too. */
	if (!*digits || digits[strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789")])
		return false;
	errno = 0;
	number = strtoul(digits, NULL, hex ? 16 : 10);
	if (errno || number > UINT32_MAX)
		return false;
	*type = (uint32_t)number;
	return true;
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
