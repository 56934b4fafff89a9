// SPDX-License-Identifier: MIT
#include "proxy/metrics/metrics.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/local.h"
#include "proxy/log.h"
#include "proxy/metrics/metrics_text.h"

#define CONNECTIONS	 8
#define LISTEN_BACKLOG	 16
#define IDLE_SECONDS	 5 /* without an octet */
#define LIFE_NS		 10000000000u
#define FRESH_NS	 1000000000u
#define SWEEP_USEC	 250000
#define HEADERS_MAX	 8192
#define INPUT_MAX	 16384u /* what nobody has taken yet; libevent itself refuses long headers */
#define TEXT_CONTENT	 "text/plain; version=0.0.4; charset=utf-8"
#define LISTENER_OPTIONS (LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE)

/*
 * libevent tells of a connection only once it has sent a whole request. So we hold a reference to
 * its buffers from the beginning, and look whether libevent still uses them.
 */
struct connection {
	struct bufferevent *bev; /* NULL: free */
	uint64_t end;		 /* when it must be over */
};

struct metrics {
	struct daemon *daemon;
	struct listen_at at;
	struct evhttp *http;
	struct evconnlistener *listener; /* http's */
	struct event *sweep;
	struct connection connections[CONNECTIONS];
	struct metrics_text text;
	uint64_t written; /* when the text was */
};

/* --- connections */

static bool is_over(struct bufferevent *bev)
{
	bufferevent_event_cb event_cb;

	bufferevent_getcb(bev, NULL, NULL, &event_cb, NULL);
	return !event_cb;
}

/*
 * Its time is up, or it sends what nobody takes: libevent has no limit of its own for the line
 * before a chunk, nor for what follows a request that is being answered.
 */
static bool is_too_much(const struct connection *connection, uint64_t now)
{
	const struct evbuffer *in = bufferevent_get_input(connection->bev);

	return now >= connection->end || evbuffer_get_length(in) >= INPUT_MAX;
}

/* Return: whether it is free now. */
static bool sweep_connection(struct connection *connection, uint64_t now)
{
	struct bufferevent *bev = connection->bev;

	if (!bev)
		return true;
	if (!is_over(bev) && is_too_much(connection, now))
		bufferevent_trigger_event(bev, BEV_EVENT_TIMEOUT | BEV_EVENT_READING, 0);
	if (!is_over(bev))
		return false;
	bufferevent_decref(bev);
	connection->bev = NULL;
	return true;
}

static void sweep_soon(struct metrics *metrics)
{
	static const struct timeval delay = { .tv_usec = SWEEP_USEC };

	if (!evtimer_pending(metrics->sweep, NULL))
		evtimer_add(metrics->sweep, &delay);
}

static void sweep_cb(evutil_socket_t fd, short what, void *arg)
{
	struct metrics *metrics = arg;
	uint64_t now = clock_monotonic();
	int nr_free = 0;

	(void)fd;
	(void)what;
	for (int i = 0; i < CONNECTIONS; i++)
		nr_free += sweep_connection(&metrics->connections[i], now);
	if (nr_free)
		evconnlistener_enable(metrics->listener);
	if (nr_free < CONNECTIONS)
		sweep_soon(metrics);
}

/* libevent has accepted a connection and wants buffers for it. */
static struct bufferevent *accepted_cb(struct event_base *base, void *arg)
{
	struct metrics *metrics = arg;
	struct connection *connection = NULL;
	int nr_free = 0;

	for (int i = 0; i < CONNECTIONS; i++) {
		if (metrics->connections[i].bev)
			continue;
		connection = &metrics->connections[i];
		nr_free++;
	}
	/* With this one there are as many as may be; others wait for the sweep. */
	if (nr_free <= 1)
		evconnlistener_disable(metrics->listener);
	sweep_soon(metrics);
	if (!connection)
		return NULL;
	connection->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (!connection->bev)
		return NULL;
	bufferevent_incref(connection->bev);
	bufferevent_setwatermark(connection->bev, EV_READ, 0, INPUT_MAX);
	connection->end = clock_monotonic() + LIFE_NS;
	return connection->bev;
}

/* There are no descriptors, most likely: try again a little later. */
static void accept_error_cb(struct evconnlistener *listener, void *arg)
{
	evconnlistener_disable(listener);
	sweep_soon(arg);
}

static void closed_cb(struct evhttp_connection *connection, void *arg)
{
	struct metrics *metrics = arg;

	(void)connection;
	event_active(metrics->sweep, EV_TIMEOUT, 0);
}

/* --- answers */

static int refresh(struct metrics *metrics)
{
	uint64_t now = clock_monotonic();

	if (metrics->written && now - metrics->written < FRESH_NS)
		return 0;
	if (metrics_text_write(&metrics->text, metrics->daemon))
		return -ENOMEM;
	metrics->written = now;
	return 0;
}

static void answer(struct evhttp_request *request, int code, const char *reason,
		   const char *content, const char *text, size_t len)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	struct evbuffer *body = evhttp_request_get_output_buffer(request);

	evhttp_add_header(headers, "Content-Type", content);
	evhttp_add_header(headers, "Connection", "close");
	if (evbuffer_add(body, text, len))
		evhttp_send_error(request, HTTP_INTERNAL, NULL);
	else
		evhttp_send_reply(request, code, reason, NULL);
}

static void refuse(struct evhttp_request *request, int code, const char *reason, const char *why)
{
	answer(request, code, reason, "text/plain", why, strlen(why));
}

static void request_cb(struct evhttp_request *request, void *arg)
{
	struct metrics *metrics = arg;
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));

	evhttp_connection_set_closecb(evhttp_request_get_connection(request), closed_cb, metrics);
	if (!path || strcmp(path, "/metrics") != 0) {
		refuse(request, HTTP_NOTFOUND, "Not Found", "there is only /metrics\n");
	} else if (evhttp_request_get_command(request) != EVHTTP_REQ_GET) {
		evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET");
		refuse(request, HTTP_BADMETHOD, "Method Not Allowed", "there is only GET\n");
	} else if (refresh(metrics)) {
		refuse(request, HTTP_SERVUNAVAIL, "Service Unavailable", "out of memory\n");
	} else {
		answer(request, HTTP_OK, "OK", TEXT_CONTENT, metrics->text.text, metrics->text.len);
	}
}

/* --- the listener */

/* Whatever lies there is replaced if it is a socket. Return: a descriptor or a negative errno. */
static int listen_unix(const char *path)
{
	struct stat st;

	if (!lstat(path, &st) && !S_ISSOCK(st.st_mode))
		return -EEXIST;
	return local_listen(path, LISTEN_BACKLOG);
}

/* Return: 0 or a negative errno. */
static int listen_at(struct metrics *metrics)
{
	struct listen_at *at = &metrics->at;
	struct event_base *base = metrics->daemon->base;
	int fd;

	if (at->any.sa_family != AF_UNIX) {
		metrics->listener = evconnlistener_new_bind(base, NULL, NULL, LISTENER_OPTIONS,
							    LISTEN_BACKLOG, &at->any, (int)at->len);
		return metrics->listener ? 0 : errno ? -errno : -ENOMEM;
	}
	fd = listen_unix(at->un.sun_path);
	if (fd < 0)
		return fd;
	metrics->listener = evconnlistener_new(base, NULL, NULL, LISTENER_OPTIONS, 0, fd);
	if (metrics->listener)
		return 0;
	close(fd);
	return -ENOMEM;
}

static int serve(struct metrics *metrics)
{
	metrics->http = evhttp_new(metrics->daemon->base);
	if (!metrics->http || !evhttp_bind_listener(metrics->http, metrics->listener)) {
		evconnlistener_free(metrics->listener);
		return -ENOMEM;
	}
	metrics->sweep = evtimer_new(metrics->daemon->base, sweep_cb, metrics);
	if (!metrics->sweep)
		return -ENOMEM;
	evconnlistener_set_error_cb(metrics->listener, accept_error_cb);
	evhttp_set_bevcb(metrics->http, accepted_cb, metrics);
	evhttp_set_gencb(metrics->http, request_cb, metrics);
	evhttp_set_timeout(metrics->http, IDLE_SECONDS);
	evhttp_set_max_headers_size(metrics->http, HEADERS_MAX);
	evhttp_set_max_body_size(metrics->http, 0);
	return 0;
}

/* As the package starts it, xsproxyd has no network, and few places for a socket. */
static const char *what_to_do(const struct listen_at *at, int err)
{
	bool is_network = at->any.sa_family == AF_INET || at->any.sa_family == AF_INET6;

	if (is_network && (err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL || err == -EPERM))
		return "the service needs xsproxy.service.d/metrics.conf for it, see "
		       "xsproxy.conf(5)";
	return "correct [metrics] listen and restart xsproxyd";
}

static void tell(struct metrics *metrics, int err)
{
	struct daemon *daemon = metrics->daemon;
	char text[NOTIFY_TEXT_MAX];

	snprintf(text, sizeof(text), "no metrics: cannot listen on %s: %s; %s",
		 daemon->config.metrics_listen, strerror(-err), what_to_do(&metrics->at, err));
	log_line(LOG_ERR, "%s", text);
	notify_wrong(&daemon->notify, NOTIFY_METRICS, text);
}

int metrics_read(struct metrics *metrics, const char **text)
{
	int err = refresh(metrics);

	*text = metrics->text.text;
	return err;
}

/* Return: 0, also when nobody can listen, or -ENOMEM. */
static int begin(struct metrics *metrics)
{
	const char *where = metrics->daemon->config.metrics_listen;
	int err;

	if (!strcmp(where, LISTEN_OFF))
		return 0;
	err = listen_parse(&metrics->at, where);
	if (!err)
		err = listen_at(metrics);
	if (err) {
		tell(metrics, err);
		return 0;
	}
	err = serve(metrics);
	if (!err)
		log_line(LOG_NOTICE, "metrics on %s", where);
	return err;
}

int metrics_new(struct metrics **out, struct daemon *daemon)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));
	int err;

	if (!metrics)
		return -ENOMEM;
	metrics->daemon = daemon;
	err = begin(metrics);
	if (err) {
		metrics_free(metrics);
		return err;
	}
	*out = metrics;
	return 0;
}

struct metrics *metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return NULL;
	if (metrics->http)
		evhttp_free(metrics->http);
	for (int i = 0; i < CONNECTIONS; i++)
		if (metrics->connections[i].bev)
			bufferevent_decref(metrics->connections[i].bev);
	if (metrics->sweep)
		event_free(metrics->sweep);
	if (metrics->http && metrics->at.any.sa_family == AF_UNIX)
		unlink(metrics->at.un.sun_path);
	metrics_text_fini(&metrics->text);
	free(metrics);
	return NULL;
}
