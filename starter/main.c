// SPDX-License-Identifier: MIT
/*
 * starter - what a host starts as its xenstored: becomes the daemon, afresh or with a state that
 * xsproxyd has. And, called live-update, what a daemon executes for a live update: hands over the
 * state that the daemon has written, and ends; of one that runs without the bridge all that it had,
 * or it becomes that daemon again (entering.h).
 *
 * It does what xsproxyd says (link/start.h), one thing after the other. When it is in doubt it
 * waits: a daemon with an empty store would have the guests' forgotten. But the first daemon of a
 * host is started whether or not there is an xsproxyd.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link/link.h"
#include "link/start.h"
#include "starter/after.h"
#include "starter/arguments.h"
#include "starter/daemon.h"
#include "starter/entering.h"
#include "starter/leaving.h"
#include "starter/left.h"
#include "starter/restore.h"
#include "starter/say.h"
#include "starter/talk.h"

#define LIVE_UPDATE    "live-update"
#define EXIT_NO_DAEMON 127 /* as a shell's */

struct starter {
	struct talk talk;
	char **argv;  /* the daemon and its arguments; for a live update NULL */
	char **words; /* the arguments alone */
};

/* --- what it does */

/* Return: the exit status, if there is no such daemon. */
static int become(const struct starter *starter)
{
	int r;

	r = daemon_exec(starter->argv, starter->talk.dir);
	starter_say("cannot start %s: %s", starter->argv[0], strerror(-r));
	return EXIT_NO_DAEMON;
}

/* A live update only ends: whoever starts it as the daemon is told the same. */
static int become_afresh(const struct starter *starter)
{
	if (!starter->argv)
		return 0;
	left_clear();
	return become(starter);
}

static int give_state(const struct starter *starter)
{
	struct link_msg msg = { .type = START_STATE };
	struct reason reason;
	int fd = left_take(starter->talk.role == START_DAEMON, &msg.domid, &reason), r;

	if (fd < 0) {
		msg.value = fd;
		starter_say("%s", reason.text);
	}
	r = talk_say(&starter->talk, &msg, &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
	return r;
}

/* @restore: what xsproxyd has given. Return: a negative errno. */
static int become_that(const struct starter *starter, struct restore *restore,
		       struct reason *reason)
{
	restore->dir = starter->talk.dir;
	restore->daemon = starter->argv ? starter->argv[0] : NULL;
	restore->words = starter->words;
	restore->flavour = starter->argv ? daemon_flavour(starter->argv[0])
					 : arguments_flavour(starter->words);
	return restore_exec(restore, reason);
}

/* Return: if the daemon could not be started: 0, or a negative errno that ends the connection. */
static int become_restored(const struct starter *starter, const int fds[LINK_FDS_MAX])
{
	struct restore restore = { .state = fds[0], .plan = fds[1], .rings = fds[2] };
	struct reason reason;
	int r = become_that(starter, &restore, &reason);

	return talk_fail(&starter->talk, r, &reason);
}

/* Return: likewise. */
static int become_native(const struct starter *starter, const struct link_msg *msg,
			 int fds[LINK_FDS_MAX])
{
	struct restore restore = { 0 };
	struct leaving leaving;
	struct reason reason;
	int r = leaving_take(&leaving, &starter->talk, msg, fds), err = 0;

	if (!r) {
		restore.state = leaving.state;
		restore.leaving = &leaving;
		err = become_that(starter, &restore, &reason);
	}
	/* Before it is told, for that takes a descriptor, and there may be no more. */
	leaving_close(&leaving);
	return r ? r : talk_fail(&starter->talk, err, &reason);
}

/* --- what it is told */

enum { END = 1, AFRESH = 2 }; /* beside errnos and 0 */

/* Return: 0 for more, END, AFRESH, or a negative errno that ends the connection. */
static int carry_out(struct starter *starter, const struct link_msg *msg, int fds[LINK_FDS_MAX])
{
	switch (msg->type) {
	case START_AFRESH:
		return AFRESH;
	case START_WANT:
		starter->talk.needed = true;
		return give_state(starter);
	case START_ENOUGH:
		return END;
	case START_RESTORE:
		starter->talk.needed = true;
		return become_restored(starter, fds);
	case START_LEAVE:
		starter->talk.needed = true;
		return become_native(starter, msg, fds);
	default:
		return -EPROTO;
	}
}

/* Until the connection ends. Return: as carry_out(), but not 0. */
static int converse(struct starter *starter)
{
	int timeout_ms = talk_is_needed(&starter->talk) ? -1 : LINK_TIMEOUT_MS;
	int r;

	do {
		int fds[LINK_FDS_MAX];
		struct link_msg msg;

		r = talk_next(&starter->talk, &msg, fds, timeout_ms);
		if (!r)
			r = carry_out(starter, &msg, fds);
		link_close_fds(fds);
		timeout_ms = -1;
	} while (!r);
	return r;
}

static int run(struct starter *starter)
{
	for (;;) {
		int r = talk_open(&starter->talk);

		if (!r) {
			r = converse(starter);
			talk_close(&starter->talk);
		}
		if (r == END)
			return 0;
		if (r == AFRESH || !talk_is_needed(&starter->talk))
			return become_afresh(starter);
	}
}

/* --- who it is */

static bool is_live_update(const char *name)
{
	const char *slash = strrchr(name, '/');

	return !strcmp(slash ? slash + 1 : name, LIVE_UPDATE);
}

static bool has_help(char **words)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], "--help"))
			return true;
	return false;
}

static int usage(FILE *out, int status)
{
	fprintf(out, "Usage: starter DAEMON [ARGUMENT...]\n"
		     "       starter --after PID\n"
		     "Become the Xenstore daemon, with the state that xsproxyd has of it, if any.\n"
		     "--after waits until the one that runs as PID has ended.\n");
	return status;
}

static int wait_after(const char *pid)
{
	int r = after_end(pid);

	if (!r)
		return 0;
	starter_say("cannot wait for the end of process %s: %s", pid, strerror(-r));
	return 1;
}

/* oxenstored asks first whether the program can be started, with --help as its last argument. */
static int update(struct starter *starter, char **argv)
{
	if (has_help(argv + 1))
		return 0;
	if (entering_is_native())
		return entering_run(starter->talk.dir, argv);
	/* Those of the daemon, which would keep its event channels bound, and its clients waiting.
	 */
	daemon_close_all();
	starter->talk.role = START_UPDATE;
	starter->words = argv + 1;
	return run(starter);
}

int main(int argc, char **argv)
{
	const char *dir = getenv("XSPROXY_DIR");
	struct starter starter = { .talk = { .dir = dir && *dir ? dir : LINK_RUN_DIR,
					     .role = START_DAEMON,
					     .sock = -1 } };

	if (argc && is_live_update(argv[0]))
		return update(&starter, argv);
	if (argc == 2 && !strcmp(argv[1], "--help"))
		return usage(stdout, 0);
	if (argc == 3 && !strcmp(argv[1], "--after"))
		return wait_after(argv[2]);
	if (argc < 2 || argv[1][0] != '/')
		return usage(stderr, 2);
	starter.argv = argv + 1;
	starter.words = argv + 2;
	if (arguments_ask(starter.words))
		return become(&starter);
	return run(&starter);
}
