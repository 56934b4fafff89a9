// SPDX-License-Identifier: MIT
/*
 * cmd_why - why a guest's devices do not get on: what its session waits for, and both ends of each
 * device.
 */
#include "ctl/command.h"
#include "ctl/control.h"
#include "ctl/device.h"
#include "ctl/print.h"
#include "ctl/store.h"
#include "text/buffer.h"
#include "text/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct why {
	bool json;
	size_t nr;
	json_t *devices;
	struct buffer scratch;
};

/* --- the session */

/* The first thing that is in the way; or that nothing is. */
static void print_session(const json_t *domain)
{
	const json_t *request = json_object_get(domain, "unfinished");
	const char *state = print_text(domain, "state");

	printf("%-14s %s", "session", state);
	if (json_is_string(json_object_get(domain, "reason")))
		printf(": %s\n", print_text(domain, "reason"));
	else if (strcmp(state, "running") != 0)
		puts(": it is not served; see xsproxyctl domain");
	else if (print_number(domain, "requests"))
		printf(": waits for xenstored for %" PRId64 " ms\n",
		       print_number(domain, "oldest_ms"));
	else if (json_is_object(request))
		printf(": in the middle of a request for %" PRId64 " s\n",
		       print_number(request, "seconds"));
	else if (print_number(domain, "replies") || print_number(domain, "events"))
		printf(": has not read %" PRId64 " replies and %" PRId64 " events\n",
		       print_number(domain, "replies"), print_number(domain, "events"));
	else
		puts(": all that it asked is answered");
	if (json_is_string(json_object_get(domain, "last_error")))
		printf("%-14s %s\n", "last error", print_text(domain, "last_error"));
}

/* --- devices */

static void print_error(const char *whose, const char *error)
{
	char text[REPORT_OCTETS_MAX];

	if (error)
		printf("%-14s %s: %s\n", "", whose, report_octets(text, error, strlen(error)));
}

static void print_device(const struct device *device)
{
	char name[REPORT_OCTETS_MAX], backend[REPORT_OCTETS_MAX];

	printf("%-14s %s", report_octets(name, device->name, strlen(device->name)),
	       device_state_name(device->front));
	if (device->backend)
		printf(", backend %s %s",
		       report_octets(backend, device->backend, strlen(device->backend)),
		       device_state_name(device->back));
	printf(": %s\n", device_why(device));
	print_error("guest", device->error);
	print_error("backend", device->backend_error);
}

static json_t *text_of(struct why *why, const char *text)
{
	return text ? escape_json(&why->scratch, text, strlen(text)) : json_null();
}

static json_t *state_of(int state)
{
	return state == DEVICE_NO_STATE ? json_null() : json_integer(state);
}

static json_t *device_json(struct why *why, const struct device *device)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:s}", "device", text_of(why, device->name),
			 "state", state_of(device->front), "backend", text_of(why, device->backend),
			 "backend_state", state_of(device->back), "error",
			 text_of(why, device->error), "backend_error",
			 text_of(why, device->backend_error), "why", device_why(device));
}

static int on_device(void *arg, const struct device *device)
{
	struct why *why = arg;

	why->nr++;
	if (why->json)
		return json_array_append_new(why->devices, device_json(why, device)) ? -ENOMEM : 0;
	print_device(device);
	return 0;
}

static int look_at_devices(struct why *why, const struct options *options,
			   const struct report *report)
{
	struct xs_handle *xs = NULL;
	int r = store_open(&xs, options, report);

	if (r)
		return r;
	r = device_each(xs, options->domid, on_device, why);
	store_close(xs);
	return r ? report_fail(report, r, "domain %u: %s", options->domid, report_reason(r)) : 0;
}

int command_why(const struct options *options, const struct report *report)
{
	struct why why = { .json = options->json, .devices = json_array() };
	json_t *domain = NULL;
	int r = control_ask(options, "domain", json_pack("{s:i}", "domid", options->domid), &domain,
			    report);

	if (!r && !why.json) {
		print_session(domain);
		/* If xenstored does not answer nobody flushes it. */
		r = print_end(0, report);
	}
	if (!r)
		r = look_at_devices(&why, options, report);
	if (!r && why.json)
		r = print_end(print_json_new(json_pack("{s:O,s:O}", "domain", domain, "devices",
						       why.devices)),
			      report);
	else if (!r) {
		if (!why.nr)
			puts("it has no devices");
		r = print_end(0, report);
	}
	json_decref(why.devices);
	json_decref(domain);
	free(why.scratch.data);
	return r;
}
