/* SPDX-License-Identifier: MIT */
/*
 * control - the control socket, <run-dir>/control: one JSON object a line both ways
 * (docs/protocol.md, "Control socket").
 *
 * control.c accepts, cuts lines and sends; control_command.c parses a line and finds the command;
 * control_show.c and control_ask.c answer. A connection carries out one command at a time and reads
 * no further one while its replies are not read, so what it costs is bounded; when there are too
 * many connections the one that has been idle longest has to go.
 *
 * Whoever can connect is dom0: the directory is 0700, the socket 0600, and peers are checked.
 */
#ifndef XSPROXY_PROXY_CONTROL_CONTROL_H
#define XSPROXY_PROXY_CONTROL_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct controls;
struct control; /* one connection */
struct control_args;
struct daemon;
struct who;

/** controls_new() - listen. Return: 0, or a negative errno; the reason has been logged. */
int controls_new(struct controls **out, struct daemon *daemon);

/**
 * controls_free() - close all; leased domains go on. NULL is fine; returns NULL. The domains must
 * still be there.
 */
struct controls *controls_free(struct controls *controls);

/* --- between the control_*.c */

/** control_line() - carry out a line, or the beginning of it: @control is answered, maybe later. */
void control_line(struct control *control, const char *line, size_t len);

/** control_daemon() - for the commands. */
struct daemon *control_daemon(const struct control *control);

/** control_who() - who is at the other end. */
const struct who *control_who(const struct control *control);

/** control_args() - the arguments of the command under way (control_command.h). */
struct control_args *control_args(struct control *control);

/**
 * control_begin() - a command begins.
 * @id: what the client calls it, or NULL; taken over
 */
void control_begin(struct control *control, json_t *id);

/**
 * control_return() - answer the command that was begun.
 * @value: taken over; NULL means that memory ran out
 *
 * Return: whether @value was sent; if not, the client gets an error, or the connection ends.
 */
bool control_return(struct control *control, json_t *value);

/**
 * control_note() - say how the command under way gets on: an object that is no answer, for a client
 * that has asked for it. One that does not read misses some.
 * @note: taken over; NULL means that memory ran out
 */
void control_note(struct control *control, json_t *note);

/** control_error() - answer the command that was begun, or a line that is no command. */
void control_error(struct control *control, const char *class, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * control_stream() - after control_return(): the connection carries octets, no lines, until it
 * ends.
 * @ended: called when it has ended; may write what is left, which a client reads that has only
 * ended its own side
 */
void control_stream(struct control *control, void (*ended)(void *arg), void *arg);

/**
 * control_write() - send octets on such a connection. Return: false when too much waits already, or
 * without memory; nothing is sent then.
 */
bool control_write(struct control *control, const void *octets, size_t len);

#endif
