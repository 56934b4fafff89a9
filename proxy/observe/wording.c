// SPDX-License-Identifier: MIT
#include "proxy/observe/wording.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MORE "..."

static char *put(char *text, uint8_t octet)
{
	if (isgraph(octet) && octet != '\\')
		*text++ = (char)octet;
	else
		text += sprintf(text, octet ? "\\x%02x" : "\\0", octet);
	return text;
}

void wording_all(char *text, const uint8_t *octets, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		text = put(text, octets[i]);
	*text = '\0';
}

const char *wording_first(char text[WORDING_FIRST_MAX], const uint8_t *octets, uint32_t len)
{
	const char *end = text + WORDING_FIRST_MAX - sizeof(MORE) - WORDING_OCTET;
	char *at = text;

	for (uint32_t i = 0; i < len && octets[i]; i++) {
		if (at > end) {
			strcpy(at, MORE);
			return text;
		}
		at = put(at, octets[i]);
	}
	*at = '\0';
	return text;
}
