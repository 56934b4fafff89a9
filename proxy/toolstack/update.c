// SPDX-License-Identifier: MIT
#include "proxy/toolstack/update.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proxy/daemon.h"
#include "proxy/session/ledgers.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/op.h"
#include "proxy/toolstack/request.h"

#define WORDS_MAX	 8
#define BEFORE_ARGUMENTS "\narguments "

/* What systemd keeps from us it need not keep from the starter. */
#define NOT_THERE                                                                                 \
	"xsproxyd sees no such program; it sees nothing below /home, /root and /tmp. xsproxyctl " \
	"xenstored replace --with takes those."
#define NOT_OURS                                                                                   \
	"It is not called as the daemon that runs, xenstored or oxenstored; xsproxyctl xenstored " \
	"replace says what another one would not take."

struct update {
	const struct session *session; /* whose steps these are */
	char file[LEDGERS_DAEMON_MAX];
	char arguments[LEDGERS_DAEMON_MAX];
};

static int say(const struct request *req, const char *text)
{
	struct message msg = { .hdr.type = XS_CONTROL };

	message_set_text(&msg, text, (uint32_t)strlen(text) + 1);
	op_answer_message(&req->asker, &msg);
	return 1;
}

/* What follows the command. Return: how many words, or -EINVAL. */
static int split(const struct request *req, const char *words[WORDS_MAX])
{
	const char *at = (const char *)req->msg.payload, *end = at + req->msg.hdr.len;
	int nr = 0;

	if (at == end || end[-1])
		return -EINVAL;
	for (; at < end && nr < WORDS_MAX; at += strlen(at) + 1)
		words[nr++] = at;
	return at < end ? -EINVAL : nr;
}

static bool is_line(const char *text)
{
	for (; *text; text++)
		if (!isprint((unsigned char)*text))
			return false;
	return true;
}

/*
 * Whether the file is called as the starter knows the daemon that runs: another kind takes less, or
 * other things, and of what is called otherwise the starter does not know which it is.
 */
static bool is_of_our_kind(const struct daemon *daemon, const char *file)
{
	bool ox = daemon->flavour == RINGS_FLAVOUR_OCAML, same;
	char *path = realpath(file, NULL), *slash = path ? strrchr(path, '/') : NULL;

	same = slash && !strcmp(slash + 1, ox ? "oxenstored" : "xenstored");
	free(path);
	return same;
}

static int set_file(struct request *req, const char *file)
{
	struct daemon *daemon = req->daemon;
	struct update *update = daemon->update;
	struct stat st;

	if (*file != '/' || strlen(file) >= sizeof(update->file) || !is_line(file))
		return say(req, "The path of the daemon must be an absolute one.");
	if (stat(file, &st) || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return say(req, NOT_THERE);
	if (!is_of_our_kind(daemon, file))
		return say(req, NOT_OURS);
	if (!update)
		update = daemon->update = calloc(1, sizeof(*update));
	if (!update)
		return -ENOMEM;
	*update = (struct update){ .session = req->asker.session };
	strcpy(update->file, file);
	return 0;
}

static int set_arguments(struct request *req, const char *arguments)
{
	struct update *update = req->daemon->update;

	/* A ledger has room for so much of both (ledgers.h). */
	if (strlen(update->file) + strlen(BEFORE_ARGUMENTS) + strlen(arguments) >=
		    LEDGERS_DAEMON_MAX ||
	    !is_line(arguments))
		return say(req, "The arguments are too long, or more than a line.");
	strcpy(update->arguments, arguments);
	return 0;
}

static int start(struct request *req)
{
	struct daemon *daemon = req->daemon;
	const struct update *update = daemon->update;
	char with[2 * LEDGERS_DAEMON_MAX + 16];
	const char *why;
	struct op *op;

	/* Another kind may run since it was named. */
	if (!is_of_our_kind(daemon, update->file))
		return say(req, NOT_OURS);
	snprintf(with, sizeof(with), "%s%s%s", update->file,
		 *update->arguments ? BEFORE_ARGUMENTS : "", update->arguments);
	if (op_new(&op, daemon, OP_UPDATE, &req->asker, NULL, false))
		return -ENOMEM;
	why = daemon->update_hooks->begin(daemon, with, op);
	if (!why)
		return 1;
	op_free(op);
	return say(req, why);
}

int update_take(struct request *req)
{
	const struct update *update = req->daemon->update;
	const char *words[WORDS_MAX];
	int nr = split(req, words);

	if (nr <= 0 || !req->asker.session || !req->daemon->update_hooks)
		return -EINVAL;
	/* Who was about to do it may be dom0's ring, which never ends. */
	if (nr == 1 && !strcmp(words[0], "-a") && update) {
		update_end(req->daemon, NULL);
		return 0;
	}
	if (update && update->session != req->asker.session)
		return say(req, "Another connection is about to do that.");
	if (nr == 2 && !strcmp(words[0], "-f"))
		return set_file(req, words[1]);
	if (!update)
		return say(req, "No daemon was named.");
	if (nr == 2 && !strcmp(words[0], "-c"))
		return set_arguments(req, words[1]);
	/* -t and -F are about open transactions: here they conflict, and nobody waits for them. */
	return strcmp(words[0], "-s") ? -EINVAL : start(req);
}

void update_done(struct op *op, const char *why)
{
	if (!why)
		update_end(op->daemon, op->asker.session);
	op_finish_text(op, why ? why : "OK");
}

void update_end(struct daemon *daemon, const struct session *s)
{
	if (!daemon->update || (s && daemon->update->session != s))
		return;
	free(daemon->update);
	daemon->update = NULL;
}
