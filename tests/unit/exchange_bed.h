/* SPDX-License-Identifier: MIT */
/*
 * exchange_bed - an exchange of xenstored over one guest's session, where bridge, keeper, starter,
 * clients and the connection of its own are as the test says. Each proxy/exchange/exchange*.c is
 * compiled in, and calls what is here.
 */
#ifndef XSPROXY_TESTS_UNIT_EXCHANGE_BED_H
#define XSPROXY_TESTS_UNIT_EXCHANGE_BED_H

#include <event2/event.h>
#include <fcntl.h>

#include "proxy/exchange/exchange_parts.h"
#include "proxy/exchange/plan.h"
#include "proxy/host/client.h"
#include "proxy/host/clients.h"
#include "proxy/host/keeper.h"
#include "proxy/host/own.h"
#include "tests/unit/session_anew.h"

struct exchange_bed {
	struct rig rig;
	struct anew before, after;
	struct exchange *exchange;
	const struct upstream_watcher *watcher;
	const struct starters_news *news;
	bool serves, waits;		   /* the bridge */
	bool mapped;			   /* the guest is */
	bool left, keeper;		   /* the keeper has domains' memory; there is one */
	bool told;			   /* it has been told all */
	int state;			   /* that it has, or -1 */
	enum start_type order;		   /* what the starter was told last; 0: nothing */
	char with[2 * LEDGERS_DAEMON_MAX]; /* of the plan */
	uint32_t directories, others;	   /* that it is to answer over its own connection */
	bool gave_up;			   /* upstream_give_up() */
	uint32_t woken;
	bool reads;   /* a domain is another one's target; who waits would read the store */
	bool killed;  /* upstream_end() */
	bool dials;   /* the daemon accepts connections of its own */
	int restored; /* what upstream_restore() says */
	uint32_t done;
	struct exchange_result result;
};

static struct exchange_bed bed;

static inline struct ledgers_exchange *bed_words(void)
{
	return ledgers_exchange(&bed.rig.proxy.ledgers);
}

/* --- upstream.h */

static const struct memory *fake_memory(const struct upstream *up)
{
	(void)up;
	return bed.serves || bed.waits ? &bed.rig.proxy : NULL;
}

static bool fake_serves(const struct upstream *up)
{
	(void)up;
	return bed.serves && !bed.waits;
}

static void fake_watch(struct upstream *up, const struct upstream_watcher *watcher, void *arg)
{
	(void)up;
	(void)arg;
	bed.watcher = watcher;
}

static bool fake_left(const struct upstream *up, struct ledgers *ledgers)
{
	(void)up;
	return bed.left && !ledgers_open(ledgers, dup(bed.rig.proxy.ledgers.arena.fd));
}

static int fake_restore(struct upstream *up)
{
	(void)up;
	bed.waits = !bed.restored;
	return bed.restored;
}

static void fake_give_up(struct upstream *up)
{
	(void)up;
	bed.gave_up = bed.waits;
	bed.waits = bed.serves = bed.mapped = false;
}

static int fake_end(const struct upstream *up)
{
	(void)up;
	bed.killed = true;
	return 0;
}

/* --- target.h */

static int fake_target_user(const struct session *target)
{
	(void)target;
	return bed.reads ? 9 : -1;
}

/* --- keeper.h */

static bool fake_keeper_there(const struct keeper *keeper)
{
	(void)keeper;
	return bed.keeper;
}

static bool fake_keeper_told(const struct keeper *keeper)
{
	(void)keeper;
	return bed.told;
}

static int fake_keeper_take(struct keeper *keeper, uint32_t key, int fds[LINK_PUT_FDS])
{
	(void)keeper;
	assert_int_equal(key, KEEP_STATE);
	fds[0] = bed.state < 0 ? -1 : dup(bed.state);
	fds[1] = -1;
	return fds[0] >= 0;
}

static void fake_keep_state(struct upstream *up, int fd, int pidfd)
{
	(void)up;
	(void)pidfd;
	if (bed.state >= 0)
		close(bed.state);
	bed.state = fd >= 0 && bed.keeper ? dup(fd) : -1;
}

/* --- starters.h */

static int fake_starters_new(struct starters **out, struct daemon *daemon,
			     const struct starters_news *news, void *arg)
{
	(void)daemon;
	(void)arg;
	*out = NULL;
	bed.news = news;
	return 0;
}

static struct starters *fake_starters_free(struct starters *starters)
{
	return starters;
}

static int fake_starters_tell(struct starters *starters, enum start_type type, const int *fds,
			      int count)
{
	(void)starters;
	assert_int_equal(count, type == START_RESTORE ? START_RESTORE_FDS : 0);
	for (int i = 0; i < count; i++)
		assert_true(fcntl(fds[i], F_GETFD) >= 0);
	bed.order = type;
	return 0;
}

static int fake_starters_pidfd(const struct starters *starters)
{
	(void)starters;
	return -ENOTCONN;
}

/* --- own.h, plan.h */

struct own {
	int nothing;
};

static int fake_own_open(struct own **out, struct daemon *daemon,
			 void (*reply)(void *arg, const struct own_reply *reply), void *arg)
{
	static struct own own;

	(void)daemon;
	(void)reply;
	(void)arg;
	*out = &own;
	return bed.dials ? 0 : -EAGAIN;
}

static struct own *fake_own_close(struct own *own)
{
	(void)own;
	return NULL;
}

static int fake_own_ask(struct own *own, uint32_t type, const char *payload, uint32_t len)
{
	(void)payload;
	assert_non_null(own);
	assert_true(len <= XENSTORE_PAYLOAD_MAX);
	bed.directories += type == XS_DIRECTORY;
	/* To those of ASKED it need not say anything. */
	bed.others += type != XS_DIRECTORY && atomic_load(&bed_words()->stage) != EXCHANGE_ASKED;
	return 0;
}

static int fake_plan_make(struct daemon *daemon, const char *with)
{
	(void)daemon;
	snprintf(bed.with, sizeof(bed.with), "%s", with);
	return memfd_create("plan", MFD_CLOEXEC);
}

/* --- domain.h, clients.h */

static struct session *fake_next_session(struct domains *domains, uint32_t domid)
{
	(void)domains;
	return bed.mapped && bed.rig.s && domid <= bed.rig.domid ? bed.rig.s : NULL;
}

static struct session *fake_session(struct domains *domains, uint32_t domid)
{
	(void)domains;
	/* It is taken for dom0's, too. */
	return !domid || domid == bed.rig.domid ? bed.rig.s : NULL;
}

static int fake_change(struct domains *domains, const struct link_msg *msg)
{
	(void)domains;
	assert_int_equal(msg->type, LINK_UNMAP);
	bed.mapped = false;
	return 0;
}

static uint32_t fake_bind(struct domains *domains)
{
	(void)domains;
	return 0;
}

static int fake_in_xen(struct domains *domains, uint32_t domid)
{
	(void)domains;
	(void)domid;
	return 1;
}

static int fake_lasting_each(const struct daemon *daemon,
			     int (*fn)(void *arg, uint32_t type, const char *payload, uint32_t len),
			     void *arg)
{
	(void)daemon;
	(void)fn;
	(void)arg;
	return 0;
}

static void fake_clients_each(struct clients *clients, void (*fn)(struct client *, void *),
			      void *arg)
{
	(void)clients;
	(void)fn;
	(void)arg;
}

static void fake_clients_up(struct clients *clients)
{
	(void)clients;
	bed.woken++;
}

static int fake_client_again(struct client *client, struct keeper *keeper)
{
	(void)client;
	(void)keeper;
	return 0;
}

#define upstream_memory	     fake_memory
#define upstream_serves	     fake_serves
#define upstream_watch	     fake_watch
#define upstream_left	     fake_left
#define upstream_restore     fake_restore
#define upstream_give_up     fake_give_up
#define upstream_end	     fake_end
#define target_user	     fake_target_user
#define keeper_there	     fake_keeper_there
#define keeper_told	     fake_keeper_told
#define keeper_take	     fake_keeper_take
#define upstream_keep_state  fake_keep_state
#define starters_new	     fake_starters_new
#define starters_free	     fake_starters_free
#define starters_tell	     fake_starters_tell
#define starters_pidfd	     fake_starters_pidfd
#define own_open	     fake_own_open
#define own_close	     fake_own_close
#define own_ask		     fake_own_ask
#define plan_make	     fake_plan_make
#define lasting_each	     fake_lasting_each
#define domains_bind	     fake_bind
#define domains_in_xen	     fake_in_xen
#define domains_next_session fake_next_session
#define domains_session	     fake_session
#define domains_change	     fake_change
#define clients_each	     fake_clients_each
#define clients_upstream_up  fake_clients_up
#define client_again	     fake_client_again
#include "proxy/host/sessions.c"

#include "proxy/exchange/exchange.c"
#include "proxy/exchange/exchange_before.c"
#include "proxy/exchange/exchange_end.c"
#include "proxy/exchange/exchange_handing.c"
#include "proxy/exchange/exchange_sessions.c"

/* --- a host with it */

static inline void bed_start(void)
{
	assert_int_equal(exchange_new(&bed.exchange, &bed.rig.daemon), 0);
}

static inline int bed_setup(void **state)
{
	(void)state;
	memset(&bed, 0, sizeof(bed));
	rig_open(&bed.rig, 7, 0);
	assert_int_equal(rings_reserve(&bed.rig.stored, 0), 0);
	rings_attach(&bed.rig.stored, 0)->map_gen = rings_attach(&bed.rig.stored, 7)->map_gen = 1;
	snprintf(bed.rig.daemon.config.live_update, CONFIG_PATH_MAX, "/bin/true");
	snprintf(bed.rig.daemon.config.run_dir, CONFIG_PATH_MAX, "/nonexistent");
	bed.serves = bed.keeper = bed.told = bed.mapped = bed.dials = true;
	bed.state = -1;
	bed.before = (struct anew){ .rig = &bed.rig };
	bed_start();
	return 0;
}

static inline int bed_teardown(void **state)
{
	(void)state;
	exchange_free(bed.exchange);
	if (bed.state >= 0)
		close(bed.state);
	rig_close(&bed.rig);
	return 0;
}

/* Another xsproxyd; @bridge: the one before is there, else the keeper's memory is taken up. */
static inline void bed_restart(bool bridge)
{
	exchange_free(bed.exchange);
	bed.rig.daemon.paused = bed.rig.daemon.parted = false;
	rig_restart(&bed.rig);
	bed.left = true;
	bed.serves = bed.waits = false;
	bed_start();
	if (bed.waits)
		rig_run(&bed.rig);
	if (!bridge)
		return;
	bed.serves = true;
	if (bed.waits) {
		bed.waits = false;
		bed.watcher->again(bed.exchange);
	} else {
		bed.watcher->came(bed.exchange);
	}
}

static inline void bed_done(void *arg, const struct exchange_result *result)
{
	(void)arg;
	bed.result = *result;
	bed.done++;
}

static inline void bed_stage(void *arg, const char *said)
{
	(void)arg;
	assert_string_equal(said, exchange_doing(bed.exchange));
}

static inline void bed_begin(const char *with)
{
	static const struct exchange_waiter waiter = { bed_stage, bed_done };

	assert_null(exchange_begin(bed.exchange, with, bed.reads, &waiter, NULL));
}

static inline void bed_look(void)
{
	look_cb(-1, 0, bed.exchange);
}

/* What it is asked over its own connection is answered: no domain is being made. */
static inline void bed_answers(void)
{
	static const struct own_reply msg = { .type = XS_DIRECTORY,
					      .payload = (const uint8_t *)"0\0007",
					      .len = 4 };
	static const struct own_reply ok = { .type = XS_CONTROL,
					     .payload = (const uint8_t *)"OK",
					     .len = 3 };

	for (; bed.directories; bed.directories--)
		exchange_reply(bed.exchange, &msg);
	for (; bed.others; bed.others--)
		exchange_reply(bed.exchange, &ok);
}

/* As long as the stage changes; the daemon says what it is asked. */
static inline void bed_look_with(struct anew *daemon)
{
	enum exchange_stage stage;

	do {
		stage = exchange_stage(bed.exchange);
		bed_look();
		anew_lives(daemon);
		bed_answers();
		bed_look();
	} while (exchange_stage(bed.exchange) != stage);
}

/* The daemon has written its state, and a starter comes to become the next one. */
static inline void bed_hand_over(void)
{
	bed.waits = bed.watcher->gone(bed.exchange);
	assert_true(bed.waits);
	bed.news->came(bed.exchange, START_UPDATE);
	assert_int_equal(bed.order, START_WANT);
	bed.news->state(bed.exchange, memfd_create("state", MFD_CLOEXEC), 0);
	assert_int_equal(bed.order, START_ENOUGH);
	assert_int_equal(exchange_stage(bed.exchange), EXCHANGE_HAVE);
	bed.news->came(bed.exchange, START_DAEMON);
	assert_int_equal(bed.order, START_RESTORE);
	assert_int_equal(exchange_stage(bed.exchange), EXCHANGE_STARTED);
}

/* The bridge of the other daemon is there. */
static inline void bed_again(void)
{
	anew_begins(&bed.after, &bed.rig);
	bed.serves = true;
	bed.waits = false;
	bed.watcher->again(bed.exchange);
}

static inline void assert_stage(enum exchange_stage stage)
{
	assert_int_equal(exchange_stage(bed.exchange), stage);
}

#define EXCHANGE_TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

#endif
