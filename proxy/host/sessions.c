// SPDX-License-Identifier: MIT
#include "proxy/host/sessions.h"

#include "proxy/daemon.h"
#include "proxy/host/client.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"

struct each {
	void (*fn)(struct session *s, void *arg);
	void *arg;
};

static void each_client(struct client *client, void *arg)
{
	const struct each *each = arg;

	each->fn(client->session, each->arg);
}

void sessions_each(struct daemon *daemon, void (*fn)(struct session *s, void *arg), void *arg)
{
	struct each each = { fn, arg };

	DOMAINS_EACH_SESSION(daemon->domains, s)
		fn(s, arg);
	clients_each(daemon->clients, each_client, &each);
}
