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

_Static_assert(NAMING_MAX == LOG_NAME_MAX, "a name is as long as a line has room for");

struct search {
	uint32_t session;
	char *out;
};

/* What may stand in a line, and cannot be taken for the end of a name. */
static void copy(char out[NAMING_MAX], const char *name, size_t len)
{
	size_t n = len < NAMING_MAX ? len : NAMING_MAX - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = (char)(name[i] > ' ' && name[i] < 0x7f && !strchr("()", name[i]) ? name[i]
											  : '?');
	out[n] = '\0';
}

static void compare(struct client *client, void *arg)
{
	const struct search *search = arg;
	char name[2 * WHO_COMM];

	if (client->session->id != search->session || !*client->who.comm)
		return;
	snprintf(name, sizeof(name), "%.*s,pid=%d", WHO_COMM, client->who.comm, client->who.pid);
	copy(search->out, name, strlen(name));
}

static void name(const void *arg, uint32_t domid, uint32_t session, char out[NAMING_MAX])
{
	const struct daemon *daemon = arg;
	struct search search = { session, out };
	struct called called;

	*out = '\0';
	if (!domid && session && daemon->clients)
		clients_each(daemon->clients, compare, &search);
	if (*out || !daemon->follow)
		return;
	called = called_name(follow_mirror(daemon->follow), domid);
	if (domid && called.octets)
		copy(out, called.octets, called.len);
}

void naming_begin(const struct daemon *daemon)
{
	log_set_naming(name, daemon);
}

void naming_end(void)
{
	log_set_naming(NULL, NULL);
}
