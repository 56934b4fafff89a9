/* SPDX-License-Identifier: MIT */
/*
 * control_command - the commands of the control socket: their names, their arguments, who answers.
 *
 * control_command.c checks a line against the table, so that the functions below see good arguments
 * only. Each answers by control_return() or control_error(), now or later. Called by control.c. A
 * line that the table does not know must never reach a function.
 */
#ifndef XSPROXY_PROXY_CONTROL_CONTROL_COMMAND_H
#define XSPROXY_PROXY_CONTROL_CONTROL_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Domains that one reply lists, so that what a connection holds is bounded. */
#define CONTROL_PAGE_DOMAINS 128
#define CONTROL_PAGE_WATCHES 128 /* likewise */

struct control;
struct daemon;

/*
 * Arguments that were not given are 0, false, NULL. They stay until the command is answered, but
 * for strings and lists, which end with the function that is called.
 */
struct control_args {
	uint32_t domid;
	bool has_domid;
	uint32_t index;
	uint32_t session;
	bool lease;
	bool has_new;
	bool new;
	const char *level;
	json_t *domids; /* numbers */
	json_t *ops;	/* strings */
	const char *path;
	const char *with;
	const char *native;
	uint32_t watches;
	bool force;
	bool whole;
	bool reads;
	bool progress;
	bool check;
	bool events;
	bool has_snap;
	uint32_t snap;
};

/* --- control_show.c */

void control_status(struct control *control, const struct control_args *args);
void control_domains(struct control *control, const struct control_args *args);
void control_domain(struct control *control, const struct control_args *args);
void control_log_level(struct control *control, const struct control_args *args);
void control_reload(struct control *control, const struct control_args *args);

/* --- control_clients.c */

void control_clients(struct control *control, const struct control_args *args);
void control_client(struct control *control, const struct control_args *args);

/* --- control_exchange.c */

void control_replace(struct control *control, const struct control_args *args);
void control_enter(struct control *control, const struct control_args *args);
void control_leave(struct control *control, const struct control_args *args);

/** control_exchange() - for `status`: the one that is under way. */
json_t *control_exchange(const struct daemon *daemon);

/** control_last_exchange() - likewise: what came of the last one. */
json_t *control_last_exchange(const struct daemon *daemon);

/* --- control_mirror.c */

void control_mirror(struct control *control, const struct control_args *args);

/* --- control_tap.c */

void control_stats(struct control *control, const struct control_args *args);
void control_load(struct control *control, const struct control_args *args);
void control_flight(struct control *control, const struct control_args *args);
void control_trace(struct control *control, const struct control_args *args);
void control_metrics(struct control *control, const struct control_args *args);

/* --- control_ask.c: the toolstack requests */

void control_watches(struct control *control, const struct control_args *args);
void control_transactions(struct control *control, const struct control_args *args);
void control_quiesce(struct control *control, const struct control_args *args);
void control_unquiesce(struct control *control, const struct control_args *args);
void control_hold(struct control *control, const struct control_args *args);

#endif
