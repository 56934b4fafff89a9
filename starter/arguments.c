// SPDX-License-Identifier: MIT
/*
 * arguments - see arguments.h. The options are those of Xen 4.17 to 4.22; the C daemon's may be
 * shortened, as getopt_long(3) has it, oxenstored's not.
 */
#include "starter/arguments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MORE 3 /* words: the program, and up to two that have a state read */

enum meaning {
	UNKNOWN,
	NO_FORK,
	PID_FILE,	/* with a value */
	NO_DOMAIN_INIT, /* the C daemon's up to 4.18 */
	OTHER_VALUE,	/* of the one kind alone, with a value */
};

struct option_meaning {
	enum rings_flavour flavour;
	char letter; /* of the C daemon */
	const char *name;
	enum meaning meaning;
};

#define C  RINGS_FLAVOUR_C
#define OX RINGS_FLAVOUR_OCAML

static const struct option_meaning options[] = {
	{ C, 'N', "--no-fork", NO_FORK },
	{ C, 'F', "--pid-file", PID_FILE },
	{ C, 'D', "--no-domain-init", NO_DOMAIN_INIT },
	{ C, 'E', "--entry-nb", OTHER_VALUE },
	{ C, 'e', "--event", OTHER_VALUE },
	{ C, 'm', "--master-domid", OTHER_VALUE },
	{ C, 'p', "--priv-domid", OTHER_VALUE },
	{ C, 'S', "--entry-size", OTHER_VALUE },
	{ C, 'T', "--trace-file", OTHER_VALUE },
	{ C, '\0', "--trace-control", OTHER_VALUE },
	{ C, 't', "--transaction", OTHER_VALUE },
	{ C, 'A', "--perm-nb", OTHER_VALUE },
	{ C, 'M', "--path-max", OTHER_VALUE },
	{ C, 'Q', "--quota", OTHER_VALUE },
	{ C, 'q', "--quota-soft", OTHER_VALUE },
	{ C, 'w', "--timeout", OTHER_VALUE },
	{ C, 'W', "--watch-nb", OTHER_VALUE },
	{ OX, '\0', "--no-fork", NO_FORK },
	{ OX, '\0', "--pid-file", PID_FILE },
	{ OX, '\0', "--no-domain-init", NO_DOMAIN_INIT },
	{ OX, '\0', "--config-file", OTHER_VALUE },
};

/* --- what a word means */

struct word {
	enum meaning meaning;
	char *value; /* in the word itself; NULL: in the next one, if it has any */
};

/* @exact: not just the beginning of @name */
static bool is_name(const char *word, size_t len, const char *name, bool exact)
{
	return len > 2 && !strncmp(word, name, len) && (!exact || !name[len]);
}

static struct word look_long(char *text, enum rings_flavour flavour, bool exact)
{
	size_t len = strcspn(text, "=");

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].flavour == flavour && is_name(text, len, options[i].name, exact))
			return (struct word){ options[i].meaning,
					      text[len] ? text + len + 1 : NULL };
	return (struct word){ UNKNOWN, NULL };
}

/* "-N", "-F/run/pid"; letters that stand together, as "-NU", are known by the first one alone. */
static struct word look_letter(char *text)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].flavour == C && options[i].letter && options[i].letter == text[1])
			return (struct word){ options[i].meaning, text[2] ? text + 2 : NULL };
	return (struct word){ UNKNOWN, NULL };
}

static struct word look(char *text, enum rings_flavour flavour)
{
	struct word word;

	if (flavour == C && text[0] == '-' && text[1] && text[1] != '-')
		return look_letter(text);
	word = look_long(text, flavour, true);
	return word.meaning == UNKNOWN && flavour == C ? look_long(text, flavour, false) : word;
}

static bool has_value(enum meaning meaning)
{
	return meaning == PID_FILE || meaning == OTHER_VALUE;
}

/* Said by itself: a state is read, whatever was configured. */
static bool has_state_read(const char *text)
{
	static const char *const all[] = { "-U", "--live-update", "--live", "--restart" };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(text, all[i]))
			return true;
	return false;
}

/* --- the command line */

static void add(struct arguments *arguments, char *word)
{
	arguments->words[arguments->nr++] = word;
}

static void leave_out(struct arguments *arguments, char *word)
{
	arguments->left_out[arguments->nr_left_out++] = word;
}

/* Return: whether the other kind has it. */
static bool translate(struct arguments *arguments, struct word word, enum rings_flavour to)
{
	switch (word.meaning) {
	case NO_FORK:
		add(arguments, "--no-fork");
		return true;
	case PID_FILE:
		if (!word.value)
			return false;
		add(arguments, "--pid-file");
		add(arguments, word.value);
		return true;
	case NO_DOMAIN_INIT:
		if (to == C)
			return false;
		add(arguments, "--no-domain-init");
		return true;
	default:
		return false;
	}
}

static void make(struct arguments *arguments, char **words, enum rings_flavour from,
		 enum rings_flavour to)
{
	for (int i = 0; words[i]; i++) {
		struct word word = look(words[i], from);
		bool next = has_value(word.meaning) && !word.value && words[i + 1];

		if (has_state_read(words[i]))
			continue;
		if (next)
			word.value = words[i + 1];
		if (from == to)
			add(arguments, words[i]);
		else if (!translate(arguments, word, to))
			leave_out(arguments, words[i]);
		if (!next)
			continue;
		i++;
		if (from == to)
			add(arguments, words[i]);
	}
}

static size_t count(char **words)
{
	size_t nr = 0;

	while (words && words[nr])
		nr++;
	return nr;
}

int arguments_make(struct arguments *out, char *program, char **words, enum rings_flavour from,
		   enum rings_flavour to, char **more)
{
	size_t nr = count(words) + count(more);

	*out = (struct arguments){ .words = calloc(2 * nr + MORE + 1, sizeof(char *)),
				   .left_out = calloc(nr + 1, sizeof(char *)) };
	if (!out->words || !out->left_out) {
		arguments_clear(out);
		return -ENOMEM;
	}
	add(out, program);
	if (to == OX) {
		add(out, "--live");
		add(out, "--restart");
	} else {
		add(out, "-U");
	}
	make(out, words, from, to);
	if (more)
		make(out, more, to, to);
	return 0;
}

void arguments_clear(struct arguments *arguments)
{
	free(arguments->words);
	free(arguments->left_out);
	*arguments = (struct arguments){ 0 };
}

enum rings_flavour arguments_flavour(char **words)
{
	return words[0] && !strcmp(words[0], "--live") ? OX : C;
}

bool arguments_update(char **words)
{
	for (int i = 0; words[i]; i++)
		if (has_state_read(words[i]))
			return true;
	return false;
}

bool arguments_ask(char **words)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], "--help") || !strcmp(words[i], "-H") ||
		    !strcmp(words[i], "--config-test"))
			return true;
	return false;
}
