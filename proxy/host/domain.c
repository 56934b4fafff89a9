// SPDX-License-Identifier: MIT
#include "proxy/host/domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/daemon.h"
#include "proxy/host/failed.h"
#include "proxy/host/hold.h"
#include "proxy/host/holds.h"
#include "proxy/host/lasting.h"
#include "proxy/host/lease.h"
#include "proxy/host/memory.h"
#include "proxy/host/missing.h"
#include "proxy/host/ports.h"
#include "proxy/host/upstream.h"
#include "proxy/loop.h"
#include "proxy/mirror/follow.h"
#include "proxy/session/afresh.h"
#include "proxy/session/blame.h"
#include "proxy/session/hooks.h"
#include "proxy/session/part.h"
#include "proxy/session/session.h"
#include "proxy/util.h"

struct domain {
	UT_hash_handle hh; /* by domid */
	uint32_t domid;
	struct port port;
	struct xenstore_domain_interface *page;
	uint32_t map_gen;
	uint32_t bind_gen;
	struct session *session;
	struct domains *domains;
};

struct domains {
	struct daemon *daemon;
	struct domain *by_domid;
	struct ports ports;
	struct missing missing;
	struct failed *failed;
};

int domains_new(struct domains **out, struct daemon *daemon)
{
	struct domains *domains = calloc(1, sizeof(*domains));

	if (!domains)
		return -ENOMEM;
	domains->daemon = daemon;
	domains->ports.daemon = daemon;
	*out = domains;
	return 0;
}

struct domains *domains_free(struct domains *domains)
{
	if (!domains)
		return NULL;
	domains_detach_all(domains);
	ports_fini(&domains->ports);
	free(domains);
	return NULL;
}

static struct domain *find(struct domains *domains, uint32_t domid)
{
	struct domain *domain;

	HASH_FIND_INT(domains->by_domid, &domid, domain);
	return domain;
}

struct session *domains_session(struct domains *domains, uint32_t domid)
{
	struct domain *domain = find(domains, domid);

	return domain ? domain->session : NULL;
}

int domains_local_port(struct domains *domains, uint32_t domid)
{
	const struct domain *domain = find(domains, domid);

	return domain ? domain->port.local : -1;
}

struct session *domains_next_session(struct domains *domains, uint32_t domid)
{
	const struct memory *memory = upstream_memory(domains->daemon->upstream);
	const _Atomic uint64_t *mapped = memory ? rings_header(&memory->rings)->mapped : NULL;
	struct session *s = NULL;

	for (; mapped && !s && domid < ARENA_DOMIDS; domid++) {
		domid = arena_next(mapped, domid);
		s = domains_session(domains, domid);
	}
	return s;
}

/* --- real Xen */

static int xen_ready(struct domains *domains, uint32_t domid)
{
	int err = ports_open(&domains->ports);

	if (err)
		failed_note(&domains->failed, LOG_ERR, domid,
			    "cannot open /dev/xen/gntdev and /dev/xen/evtchn: %s", strerror(-err));
	return err;
}

int domains_in_xen(struct domains *domains, uint32_t domid)
{
	struct xen *xen = domains->daemon->xen;

	return xen ? xen_exists(xen, domid) : -ENODEV;
}

/*
 * A guest whose page says that it is not connected waits for an event, and the first one is its
 * sign that it is: Linux then sends, which would be lost when the ring is reset. session_greet()
 * stores the word, then comes here.
 */
static void kick_front(void *owner)
{
	struct domain *domain = owner;

	if (atomic_load_explicit(page_word(&domain->page->connection), memory_order_relaxed) ==
	    XENSTORE_CONNECTED)
		port_notify(&domain->domains->ports, &domain->port);
}

static void kick_back(void *owner)
{
	struct domain *domain = owner;

	upstream_ring(domain->domains->daemon->upstream, domain->domid);
}

/* --- sessions */

/*
 * Find the ledger of the domain's mapping, or make one.
 * Return: whether it is there already; or -ENOTRECOVERABLE for one that is put aside, -ENOMEM.
 */
static int ledger_find(const struct memory *memory, const struct domain *domain)
{
	const struct ledgers *ledgers = &memory->ledgers;
	struct ledger *ledger = ledgers_ledger(ledgers, domain->domid);

	if (ledger_current(ledger, ledgers, domain->map_gen))
		return blame_is_aside(ledgers->blame, domain->domid) ? -ENOTRECOVERABLE : 1;
	blame_forgive(ledgers->blame, domain->domid);
	if (arena_reserve(&ledgers->arena, ledgers_ledger_off(ledgers, domain->domid), ARENA_PAGE))
		return -ENOMEM;
	ledger_format(ledger, ledgers, domain->map_gen);
	return 0;
}

static int session_attach(struct domain *domain)
{
	struct daemon *daemon = domain->domains->daemon;
	const struct memory *memory = upstream_memory(daemon->upstream);
	struct ledger *ledger = ledgers_ledger(&memory->ledgers, domain->domid);
	struct xenstore_domain_interface *back = rings_ring(&memory->rings, domain->domid);
	int recovered = ledger_find(memory, domain), err;
	struct session_params params = {
		.daemon = daemon,
		.hooks = daemon->hooks,
		.domid = domain->domid,
		.front = endpoint_served(domain->page, kick_front, domain),
		.back = endpoint_serving(back, kick_back, domain),
		.place = { .ledger = ledger,
			   .rings = &memory->rings,
			   .ledgers = &memory->ledgers,
			   .front_page = domain->page,
			   .back_page = back },
		.attach = rings_attach(&memory->rings, domain->domid),
		.pool = upstream_pool(daemon->upstream),
		.owner = domain,
	};

	err = recovered < 0 ? recovered : session_new(&domain->session, &params, recovered);
	if (recovered > 0 && (err == -ESTALE || err == -EINVAL || err == -EBUSY))
		err = session_afresh(&domain->session, &params, err);
	if (err) {
		failed_note(&domain->domains->failed, LOG_ERR, domain->domid,
			    "cannot take up its Xenstore connection: %s; the guest is held",
			    err == -ENOTRECOVERABLE
				    ? "xsproxyd crashed twice while it served this domain"
				    : strerror(-err));
		return err;
	}
	/* Those that there may be are of a domain that had its id before. */
	if (!word_get(&ledger->lease))
		lease_drop(daemon, domain->domid);
	domain->session->unbound = true;
	return 0;
}

/* In an old arena the page has words of the bridge's, and stays. */
static void ledger_give_back(const struct domain *domain)
{
	const struct memory *memory = upstream_memory(domain->domains->daemon->upstream);

	if (!memory->old)
		arena_discard(&memory->ledgers.arena,
			      ledgers_ledger_off(&memory->ledgers, domain->domid));
}

static void session_detach(struct domain *domain, bool forget)
{
	if (!domain->session)
		return;
	if (forget)
		part_take_back(domain->session);
	session_free(domain->session, forget);
	domain->session = NULL;
	if (forget) {
		lease_drop(domain->domains->daemon, domain->domid);
		ledger_give_back(domain);
	}
}

/* --- what xenstored does */

static void unbind(struct domain *domain)
{
	if (port_unbind(&domain->domains->ports, &domain->port) && domain->session)
		domain->session->unbound = true;
}

static void drop(struct domain *domain, bool forget)
{
	struct domains *domains = domain->domains;

	session_detach(domain, forget);
	unbind(domain);
	xen_unmap(domains->daemon->xen, domain->domid, domain->page);
	HASH_DELETE(hh, domains->by_domid, domain);
	free(domain);
}

/* Return: 0 or a negative errno; the page is mapped, and unmapped again by the caller. */
static int add(struct domains *domains, struct domain *domain)
{
	int err;

	HASH_ADD_INT(domains->by_domid, domid, domain);
	if (!domain->hh.tbl)
		return -ENOMEM;
	err = session_attach(domain);
	if (err) {
		HASH_DELETE(hh, domains->by_domid, domain);
		return err;
	}
	follow_domain_is(domains->daemon->follow, domain->domid, domain->map_gen);
	missing_remove(&domains->missing, domain->domid);
	failed_forget(&domains->failed, domain->domid);
	return 0;
}

static int map(struct domains *domains, uint32_t domid, uint32_t map_gen)
{
	struct domain *domain = find(domains, domid);
	int err = xen_ready(domains, domid);

	if (err)
		return err;
	if (domain && domain->map_gen == map_gen)
		return 0;
	if (domain)
		drop(domain, true);

	domain = calloc(1, sizeof(*domain));
	if (!domain)
		return -ENOMEM;
	domain->domid = domid;
	domain->port.local = PORT_NONE;
	domain->map_gen = map_gen;
	domain->domains = domains;
	err = xen_map(domains->daemon->xen, domid, &domain->page);
	if (err) {
		failed_note(&domains->failed, LOG_WARNING, domid,
			    "cannot map its Xenstore page: %s", strerror(-err));
		free(domain);
		return err;
	}
	err = add(domains, domain);
	if (err) {
		xen_unmap(domains->daemon->xen, domid, domain->page);
		free(domain);
	}
	return err;
}

static int bind_port(struct domain *domain, uint32_t remote_port, uint32_t bind_gen)
{
	struct domains *domains = domain->domains;
	bool c_daemon = domains->daemon->flavour == RINGS_FLAVOUR_C;
	const struct memory *memory = upstream_memory(domains->daemon->upstream);
	struct ledger *ledger = domain->session->ledger;
	int err;

	if (domain->port.local >= 0 && domain->bind_gen == bind_gen)
		return 0;
	unbind(domain);
	err = port_bind(&domains->ports, &domain->port, domain->domid, remote_port,
			domain->session);
	if (err) {
		failed_note(&domains->failed, LOG_WARNING, domain->domid,
			    "cannot bind its event channel %u: %s", remote_port, strerror(-err));
		return err;
	}
	domain->bind_gen = bind_gen;
	failed_forget(&domains->failed, domain->domid);

	/* The C daemon resets it at every bind but the first (docs/daemons.md, "INTRODUCE"). */
	if (c_daemon && ledger->bind_gen && ledger->bind_gen != bind_gen)
		session_upstream_reset(domain->session);
	/* A bind that fails introduces nobody, so a hold begins (and ends) only after this one. */
	if (!ledger->bind_gen && hold_begin(&memory->ledgers, domain->domid)) {
		session_quiet(domain->session);
		holds_begin(domains->daemon->holds, domain->session);
	}
	session_bound(domain->session, c_daemon);
	ledger->bind_gen = bind_gen;
	/*
	 * Whatever it missed while nobody held its port; dom0's kernel starts only with an event.
	 */
	kick_front(domain);
	return 0;
}

static int change(struct domains *domains, const struct memory *memory, const struct link_msg *msg)
{
	struct rings_attach *attach = rings_attach(&memory->rings, msg->domid);
	struct domain *domain = find(domains, msg->domid);
	int err;

	switch (msg->type) {
	case LINK_MAP:
		err = map(domains, msg->domid, atomic_load(&attach->map_gen));
		/* Then xenstored does not have it. */
		if (err)
			failed_forget(&domains->failed, msg->domid);
		return err;
	case LINK_BIND:
		if (!domain)
			return -ESRCH;
		return bind_port(domain, (uint32_t)msg->value, atomic_load(&attach->bind_gen));
	case LINK_UNBIND:
		if (domain)
			unbind(domain);
		return 0;
	case LINK_UNMAP:
		hold_over(&memory->ledgers, msg->domid);
		failed_forget(&domains->failed, msg->domid);
		holds_unmapped(domains->daemon->holds, msg->domid);
		if (domain)
			drop(domain, true);
		follow_domain_gone(domains->daemon->follow, msg->domid);
		lasting_domain_gone(domains->daemon, msg->domid);
		return 0;
	default:
		return -EINVAL;
	}
}

int domains_change(struct domains *domains, const struct link_msg *msg)
{
	const struct memory *memory = upstream_memory(domains->daemon->upstream);
	int err;

	if (!memory || msg->domid >= ARENA_DOMID_MAX)
		return -EINVAL;
	blame_turn(msg->domid);
	err = change(domains, memory, msg);
	blame_rest();
	return err;
}

static int map_one(struct domains *domains, uint32_t domid, const struct rings *rings)
{
	int err;

	blame_turn(domid);
	err = map(domains, domid, atomic_load(&rings_attach(rings, domid)->map_gen));
	blame_rest();
	return err;
}

/* And has what can be bound. */
static bool is_bound(const struct rings *rings, uint32_t domid)
{
	const struct rings_attach *attach = rings_attach(rings, domid);

	return atomic_load(&attach->bind_gen) & 1 && !rings_is_mute(attach);
}

static int bind_one(struct domain *domain, const struct rings *rings)
{
	struct rings_attach *attach = rings_attach(rings, domain->domid);
	uint32_t bind_gen = atomic_load(&attach->bind_gen);
	int err;

	blame_turn(domain->domid);
	err = domain->session->hooks->recover(domain->session);
	if (!err && is_bound(rings, domain->domid))
		err = bind_port(domain, atomic_load(&attach->remote_port), bind_gen);
	blame_rest();
	return err;
}

int domains_attach_all(struct domains *domains)
{
	const struct memory *memory = upstream_memory(domains->daemon->upstream);
	const struct rings *rings = &memory->rings;
	struct domain *domain, *tmp;

	hold_sweep(memory);
	/* First all ledgers claim their extents; nobody may take a new one before. */
	ARENA_EACH(rings_header(rings)->mapped, domid)
		if (map_one(domains, domid, rings) == -ENOMEM)
			return -ENOMEM;
	HASH_ITER(hh, domains->by_domid, domain, tmp)
		if (bind_one(domain, rings) == -ENOMEM)
			return -ENOMEM;
	missing_log(&domains->missing);
	holds_look(domains->daemon->holds);
	return 0;
}

void domains_rest(const struct domains *domains, bool rest)
{
	ports_rest(&domains->ports, rest);
}

void domains_anew(struct domains *domains)
{
	ports_anew(&domains->ports);
}

uint32_t domains_bind(struct domains *domains)
{
	const struct rings *rings = &upstream_memory(domains->daemon->upstream)->rings;
	struct domain *domain, *tmp;
	uint32_t missing = 0;

	HASH_ITER(hh, domains->by_domid, domain, tmp)
		if (domain->port.local < 0 && is_bound(rings, domain->domid) &&
		    bind_one(domain, rings) && domains_in_xen(domains, domain->domid))
			missing++;
	return missing;
}

void domains_detach_all(struct domains *domains)
{
	struct domain *domain, *tmp;

	HASH_ITER(hh, domains->by_domid, domain, tmp) {
		missing_add(&domains->missing, domain->domid);
		drop(domain, false);
	}
	failed_forget_all(&domains->failed);
}

const struct missing *domains_missing(const struct domains *domains)
{
	return &domains->missing;
}

const char *domains_failed(const struct domains *domains, uint32_t domid)
{
	return failed_reason(domains->failed, domid);
}

void domains_bell(struct domains *domains, uint32_t domid)
{
	struct session *s = domains_session(domains, domid);

	if (s)
		session_ready(s);
}

void domains_ready_all(struct domains *domains)
{
	struct domain *domain, *tmp;

	HASH_ITER(hh, domains->by_domid, domain, tmp) {
		if (!domain->session)
			continue;
		session_ready(domain->session);
		kick_front(domain);
		upstream_ring(domains->daemon->upstream, domain->domid);
	}
}
