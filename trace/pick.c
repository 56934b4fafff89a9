// SPDX-License-Identifier: MIT
#include "trace/pick.h"

#include <stdio.h>
#include <string.h>

#include "protocol/control_text.h"

static bool has_path(uint32_t type)
{
	const struct message_info *info = message_info(type);

	return info && *info->request == 'p';
}

bool pick_is_below(const char *prefix, uint32_t domid, uint32_t type, const void *payload,
		   uint32_t len)
{
	char text[XENSTORE_PAYLOAD_MAX + sizeof("/local/domain/4294967295/")];
	const char *path = payload;
	size_t n = strlen(prefix);

	if (!has_path(type))
		return false;
	/* "/a/" means "/a", and "/" everything. */
	while (n && prefix[n - 1] == '/')
		n--;
	len = (uint32_t)strnlen(path, len < XENSTORE_PAYLOAD_MAX ? len : XENSTORE_PAYLOAD_MAX);
	if (len && (path[0] == '/' || path[0] == '@'))
		snprintf(text, sizeof(text), "%.*s", (int)len, path);
	else
		snprintf(text, sizeof(text), "/local/domain/%u/%.*s", domid, (int)len, path);
	return !strncmp(text, prefix, n) && (!n || !text[n] || text[n] == '/');
}

uint32_t pick_carried(uint32_t type, const void *payload, uint32_t len)
{
	uint32_t named = type == XS_CONTROL ? control_text_named(payload, len) : 0;

	return message_is_ours(named) ? named : 0;
}
