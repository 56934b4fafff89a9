/* SPDX-License-Identifier: MIT */
/*
 * arguments - the command line of a daemon that is to read a state.
 *
 * One of the same kind gets what was configured. One of the other kind gets of that what means the
 * same to both: --no-fork, --pid-file, --no-domain-init; the rest is told as left out, for
 * oxenstored ends at an option that it does not know. Either gets what has it read the state, -U or
 * --live --restart, and nothing else of that kind.
 */
#ifndef XSPROXY_STARTER_ARGUMENTS_H
#define XSPROXY_STARTER_ARGUMENTS_H

#include <stdbool.h>

#include "link/rings.h"

struct arguments {
	char **words; /* with a NULL behind them; what they point at is others' */
	int nr;
	char **left_out; /* of what was configured, likewise */
	int nr_left_out;
};

/**
 * arguments_make() - make a command line.
 * @out: filled in; arguments_clear() it. Its words are those of @words, @more and constants
 * @program: its first word
 * @words: what was configured, without the program, with a NULL behind them
 * @from: which kind they are for
 * @to: which kind is started
 * @more: what follows, for that kind: what is said twice counts as it is said last; NULL: nothing
 *
 * Return: 0 or -ENOMEM.
 */
int arguments_make(struct arguments *out, char *program, char **words, enum rings_flavour from,
		   enum rings_flavour to, char **more);

/** arguments_clear() - free what arguments_make() has made. */
void arguments_clear(struct arguments *arguments);

/** arguments_flavour() - which kind of daemon has executed us for a live update with @words. */
enum rings_flavour arguments_flavour(char **words);

/** arguments_update() - whether @words are what a daemon executes us with: they have a state read.
 */
bool arguments_update(char **words);

/** arguments_ask() - whether a daemon with @words would only say something and end. */
bool arguments_ask(char **words);

#endif
