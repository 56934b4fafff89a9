// SPDX-License-Identifier: MIT
/*
 * entering - see entering.h.
 */
#include "starter/entering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "starter/arguments.h"
#include "starter/channels.h"
#include "starter/daemon.h"
#include "starter/inventory.h"
#include "starter/left.h"
#include "starter/retreat.h"
#include "starter/say.h"
#include "starter/talk.h"

#define BRIDGE	   "libxsproxy-bridge"
#define EXIT_USAGE 2

struct entering {
	struct talk talk;
	struct left_held held;	     /* its memfd -1: not to be had, @why says why */
	struct inventory *inventory; /* NULL: not asked for yet */
	struct reason why;
	bool given; /* all of it */
};

/* What is done next; beside 0 for the next word, and errnos, which end the connection. */
enum { ENOUGH = 1, RETREAT = 2 };

bool entering_is_native(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return !getenv("XSPROXY_PRELOAD") && !(preload && strstr(preload, BRIDGE));
}

/* --- giving */

static int take_inventory(struct entering *entering)
{
	struct channels *channels;
	int r;

	if (entering->inventory)
		return 0;
	if (entering->held.memfd < 0)
		return entering->held.memfd;
	channels = channels_new();
	if (!channels)
		return reason_set(&entering->why, -ENOMEM, "%s", strerror(ENOMEM));
	r = inventory_new(&entering->inventory, entering->held.memfd, channels_remote, channels,
			  &entering->why);
	channels_free(channels);
	return r;
}

static int say_with(const struct entering *entering, enum start_type type, uint32_t domid,
		    int value, int fd)
{
	const struct link_msg msg = { .type = type, .domid = domid, .value = value };

	return talk_say(&entering->talk, &msg, &fd, 1);
}

static int give_sockets(const struct entering *entering)
{
	const struct link_msg msg = { .type = START_SOCKETS };
	const struct inventory *inventory = entering->inventory;
	size_t at = 0;
	int r = 0;

	while (!r && at < inventory->nr_sockets) {
		size_t left = inventory->nr_sockets - at;
		int count = left < LINK_FDS_MAX ? (int)left : LINK_FDS_MAX;

		r = talk_say(&entering->talk, &msg, inventory->sockets + at, count);
		at += (size_t)count;
	}
	return r;
}

static int give_all(const struct entering *entering)
{
	const struct inventory *inventory = entering->inventory;
	int r = say_with(entering, START_STATE, entering->held.age, 0, entering->held.memfd);

	if (!r)
		r = say_with(entering, START_CONNS, 0, (int)inventory->nr_sockets,
			     inventory->conns);
	if (!r)
		r = give_sockets(entering);
	return r ? r : say_with(entering, START_LISTENER, 0, 0, inventory->listener);
}

static int give(struct entering *entering)
{
	int r = take_inventory(entering);

	if (r) {
		talk_fail(&entering->talk, r, &entering->why);
		return RETREAT;
	}
	r = give_all(entering);
	if (!r) {
		entering->given = true;
		entering->talk.needed = true;
	}
	return r;
}

/* --- what it is told */

/* Something else than what is known; not of use to who has given nothing. */
static int refuse(const struct entering *entering, uint32_t type)
{
	struct reason reason = { "" };

	if (entering->given)
		return -EPROTO;
	reason_set(&reason, -EPROTO, "xsproxyd says %u to a xenstored that it has nothing of yet",
		   type);
	talk_fail(&entering->talk, -EPROTO, &reason);
	return RETREAT;
}

static int carry_out(struct entering *entering, const struct link_msg *msg)
{
	switch (msg->type) {
	case START_GIVE:
		return give(entering);
	case START_ENOUGH:
		/* Without what it was given it can be none's that has ours. */
		return entering->given ? ENOUGH : refuse(entering, msg->type);
	case START_RETREAT:
	case START_AFRESH: /* of one that does not know what we are */
		return RETREAT;
	default:
		return refuse(entering, msg->type);
	}
}

/* Until the connection ends. Return: as carry_out(), but not 0. */
static int converse(struct entering *entering)
{
	int r;

	do {
		int fds[LINK_FDS_MAX];
		struct link_msg msg;

		r = talk_next(&entering->talk, &msg, fds, entering->given ? -1 : LINK_TIMEOUT_MS);
		if (r)
			return r;
		r = carry_out(entering, &msg);
		link_close_fds(fds);
	} while (!r);
	return r;
}

/* It stays connected when it retreats: that ends when it has become the daemon. */
static int talk_it_over(struct entering *entering)
{
	int r;

	do {
		r = talk_open(&entering->talk);
		if (r)
			break;
		r = converse(entering);
		if (r < 0)
			talk_close(&entering->talk);
	} while (r < 0 && entering->given);
	if (r < 0)
		starter_say("xsproxyd has taken nothing of xenstored, which goes on as it was: %s",
			    strerror(-r));
	return r;
}

/* --- from its beginning to its end */

/* The next to have domains' ports is xsproxyd, which must not wait for anything else. */
static int end(struct entering *entering)
{
	if (entering->inventory->event_channels >= 0)
		close(entering->inventory->event_channels);
	inventory_free(entering->inventory);
	daemon_close_all();
	return 0;
}

int entering_run(const char *dir, char **argv)
{
	struct entering entering = { .talk = { .dir = dir, .role = START_NATIVE, .sock = -1 } };
	int r;

	if (!arguments_update(argv + 1)) {
		starter_say("%s is executed by a xenstored, for its live update", argv[0]);
		return EXIT_USAGE;
	}
	retreat_begin();
	r = left_hold(&entering.held, arguments_flavour(argv + 1), &entering.why);
	if (r)
		entering.held.memfd = r;
	if (talk_it_over(&entering) == ENOUGH)
		return end(&entering);
	inventory_free(entering.inventory);
	retreat_become(dir, entering.held.memfd < 0 ? NULL : &entering.held, argv);
}
