// SPDX-License-Identifier: MIT
/*
 * cmd_replay - plays a capture's requests to a xenstored that nobody uses, and shows what it
 * answers otherwise.
 *
 * The file is read twice: when the first request is played, all of it is known to be sound, and
 * which session ends where.
 */
#include "ctl/command.h"
#include "ctl/player.h"
#include "ctl/print.h"
#include "ctl/readback.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define SNAP	       512u /* octets of a payload that a line shows */
#define SHOWN	       10   /* differences */
#define EXIT_DIFFERENT 1

struct replay {
	struct player *player;
	struct interrupt interrupt;
	struct tracing_sink sink;
	struct text text;
	int error; /* of the player, or a signal */
};

/* --- what is shown */

static struct view cut(const struct view *view)
{
	struct view shown = *view;

	shown.len = shown.len < SNAP ? shown.len : SNAP;
	return shown;
}

/* The exchange of the capture after a '-', and what came of it here after a '+'. */
static void on_difference(void *arg, const struct exchange *exchange, const struct view *here)
{
	struct view request = cut(exchange->request), there = cut(exchange->answer);
	struct view shown = cut(here);
	struct replay *replay = arg;
	struct outbuf *out = &replay->sink.out;

	if (player_count(replay->player)->different > SHOWN)
		return;
	outbuf_text(out, "- ");
	text_exchange(&replay->text, out, &(struct exchange){ &request, &there });
	outbuf_text(out, "+ ");
	text_exchange(&replay->text, out, &(struct exchange){ &request, &shown });
}

static void add_count(struct outbuf *out, uint64_t count, const char *what)
{
	if (!count)
		return;
	outbuf_number(out, count, 0);
	outbuf_char(out, ' ');
	outbuf_text(out, what);
	outbuf_char(out, '\n');
}

static void add_summary(struct outbuf *out, const struct player_count *count)
{
	static const char *const left[PLAYER_LEFT] = {
		[PLAYER_OTHER] = "left out: about domains, quotas, xsproxy, or unknown",
		[PLAYER_REFUSED] = "left out: refused to a guest for its rights or quotas",
		[PLAYER_TRANSACTION] = "left out: in a transaction that is not here",
		[PLAYER_CUT] = "left out: not there in full, or too long with an absolute path",
		[PLAYER_UNANSWERED] = "left out: without a reply",
	};

	if (count->different > SHOWN)
		add_count(out, count->different - SHOWN, "more differences");
	for (int i = 0; i < PLAYER_LEFT; i++)
		add_count(out, count->left[i], left[i]);
	add_count(out, count->lost, "messages were lost when it was captured");
	outbuf_number(out, count->played, 0);
	outbuf_text(out, " requests played, ");
	outbuf_number(out, count->different, 0);
	outbuf_text(out, " answered otherwise\n");
}

/* --- reading */

static int see(void *arg, const struct view *view)
{
	struct replay *replay = arg;

	replay->error = interrupt_check(&replay->interrupt);
	if (!replay->error)
		replay->error = player_see(replay->player, view);
	return replay->error != 0;
}

static void seen(void *arg)
{
	(void)arg;
}

static int take(void *arg, const struct view *view)
{
	struct replay *replay = arg;

	replay->error = interrupt_check(&replay->interrupt);
	if (!replay->error)
		replay->error = player_take(replay->player, view);
	return replay->error != 0;
}

static void end(void *arg)
{
	struct replay *replay = arg;

	if (!replay->error)
		replay->error = player_end(replay->player);
	add_summary(&replay->sink.out, player_count(replay->player));
}

static int not_played(const struct options *options, int err, const struct report *report)
{
	switch (err) {
	case -EINTR:
		return report_fail(report, err, "interrupted");
	case -ETIMEDOUT:
		return report_fail(report, err, "%s: no answer within 10 s", options->socket);
	case -ECONNRESET:
	case -EPIPE:
	case -EPROTO:
		return report_fail(report, err, "%s: the xenstored there ended the connection",
				   options->socket);
	default:
		return report_fail(report, err, "cannot play to %s: %s", options->socket,
				   report_local_reason(err));
	}
}

static int read_all(struct replay *replay, const struct options *options,
		    const struct report *report)
{
	int r = readback_run(options->argument, &replay->sink, report);

	return replay->error && !r ? not_played(options, replay->error, report) : r;
}

static int play(struct replay *replay, const struct options *options, const struct report *report)
{
	int r;

	replay->sink.take = see;
	replay->sink.end = seen;
	r = read_all(replay, options, report);
	if (r)
		return r;
	replay->sink.take = take;
	replay->sink.end = end;
	r = read_all(replay, options, report);
	return r ? r : player_count(replay->player)->different ? EXIT_DIFFERENT : 0;
}

int command_replay(const struct options *options, const struct report *report)
{
	struct replay replay = {
		.sink = { .arg = &replay, .fd = STDOUT_FILENO, .name = "standard output" }
	};
	int r = interrupt_catch(&replay.interrupt);

	if (r)
		return report_fail(report, r, "%s", report_reason(r));
	if (!strcmp(options->argument, "-"))
		return report_fail(report, -EINVAL,
				   "reads a capture twice; say the name of a file");
	print_look(&replay.text);
	replay.player = player_new(options->socket, &replay.interrupt, on_difference, &replay);
	if (replay.player)
		r = play(&replay, options, report);
	else
		r = report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	player_free(replay.player);
	outbuf_free(&replay.sink.out);
	return r;
}
