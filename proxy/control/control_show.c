// SPDX-License-Identifier: MIT
/*
 * control_show - what the control socket shows of the daemon and its domains.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "protocol/clock.h"
#include "proxy/control/control.h"
#include "proxy/control/control_command.h"
#include "proxy/control/control_json.h"
#include "proxy/daemon.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/domain_state.h"
#include "proxy/host/hold.h"
#include "proxy/host/holds.h"
#include "proxy/host/keeper.h"
#include "proxy/host/memory.h"
#include "proxy/host/missing.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/mend/mend.h"
#include "proxy/observe/tap.h"
#include "proxy/session/limit.h"
#include "proxy/session/pending.h"
#include "proxy/session/refusal.h"
#include "proxy/session/rest.h"
#include "proxy/session/session.h"
#include "proxy/session/stand.h"
#include "proxy/session/who.h"
#include "proxy/settings.h"

static uint32_t count_introduced(const struct memory *memory)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ARENA_DOMIDS / 64; i++)
		n += (uint32_t)__builtin_popcountll(
			atomic_load(&rings_header(&memory->rings)->mapped[i]));
	return n;
}

static json_t *xenstored(const struct daemon *daemon, const struct memory *memory)
{
	bool c_daemon = daemon->flavour == RINGS_FLAVOUR_C;

	if (!memory)
		return json_null();
	return json_pack("{s:s,s:i}", "name", c_daemon ? "xenstored" : "oxenstored", "pid",
			 (int)rings_header(&memory->rings)->pid);
}

static json_t *unknown_domains(const struct daemon *daemon)
{
	const struct missing *missing = domains_missing(daemon->domains);
	json_t *list = json_array();

	for (uint32_t domid = missing_next(missing, 0); domid < ARENA_DOMIDS;
	     domid = missing_next(missing, domid + 1))
		control_json_append(&list, json_integer(domid));
	return list;
}

/* Those that there are, by state. */
static json_t *states(const struct daemon *daemon, const struct memory *memory)
{
	uint32_t count[DOMAIN_STATES];
	json_t *object = json_object();

	domain_states_count(daemon, memory, count);
	for (int i = 0; i < DOMAIN_STATES; i++)
		if (count[i] &&
		    json_object_set_new(object, domain_state_name(i), json_integer(count[i]))) {
			json_decref(object);
			return NULL;
		}
	return object;
}

void control_status(struct control *control, const struct control_args *args)
{
	const struct daemon *daemon = control_daemon(control);
	const struct memory *memory = upstream_memory(daemon->upstream);
	const char *foreign = upstream_foreign(daemon->upstream);
	char wrong[NOTIFY_ALL_MAX];
	const char *state = daemon->left ? "left"
			    : memory	 ? "running"
			    : foreign	 ? "refused"
					 : "waiting";

	(void)args;
	control_return(control,
		       json_pack("{s:s,s:i,s:s,s:I,s:s,s:s?,s:s?,s:o,s:i,s:o,s:o,"
				 "s:i,s:i,s:i,s:I,s:b,s:b,s:i,s:b,s:b,s:s,s:s?,s:o,s:o}",
				 "version", XSPROXY_VERSION, "pid", (int)getpid(), "socket",
				 daemon->config.socket, "uptime",
				 (json_int_t)(clock_seconds() - daemon->started), "state", state,
				 "reason", foreign, "bridge_lacks",
				 upstream_lacks(daemon->upstream), "xenstored",
				 xenstored(daemon, memory), "domains",
				 memory ? (int)count_introduced(memory) : 0, "states",
				 states(daemon, memory), "unknown_domains", unknown_domains(daemon),
				 "near_limit", (int)domains_near_limit(daemon), "clients",
				 (int)clients_count(daemon->clients), "clients_waiting",
				 (int)clients_waiting(daemon->clients), "clients_waited",
				 (json_int_t)clients_waited(daemon->clients), "keeper",
				 keeper_there(daemon->keeper), "keeper_foreign",
				 keeper_foreign(daemon->keeper), "clients_kept",
				 (int)clients_kept(daemon->clients), "mirror_broken",
				 mend_is_broken(daemon->mend), "hold_new",
				 memory && hold_new_is(&memory->ledgers), "log_level",
				 config_level(log_level()), "config_error",
				 notify_all_wrong(&daemon->notify, wrong), "exchange",
				 control_exchange(daemon), "last_exchange",
				 control_last_exchange(daemon)));
}

/* --- domains */

static json_t *refusals(const struct session *s)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < s->refusals.kinds; i++) {
		const struct refusal *kind = &s->refusals.kind[i];

		control_json_append(&list, json_pack("{s:s,s:s,s:s,s:i}", "request",
						     message_name(kind->type), "error",
						     refusal_error(kind->err), "cause",
						     refusal_cause_name(kind->type, kind->err),
						     "count", (int)kind->count));
	}
	if (s->refusals.others)
		control_json_append(&list, json_pack("{s:s,s:s,s:s,s:i}", "request", "others",
						     "error", "various", "cause", "various",
						     "count", (int)s->refusals.others));
	return list;
}

static json_t *last_error(const struct session *s)
{
	const struct refusal *last;

	if (session_state(s) == LEDGER_ENDED)
		return json_string(session_fault(s));
	if (!s->refusals.kinds)
		return json_null();
	last = &s->refusals.kind[s->refusals.last];
	return json_sprintf("%s: %s", message_name(last->type), refusal_error(last->err));
}

/* Since when, and for whom, it stands still or is to, or null. */
static json_t *stopped(const struct daemon *daemon, uint32_t domid, const struct session *s)
{
	const struct stand *stand = s ? stand_of(s) : holds_stand(daemon->holds, domid);
	uint64_t now = clock_ns(CLOCK_REALTIME);

	if (!stand)
		return json_null();
	return json_pack("{s:I,s:I,s:s?,s:i,s:I}", "since",
			 (json_int_t)(stand->since / 1000000000u), "seconds",
			 (json_int_t)(now > stand->since ? (now - stand->since) / 1000000000u : 0),
			 "command", *stand->by.comm ? stand->by.comm : NULL, "pid", stand->by.pid,
			 "uid", (json_int_t)stand->by.uid);
}

static json_t *watches_max(const struct session *s)
{
	uint32_t most = limit_watches(s);

	return most == UINT32_MAX ? json_null() : json_integer((json_int_t)most);
}

/* The request that the guest has begun and not finished, or null. */
static json_t *unfinished(const struct session *s)
{
	struct rest_request request;

	if (!rest_request(s, &request))
		return json_null();
	return json_pack("{s:I,s:i,s:o}", "seconds", (json_int_t)request.seconds, "octets",
			 (int)request.octets, "of",
			 request.of ? json_integer(request.of) : json_null());
}

static json_t *domain(const struct daemon *daemon, const struct memory *memory, uint32_t domid)
{
	enum domain_state state = domain_state_of(daemon, memory, domid);
	bool introduced = domain_introduced(memory, domid);
	struct session *s = domains_session(daemon->domains, domid);
	json_t *object =
		json_pack("{s:i,s:s,s:s?,s:b,s:o}", "domid", (int)domid, "state",
			  domain_state_name(state), "reason", domain_reason(daemon, memory, domid),
			  "introduced", introduced, "stopped", stopped(daemon, domid, s));
	json_t *more;

	if (!s && !introduced)
		json_object_set_new(object, "exists",
				    json_boolean(holds_seen(daemon->holds, domid)));
	if (!s)
		return object;
	more = json_pack("{s:i,s:i,s:o,s:I,s:I,s:b,s:i,s:i,s:I,s:I,s:i,s:i,s:i,s:i,s:o,s:o,s:o}",
			 "session", (int)s->id, "watches", (int)s->watches.count, "watches_max",
			 watches_max(s), "watch_octets", (json_int_t)s->watches.live, "watch_bound",
			 (json_int_t)limit_memory(s) * POOL_MIB * POOL_PAGE, "near_limit",
			 limit_near(s), "transactions", (int)transaction_count(&s->transactions),
			 "requests", __builtin_popcount(word_get(&s->ledger->pending_mask)),
			 "oldest_ms",
			 (json_int_t)(tap_oldest(s->tap, word_get(&s->ledger->pending_mask)) /
				      CLOCK_NS_OF_MS),
			 "unread_ms", (json_int_t)(tap_full(s->tap) / CLOCK_NS_OF_MS), "queued",
			 (int)(fifo_used(&s->fifo) + word_get(&s->ledger->fifo_fill)), "memory",
			 (int)(s->account.used * POOL_PAGE), "events", (int)s->fifo.waiting.events,
			 "replies", (int)s->fifo.waiting.replies, "unfinished", unfinished(s),
			 "refusals", refusals(s), "last_error", last_error(s));
	if (!more || json_object_update(object, more)) {
		json_decref(object);
		object = NULL;
	}
	json_decref(more);
	return object;
}

/* {"domains":[...],"next":INDEX or null}; index is the first domid to list */
void control_domains(struct control *control, const struct control_args *args)
{
	const struct daemon *daemon = control_daemon(control);
	const struct memory *memory = upstream_memory(daemon->upstream);
	uint32_t domid = ARENA_DOMIDS;
	json_t *list = json_array();

	if (memory && args->index < ARENA_DOMIDS)
		domid = domain_next(memory, args->index);
	for (int n = 0; n < CONTROL_PAGE_DOMAINS && domid < ARENA_DOMIDS; n++) {
		control_json_append(&list, domain(daemon, memory, domid));
		domid = domain_next(memory, domid + 1);
	}
	control_return(control,
		       json_pack("{s:o,s:o}", "domains", list, "next",
				 domid < ARENA_DOMIDS ? json_integer(domid) : json_null()));
}

void control_domain(struct control *control, const struct control_args *args)
{
	const struct daemon *daemon = control_daemon(control);
	const struct memory *memory = upstream_memory(daemon->upstream);

	if (!memory || domain_next(memory, args->domid) != args->domid)
		control_error(control, "NotFound", "domain %u is neither introduced nor held",
			      args->domid);
	else
		control_return(control, domain(daemon, memory, args->domid));
}

/* --- configuration */

/* Without an argument it only tells. */
void control_log_level(struct control *control, const struct control_args *args)
{
	char why[160];

	if (args->level) {
		struct config config = control_daemon(control)->config;

		if (config_set(&config, "log", "level", args->level, why, sizeof(why))) {
			control_error(control, "BadRequest", "log-level: %s", why);
			return;
		}
		log_set_level((int)config.log_level);
	}
	control_return(control, json_pack("{s:s}", "level", config_level(log_level())));
}

void control_reload(struct control *control, const struct control_args *args)
{
	struct settings_reload reload;
	json_t *waiting;

	(void)args;
	if (settings_reload(control_daemon(control), &reload)) {
		control_error(control, "Failed", "the configuration stays as it was: %s",
			      reload.why);
		return;
	}
	waiting = json_array();
	for (uint32_t i = 0; i < reload.nr_waiting; i++)
		control_json_append(&waiting, json_sprintf("[%s] %s", reload.waiting[i].section,
							   reload.waiting[i].key));
	control_return(control, json_pack("{s:o}", "waiting", waiting));
}
