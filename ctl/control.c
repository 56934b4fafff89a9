// SPDX-License-Identifier: MIT
/*
 * control - see control.h.
 */
#include "ctl/control.h"

#include "trace/outbuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE     16384u
#define QUIET_SECONDS 5

struct control {
	int fd;
};

/* Of a socket that has a limit of time, or of a call that has none. */
static int socket_error(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;
}

/* @seconds: 0 for no limit */
static int connect_to(const char *path, unsigned int seconds)
{
	const struct timeval limit = { .tv_sec = (time_t)seconds };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	strcpy(addr.sun_path, path); /* options.c has checked that it fits */
	/* The limit for sending is that for connecting, too. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		r = socket_error();
	if (r)
		close(fd);
	return r ? r : fd;
}

int control_open_within(struct control **out, const struct options *options, unsigned int seconds,
			const struct report *report)
{
	struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	control->fd = connect_to(options->control, seconds);
	if (control->fd < 0) {
		r = control->fd;
		free(control);
		return report_no_connection(report, r, options->control);
	}
	*out = control;
	return 0;
}

int control_open(struct control **out, const struct options *options, const struct report *report)
{
	return control_open_within(out, options, 0, report);
}

int control_may(const struct options *options, const struct report *report)
{
	int fd = connect_to(options->control, 1);

	if (fd == -EACCES || fd == -EPERM)
		return report_no_connection(report, fd, options->control);
	if (fd >= 0)
		close(fd);
	return 0;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	close(control->fd);
	free(control);
}

static int send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return socket_error();
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_request(struct control *control, const char *command, json_t *arguments)
{
	json_t *request = json_pack("{s:s,s:o}", "execute", command, "arguments", arguments);
	char *text = json_dumps(request, JSON_COMPACT);
	int r = -ENOMEM;

	json_decref(request);
	if (text) {
		r = send_all(control->fd, text, strlen(text));
		if (!r)
			r = send_all(control->fd, "\n", 1);
	}
	free(text);
	return r;
}

/* Read to the end of a line, and nothing of what follows it: that may be no line (control_fd()). */
static int receive_line(struct control *control, struct outbuf *line)
{
	char part[READ_SIZE];
	const char *end = NULL;

	while (!end) {
		ssize_t n = recv(control->fd, part, sizeof(part), MSG_PEEK);

		if (n > 0) {
			end = memchr(part, '\n', (size_t)n);
			if (end)
				n = end - part + 1;
			n = recv(control->fd, part, (size_t)n, MSG_WAITALL);
		}
		if (n < 0)
			return socket_error();
		if (!n)
			return -ECONNRESET;
		outbuf_add(line, part, (size_t)n);
	}
	return line->failed ? -ENOMEM : 0;
}

int control_receive(struct control *control, json_t **out)
{
	struct outbuf line = { 0 };
	int r = receive_line(control, &line);

	*out = NULL;
	if (!r)
		*out = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
	if (!r && !json_is_object(*out)) {
		json_decref(*out);
		*out = NULL;
		r = -EBADMSG;
	}
	outbuf_free(&line);
	return r;
}

static int no_answer(int r, const struct report *report)
{
	return report_fail(report, r, "xsproxyd does not answer: %s; see its log",
			   report_reason(r));
}

int control_start(struct control *control, const char *command, json_t *arguments,
		  const struct report *report)
{
	int r = send_request(control, command, arguments);

	return r ? no_answer(r, report) : 0;
}

int control_finish(struct control *control, json_t **out, const struct report *report)
{
	const char *desc;
	json_t *reply;
	int r = control_receive(control, &reply);

	if (r)
		return no_answer(r, report);
	desc = json_string_value(json_object_get(json_object_get(reply, "error"), "desc"));
	*out = json_incref(json_object_get(reply, "return"));
	if (!*out)
		r = report_fail(report, -EREMOTEIO, "%s", desc ? desc : "xsproxyd makes no sense");
	json_decref(reply);
	return r;
}

int control_fd(const struct control *control)
{
	return control->fd;
}

int control_run(struct control *control, const char *command, json_t *arguments, json_t **out,
		const struct report *report)
{
	int r = control_start(control, command, arguments, report);

	return r ? r : control_finish(control, out, report);
}

int control_ask(const struct options *options, const char *command, json_t *arguments, json_t **out,
		const struct report *report)
{
	struct control *control = NULL;
	int r = control_open(&control, options, report);

	if (r)
		json_decref(arguments);
	else
		r = control_run(control, command, arguments, out, report);
	control_free(control);
	return r;
}

json_t *control_ask_quietly(const struct options *options, const char *command, json_t *arguments)
{
	struct report nobody = { fopen("/dev/null", "we"), "" };
	struct control *control = NULL;
	json_t *out = NULL;

	if (!nobody.out || control_open_within(&control, options, QUIET_SECONDS, &nobody))
		json_decref(arguments);
	else if (control_run(control, command, arguments, &out, &nobody))
		out = NULL;
	control_free(control);
	if (!nobody.out)
		return NULL;
	fclose(nobody.out);
	return out;
}

int control_wait(struct control *control)
{
	char octet;
	ssize_t n;

	do {
		n = read(control->fd, &octet, 1);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n ? -errno : -ECONNRESET;
}
