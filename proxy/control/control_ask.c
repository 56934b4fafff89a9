// SPDX-License-Identifier: MIT
/*
 * control_ask - the toolstack requests by the control socket: JSON to the wire's form, the wire's
 * reply to JSON. What they mean is decided in toolstack.c alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/message.h"
#include "proxy/control/control.h"
#include "proxy/control/control_command.h"
#include "proxy/control/control_json.h"
#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/hold.h"
#include "proxy/host/holds.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/session/rest.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/op.h"
#include "proxy/toolstack/toolstack.h"

/* As many as a message can hold */
#define MESSAGE_STRINGS XENSTORE_PAYLOAD_MAX

static void not_ready(struct control *control)
{
	control_error(control, "NotReady",
		      "there is no xenstored with the bridge; start xenstored first");
}

/* What a QUIESCE waited for in vain. */
static void explain_busy(struct control *control, uint32_t domid)
{
	const struct session *s = domains_session(control_daemon(control)->domains, domid);
	char text[REST_TEXT_MAX] = "";

	if (s)
		rest_text(s, text);
	if (s && session_state(s) == LEDGER_ENDED)
		control_error(control, "Busy", "domain %u cannot be quiesced: %s", domid, text);
	else
		control_error(control, "Busy",
			      "domain %u did not come to rest in time and runs on%s%s", domid,
			      *text ? ": " : "; try again", text);
}

static void explain(struct control *control, int err)
{
	uint32_t domid = control_args(control)->domid;

	switch (err) {
	case ENOENT:
		control_error(control, "NotFound", "domain %u is not introduced", domid);
		break;
	case EEXIST:
		control_error(control, "Exists",
			      "domain %u is introduced already; quiesce it instead", domid);
		break;
	case EBUSY:
		explain_busy(control, domid);
		break;
	case EINVAL:
		control_error(control, "BadRequest", "domain %u cannot be quiesced or held", domid);
		break;
	case EAGAIN:
		not_ready(control);
		break;
	case ENOMEM:
		control_error(control, "NoMemory", "xsproxyd has no memory for this; try again");
		break;
	default:
		control_error(control, "Failed", "domain %u: %s", domid, message_error_name(err));
	}
}

/* Return: whether the reply is good; else the client has its error. */
static bool good(struct control *control, const struct message *msg)
{
	if (msg->hdr.type != XS_ERROR)
		return true;
	explain(control, message_error_parse(msg->payload, msg->hdr.len));
	return false;
}

static void ask(struct control *control, uint32_t type, bool with_index,
		void (*reply)(void *arg, const struct message *msg))
{
	const struct control_args *args = control_args(control);
	struct message msg = { .hdr.type = type };
	int n = snprintf((char *)msg.payload, sizeof(msg.payload), "%u", args->domid) + 1;

	if (with_index)
		n += snprintf((char *)msg.payload + n, sizeof(msg.payload) - (size_t)n, "%u",
			      args->index) +
		     1;
	msg.hdr.len = (uint32_t)n;
	toolstack_ask(control_daemon(control), &msg,
		      &(struct asker){ .slot = -1,
				       .reply = reply,
				       .arg = control,
				       .lease = args->lease,
				       .who = *control_who(control) });
}

/* --- quiesce, unquiesce, hold */

static void done(void *arg, const struct message *msg)
{
	if (good(arg, msg))
		control_return(arg, json_object());
}

void control_quiesce(struct control *control, const struct control_args *args)
{
	(void)args;
	ask(control, MESSAGE_QUIESCE, false, done);
}

void control_unquiesce(struct control *control, const struct control_args *args)
{
	(void)args;
	ask(control, MESSAGE_UNQUIESCE, false, done);
}

void control_hold(struct control *control, const struct control_args *args)
{
	const struct memory *memory = upstream_memory(control_daemon(control)->upstream);

	if (args->has_domid == args->has_new) {
		control_error(control, "BadRequest", "hold needs either domid or new");
	} else if (args->has_domid) {
		ask(control, MESSAGE_HOLD, false, done);
	} else if (!memory) {
		not_ready(control);
	} else {
		hold_new_set(&memory->ledgers, args->new);
		holds_set_new(control_daemon(control)->holds, args->new, control_who(control));
		control_return(control, json_object());
	}
}

/* --- watches, transactions */

/*
 * {"generation":N,"watches":[{"path":..,"token":..}...],"next":INDEX or null}. A pair with an empty
 * path, which no watch has, is the depth of the watch that follows (docs/protocol.md,
 * "GET_DOMAIN_WATCHES").
 */
static void watches(void *arg, const struct message *msg)
{
	struct control *control = arg;
	uint32_t index = control_args(control)->index, n = 0;
	const char *vec[MESSAGE_STRINGS], *depth = NULL;
	json_t *list, *object;
	int strings;

	if (!good(control, msg))
		return;
	strings = message_strings(msg->payload, msg->hdr.len, vec, MESSAGE_STRINGS);
	list = json_array();
	for (int i = 1; i + 1 < strings; i += 2) {
		json_t *watch;

		if (!*vec[i]) {
			depth = vec[i + 1];
			continue;
		}
		watch = json_pack("{s:o,s:o}", "path", control_json_text(vec[i]), "token",
				  control_json_text(vec[i + 1]));
		if (depth)
			json_object_set_new(watch, "depth", control_json_text(depth));
		control_json_append(&list, watch);
		depth = NULL;
		n++;
	}
	object = json_pack("{s:I,s:o}", "generation", (json_int_t)strtoul(vec[0], NULL, 10),
			   "watches", list);
	/* Only an empty page says that there is no further one. */
	json_object_set_new(object, "next", n ? json_integer(index + n) : json_null());
	control_return(control, object);
}

void control_watches(struct control *control, const struct control_args *args)
{
	(void)args;
	ask(control, MESSAGE_GET_DOMAIN_WATCHES, true, watches);
}

/* {"transactions":[ID...]} */
static void transactions(void *arg, const struct message *msg)
{
	struct control *control = arg;
	const char *text = (const char *)msg->payload, *end = text + msg->hdr.len;
	json_t *list;

	if (!good(control, msg))
		return;
	list = json_array();
	for (; text < end; text += strlen(text) + 1)
		control_json_append(&list, json_integer((json_int_t)strtoul(text, NULL, 10)));
	control_return(control, json_pack("{s:o}", "transactions", list));
}

void control_transactions(struct control *control, const struct control_args *args)
{
	(void)args;
	ask(control, MESSAGE_GET_DOMAIN_TRANSACTIONS, false, transactions);
}
