// SPDX-License-Identifier: MIT
#include "proxy/host/naming.h"

#include <stdio.h>
#include <string.h>

#include "proxy/daemon.h"
#include "proxy/host/client.h"
#include "proxy/host/clients.h"
#include "proxy/log.h"
#include "proxy/mirror/called.h"
#include "proxy/mirror/follow.h"
#include "proxy/session/session.h"

/* What may stand in a line, and cannot be taken for the end of a name. */
static void copy(char out[LOG_NAME_MAX], const char *name, size_t len)
{
	size_t n = len < LOG_NAME_MAX ? len : LOG_NAME_MAX - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = (char)(name[i] > ' ' && name[i] < 0x7f && !strchr("()", name[i]) ? name[i]
											  : '?');
	out[n] = '\0';
}

static void name_client(const struct who *who, char out[LOG_NAME_MAX])
{
	char name[2 * WHO_COMM];

	snprintf(name, sizeof(name), "%.*s,pid=%d", WHO_COMM, who->comm, who->pid);
	copy(out, name, strlen(name));
}

static void name(const void *arg, uint32_t domid, uint32_t session, char out[LOG_NAME_MAX])
{
	const struct daemon *daemon = arg;
	const struct client *client;
	struct called called;

	*out = '\0';
	if (domid && daemon->follow) {
		called = called_name(follow_mirror(daemon->follow), domid);
		if (called.octets)
			copy(out, called.octets, called.len);
	} else if (!domid && session && daemon->clients) {
		client = clients_find(daemon->clients, session);
		if (client && *client->who.comm)
			name_client(&client->who, out);
	}
}

void naming_begin(const struct daemon *daemon)
{
	log_set_naming(name, daemon);
}

void naming_end(void)
{
	log_set_naming(NULL, NULL);
}
