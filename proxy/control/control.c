// SPDX-License-Identifier: MIT
#include "proxy/control/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/control/control_command.h"
#include "proxy/control/control_json.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange.h"
#include "proxy/host/lease.h"
#include "proxy/local.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/mend/mend.h"
#include "proxy/session/who.h"
#include "proxy/toolstack/toolstack.h"

#define CONTROL_SOCKET	  "control"
#define LISTEN_BACKLOG	  128
#define CONNECTIONS_MAX	  64
#define LINE_MAX_OCTETS	  16384
#define ACCEPT_BACKOFF_MS 100
#define STREAM_WAITING	  1048576 /* octets of a stream that its client has not read */
#define NOTES_WAITING	  16384	  /* the same of notes */

/* Callbacks that run from the event loop, for whoever triggers them may be anywhere. */
#define TRIGGER_LATER (BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS)

struct control {
	TAILQ_ENTRY(control) list; /* the one idle longest comes first */
	struct controls *controls;
	struct bufferevent *bev;
	json_t *id; /* of the command under way; NULL when it has none */
	struct control_args args;
	struct who who;
	bool busy;		  /* a command is under way */
	bool eof;		  /* the client sends no more; it may still read */
	bool closing;		  /* once all is written */
	void (*ended)(void *arg); /* it is a stream, this must be told; else NULL */
	void *ended_arg;
};

struct controls {
	struct daemon *daemon;
	int fd;
	struct event *accept_event, *backoff;
	TAILQ_HEAD(control_list, control) open;
	uint32_t count;
};

struct daemon *control_daemon(const struct control *control)
{
	return control->controls->daemon;
}

const struct who *control_who(const struct control *control)
{
	return &control->who;
}

struct control_args *control_args(struct control *control)
{
	return &control->args;
}

/* --- one connection */

/* It may still have to write something. */
static void end_stream(struct control *control)
{
	void (*ended)(void *arg) = control->ended;

	control->ended = NULL;
	control->busy = false;
	control->closing = true;
	ended(control->ended_arg);
}

static void control_free(struct control *control)
{
	if (control->ended)
		end_stream(control);
	toolstack_control_gone(control_daemon(control), control);
	exchange_forget(control_daemon(control)->exchange, control);
	mend_forget(control_daemon(control)->mend, control);
	TAILQ_REMOVE(&control->controls->open, control, list);
	control->controls->count--;
	bufferevent_free(control->bev);
	json_decref(control->id);
	free(control);
}

void control_begin(struct control *control, json_t *id)
{
	control->id = id;
}

/* Without memory for a reply: the client must not wait for one that will never come. */
static void close_later(struct control *control)
{
	control->closing = true;
	bufferevent_trigger(control->bev, EV_WRITE, TRIGGER_LATER);
}

/* Return: 0; or -ENOMEM, and nothing is sent. */
static int send_octets(struct bufferevent *bev, const void *octets, size_t len)
{
	/* libevent may have had no memory to be told of what is written; this makes it look. */
	return bufferevent_enable(bev, EV_WRITE) || bufferevent_write(bev, octets, len) ? -ENOMEM
											: 0;
}

/*
 * Send the line for @object. Not by json_dumps(): jansson leaves out a key for which its buffer
 * cannot grow, and says nothing. Return: 0 or -ENOMEM.
 */
static int send_line(struct bufferevent *bev, const json_t *object)
{
	const size_t flags = JSON_COMPACT | JSON_ENSURE_ASCII;
	size_t len = json_dumpb(object, NULL, 0, flags);
	char *line = len ? malloc(len + 1) : NULL;
	int err = -ENOMEM;

	if (line && json_dumpb(object, line, len, flags) == len) {
		line[len] = '\n';
		err = send_octets(bev, line, len + 1);
	}
	free(line);
	return err;
}

/* Takes over @object, which may be NULL, and the command's id. Return: whether it was sent. */
static bool send_object(struct control *control, json_t *object)
{
	json_t *id = control->id;
	bool sent;

	control->id = NULL;
	control->busy = false;
	sent = !(id && json_object_set_new(object, "id", id)) && object &&
	       !send_line(control->bev, object);
	if (!sent)
		close_later(control);
	json_decref(object);
	return sent;
}

bool control_return(struct control *control, json_t *value)
{
	json_t *object = value ? json_pack("{s:o}", "return", value) : NULL;

	if (object)
		return send_object(control, object);
	control_error(control, "NoMemory", "xsproxyd has no memory for the answer");
	return false;
}

void control_note(struct control *control, json_t *note)
{
	struct evbuffer *out = bufferevent_get_output(control->bev);

	if (note && !(control->id && json_object_set(note, "id", control->id)) &&
	    evbuffer_get_length(out) < NOTES_WAITING)
		send_line(control->bev, note);
	json_decref(note);
}

void control_error(struct control *control, const char *class, const char *fmt, ...)
{
	char desc[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(desc, sizeof(desc), fmt, args);
	va_end(args);
	/* It may quote the client, and be cut in the middle of a character. */
	send_object(control, json_pack("{s:{s:s,s:o}}", "error", "class", class, "desc",
				       control_json_text(desc)));
}

void control_stream(struct control *control, void (*ended)(void *arg), void *arg)
{
	/* Until it ends it has a command under way, so lines are left alone. */
	control->busy = true;
	control->ended = ended;
	control->ended_arg = arg;
}

bool control_write(struct control *control, const void *octets, size_t len)
{
	struct evbuffer *out = bufferevent_get_output(control->bev);

	/* What is left at the end is little, and goes. */
	return (control->closing || evbuffer_get_length(out) < STREAM_WAITING) &&
	       !send_octets(control->bev, octets, len);
}

static bool has_line(struct evbuffer *in)
{
	return evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_LF).pos >= 0;
}

/* Carry out what has come, as far as nothing is under way and the client reads the answers. */
static void take_lines(struct control *control)
{
	struct evbuffer *in = bufferevent_get_input(control->bev);
	struct evbuffer *out = bufferevent_get_output(control->bev);
	size_t len;
	char *line;

	while (!control->busy && !control->closing && !evbuffer_get_length(out)) {
		line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);
		if (!line && has_line(in)) {
			close_later(control);
			return;
		}
		if (!line) {
			if (evbuffer_get_length(in) < LINE_MAX_OCTETS)
				return;
			control_error(control, "BadRequest",
				      "a line is longer than %d octets; the connection ends",
				      LINE_MAX_OCTETS);
			control->closing = true;
			return;
		}
		/* The one that spoke last is the last to be turned away. */
		TAILQ_REMOVE(&control->controls->open, control, list);
		TAILQ_INSERT_TAIL(&control->controls->open, control, list);
		control->busy = true;
		control_line(control, line, len);
		free(line);
	}
}

static void proceed(struct control *control)
{
	struct evbuffer *in = bufferevent_get_input(control->bev);

	/* Whoever reads a stream has nothing to say, but must not hide its end by talking. */
	if (control->ended)
		evbuffer_drain(in, evbuffer_get_length(in));
	if (!control->closing)
		take_lines(control);
	/* Not by a watermark: libevent would call back again and again as long as it is reached. */
	if (evbuffer_get_length(in) >= LINE_MAX_OCTETS)
		bufferevent_disable(control->bev, EV_READ);
	else if (!control->eof)
		bufferevent_enable(control->bev, EV_READ);
}

static void read_cb(struct bufferevent *bev, void *arg)
{
	(void)bev;
	proceed(arg);
}

/* May free @control. */
static void end_if_done(struct control *control)
{
	if ((control->eof || control->closing) && !control->busy &&
	    !evbuffer_get_length(bufferevent_get_output(control->bev)))
		control_free(control);
}

static void write_cb(struct bufferevent *bev, void *arg)
{
	struct control *control = arg;

	/* All is written. */
	(void)bev;
	proceed(control);
	end_if_done(control);
}

static void event_cb(struct bufferevent *bev, short what, void *arg)
{
	struct control *control = arg;

	(void)bev;
	control->eof = true;
	if (control->ended && !(what & BEV_EVENT_ERROR))
		end_stream(control);
	/* Who is gone waits for nothing (docs/protocol.md, "QUIESCE"), but may read its answer. */
	if (control->busy || (what & BEV_EVENT_ERROR))
		control_free(control);
	else
		end_if_done(control);
}

/* --- the socket */

static void control_new(struct controls *controls, int fd)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control) {
		close(fd);
		return;
	}
	control->bev = bufferevent_socket_new(controls->daemon->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!control->bev) {
		close(fd);
		free(control);
		return;
	}
	control->controls = controls;
	who_peer(fd, &control->who);
	TAILQ_INSERT_TAIL(&controls->open, control, list);
	controls->count++;
	bufferevent_setcb(control->bev, read_cb, write_cb, event_cb, control);
	if (bufferevent_enable(control->bev, EV_READ | EV_WRITE))
		control_free(control);
}

/* Return: whether there is room for one more connection. */
static bool make_room(struct controls *controls)
{
	struct control *control;

	if (controls->count < CONNECTIONS_MAX)
		return true;
	TAILQ_FOREACH(control, &controls->open, list) {
		if (control->busy || lease_held(controls->daemon, control))
			continue;
		control_free(control);
		return true;
	}
	return false;
}

static void accept_cb(evutil_socket_t listen_fd, short what, void *arg)
{
	struct controls *controls = arg;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd < 0) {
		if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
			return;
		event_del(controls->accept_event);
		loop_timer(controls->backoff, ACCEPT_BACKOFF_MS);
		return;
	}
	if (!local_peer_allowed(fd)) {
		log_line(LOG_WARNING, "refused a client of another user on the control socket");
		close(fd);
		return;
	}
	if (!make_room(controls)) {
		log_line(LOG_WARNING,
			 "refused a client on the control socket: %d hold leases or "
			 "wait; end some of them",
			 CONNECTIONS_MAX);
		close(fd);
		return;
	}
	control_new(controls, fd);
}

static void backoff_cb(evutil_socket_t fd, short what, void *arg)
{
	struct controls *controls = arg;

	(void)fd;
	(void)what;
	if (event_add(controls->accept_event, NULL))
		loop_timer(controls->backoff, ACCEPT_BACKOFF_MS);
}

static int socket_path(const struct daemon *daemon, char *path, size_t size)
{
	int n = snprintf(path, size, "%s/" CONTROL_SOCKET, daemon->config.run_dir);

	return n >= (int)size ? -ENAMETOOLONG : 0;
}

int controls_new(struct controls **out, struct daemon *daemon)
{
	struct controls *controls = calloc(1, sizeof(*controls));
	char path[CONFIG_PATH_MAX + sizeof(CONTROL_SOCKET) + 1];

	if (!controls)
		return -ENOMEM;
	controls->daemon = daemon;
	TAILQ_INIT(&controls->open);
	controls->fd = socket_path(daemon, path, sizeof(path));
	if (!controls->fd)
		controls->fd = local_listen(path, LISTEN_BACKLOG);
	if (controls->fd < 0) {
		int err = controls->fd;

		log_line(LOG_ERR, "cannot listen on %s: %s", path, strerror(-err));
		free(controls);
		return err;
	}
	controls->accept_event =
		event_new(daemon->base, controls->fd, EV_READ | EV_PERSIST, accept_cb, controls);
	controls->backoff = evtimer_new(daemon->base, backoff_cb, controls);
	if (!controls->accept_event || !controls->backoff ||
	    event_add(controls->accept_event, NULL)) {
		controls_free(controls);
		return -ENOMEM;
	}
	*out = controls;
	return 0;
}

struct controls *controls_free(struct controls *controls)
{
	char path[CONFIG_PATH_MAX + sizeof(CONTROL_SOCKET) + 1];
	struct control *control;

	if (!controls)
		return NULL;
	while ((control = TAILQ_FIRST(&controls->open)))
		control_free(control);
	if (controls->accept_event)
		event_free(controls->accept_event);
	if (controls->backoff)
		event_free(controls->backoff);
	if (!socket_path(controls->daemon, path, sizeof(path)))
		unlink(path);
	close(controls->fd);
	free(controls);
	return NULL;
}
