// SPDX-License-Identifier: MIT
#include "proxy/control/control_command.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "link/arena.h"
#include "proxy/control/control.h"

enum argument_kind {
	ARGUMENT_DOMID,
	ARGUMENT_NUMBER,
	ARGUMENT_BOOL,
	ARGUMENT_TEXT,
	ARGUMENT_DOMIDS,
	ARGUMENT_TEXTS,
};

#define TAKES_DOMID   1u /* and needs it */
#define MAY_DOMID     2u
#define TAKES_INDEX   4u
#define TAKES_LEASE   8u
#define TAKES_NEW     16u
#define TAKES_LEVEL   32u
#define TAKES_FILTER  64u
#define TAKES_WITH    128u
#define TAKES_NATIVE  256u
#define TAKES_FORCE   512u
#define TAKES_READS   1024u
#define TAKES_CHECK   2048u
#define TAKES_SESSION 4096u

#define AT(field)     offsetof(struct control_args, field)

static const struct argument {
	const char *name;
	uint32_t taken_by; /* commands with any of these bits */
	enum argument_kind kind;
	size_t offset;
	size_t given; /* offset of the flag that says so, or 0 (which none has) */
	const char *allowed;
} arguments[] = {
	{ "domid", TAKES_DOMID | MAY_DOMID, ARGUMENT_DOMID, AT(domid), AT(has_domid),
	  "a domain id, 0 to 32751" },
	{ "index", TAKES_INDEX, ARGUMENT_NUMBER, AT(index), 0, "a number from 0 on" },
	{ "session", TAKES_SESSION, ARGUMENT_NUMBER, AT(session), 0, "a session's number" },
	{ "lease", TAKES_LEASE, ARGUMENT_BOOL, AT(lease), 0, "true or false" },
	{ "new", TAKES_NEW, ARGUMENT_BOOL, AT(new), AT(has_new), "true or false" },
	{ "level", TAKES_LEVEL, ARGUMENT_TEXT, AT(level), 0, "a string" },
	{ "domids", TAKES_FILTER, ARGUMENT_DOMIDS, AT(domids), 0, "a list of domain ids" },
	{ "ops", TAKES_FILTER, ARGUMENT_TEXTS, AT(ops), 0, "a list of names" },
	{ "path", TAKES_FILTER, ARGUMENT_TEXT, AT(path), 0, "a string" },
	{ "events", TAKES_FILTER, ARGUMENT_BOOL, AT(events), 0, "true or false" },
	{ "with", TAKES_WITH, ARGUMENT_TEXT, AT(with), 0, "a string" },
	{ "native", TAKES_NATIVE, ARGUMENT_TEXT, AT(native), 0, "a string" },
	{ "watches", TAKES_NATIVE, ARGUMENT_NUMBER, AT(watches), 0, "a number from 0 on" },
	{ "force", TAKES_FORCE, ARGUMENT_BOOL, AT(force), 0, "true or false" },
	{ "whole", TAKES_FORCE, ARGUMENT_BOOL, AT(whole), 0, "true or false" },
	{ "reads", TAKES_READS, ARGUMENT_BOOL, AT(reads), 0, "true or false" },
	{ "check", TAKES_WITH | TAKES_CHECK, ARGUMENT_BOOL, AT(check), 0, "true or false" },
	{ "progress", TAKES_WITH | TAKES_CHECK, ARGUMENT_BOOL, AT(progress), 0, "true or false" },
	{ "snap", TAKES_FILTER, ARGUMENT_NUMBER, AT(snap), AT(has_snap), "a number from 0 on" },
};

#undef AT

#define NR_ARGUMENTS (sizeof(arguments) / sizeof(arguments[0]))

static const struct command {
	const char *name;
	uint32_t takes;
	void (*run)(struct control *control, const struct control_args *args);
} commands[] = {
	{ "status", 0, control_status },
	{ "domains", TAKES_INDEX, control_domains },
	{ "domain", TAKES_DOMID, control_domain },
	{ "clients", TAKES_INDEX, control_clients },
	{ "client", TAKES_SESSION | TAKES_INDEX, control_client },
	{ "watches", TAKES_DOMID | TAKES_INDEX, control_watches },
	{ "transactions", TAKES_DOMID, control_transactions },
	{ "quiesce", TAKES_DOMID | TAKES_LEASE, control_quiesce },
	{ "unquiesce", TAKES_DOMID, control_unquiesce },
	{ "hold", MAY_DOMID | TAKES_NEW, control_hold },
	{ "log-level", TAKES_LEVEL, control_log_level },
	{ "reload", 0, control_reload },
	{ "stats", MAY_DOMID, control_stats },
	{ "load", TAKES_INDEX, control_load },
	{ "metrics", 0, control_metrics },
	{ "flight", TAKES_DOMID, control_flight },
	{ "trace", TAKES_FILTER | TAKES_NEW, control_trace },
	{ "replace", TAKES_WITH | TAKES_READS, control_replace },
	{ "enter", TAKES_WITH | TAKES_NATIVE, control_enter },
	{ "leave", TAKES_WITH | TAKES_READS | TAKES_FORCE, control_leave },
	{ "mirror", TAKES_CHECK, control_mirror },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static const struct argument *find_argument(const struct command *command, const char *name)
{
	for (size_t i = 0; i < NR_ARGUMENTS; i++)
		if (!strcmp(arguments[i].name, name) && (command->takes & arguments[i].taken_by))
			return &arguments[i];
	return NULL;
}

static bool is_domid(json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 0 &&
	       json_integer_value(value) < ARENA_DOMID_MAX;
}

static bool is_number(json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 0 &&
	       json_integer_value(value) <= UINT32_MAX;
}

static bool is_text(json_t *value)
{
	return json_is_string(value);
}

static bool is_list_of(json_t *list, bool (*is)(json_t *value))
{
	json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
	{
		if (!is(value))
			return false;
	}
	return json_is_array(list);
}

/* Return: whether the value is one that the argument allows. */
static bool set_argument(struct control_args *args, const struct argument *argument, json_t *value)
{
	void *to = (char *)args + argument->offset;

	if (argument->given)
		*(bool *)((char *)args + argument->given) = true;
	switch (argument->kind) {
	case ARGUMENT_DOMID:
	case ARGUMENT_NUMBER:
		if (argument->kind == ARGUMENT_DOMID ? !is_domid(value) : !is_number(value))
			return false;
		*(uint32_t *)to = (uint32_t)json_integer_value(value);
		return true;
	case ARGUMENT_BOOL:
		*(bool *)to = json_is_true(value);
		return json_is_boolean(value);
	case ARGUMENT_TEXT:
		*(const char **)to = json_string_value(value);
		return json_is_string(value);
	case ARGUMENT_DOMIDS:
		*(json_t **)to = value;
		return is_list_of(value, is_domid);
	case ARGUMENT_TEXTS:
		*(json_t **)to = value;
		return is_list_of(value, is_text);
	}
	return false;
}

static bool set_arguments(struct control *control, const struct command *command, json_t *given,
			  struct control_args *args)
{
	const char *name;
	json_t *value;

	json_object_foreach(given, name, value)
	{
		const struct argument *argument = find_argument(command, name);

		if (!argument) {
			control_error(control, "BadRequest", "%s takes no argument '%.40s'",
				      command->name, name);
			return false;
		}
		if (!set_argument(args, argument, value)) {
			control_error(control, "BadRequest", "%s: %s must be %s", command->name,
				      name, argument->allowed);
			return false;
		}
	}
	if ((command->takes & TAKES_DOMID) && !args->has_domid) {
		control_error(control, "BadRequest", "%s needs the argument domid", command->name);
		return false;
	}
	return true;
}

/* The command in a line's object, checked; NULL when it was answered with an error. */
static const struct command *read_object(struct control *control, json_t *object,
					 struct control_args *args)
{
	json_t *execute = json_object_get(object, "execute");
	json_t *given = json_object_get(object, "arguments");
	const struct command *command;
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (!strcmp(name, "execute") || !strcmp(name, "arguments") || !strcmp(name, "id"))
			continue;
		control_error(control, "BadRequest", "'%.40s' is none of execute, arguments and id",
			      name);
		return NULL;
	}
	if (!json_is_string(execute) || (given && !json_is_object(given))) {
		control_error(
			control, "BadRequest",
			"a request is {\"execute\":\"COMMAND\",\"arguments\":{...},\"id\":...}");
		return NULL;
	}
	command = find_command(json_string_value(execute));
	if (!command) {
		control_error(control, "CommandNotFound", "there is no command '%.40s'",
			      json_string_value(execute));
		return NULL;
	}
	return set_arguments(control, command, given, args) ? command : NULL;
}

void control_line(struct control *control, const char *line, size_t len)
{
	struct control_args *args = control_args(control);
	const struct command *command;
	json_error_t error;
	json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);

	if (!json_is_object(object)) {
		json_decref(object);
		control_begin(control, NULL);
		control_error(control, "BadRequest", "not a JSON object: %.120s",
			      object ? "another kind of value" : error.text);
		return;
	}
	control_begin(control, json_incref(json_object_get(object, "id")));
	*args = (struct control_args){ .domid = 0 };
	command = read_object(control, object, args);
	if (command)
		command->run(control, args);
	json_decref(object);
}
