// SPDX-License-Identifier: MIT
/*
 * environment - see environment.h.
 */
#include "starter/environment.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BRIDGE	  "libxsproxy-bridge.so"
#define PRELOAD	  "LD_PRELOAD="
#define SEPARATES ": " /* of the paths there, as the dynamic loader has it */

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* What says where xsproxy is stays: it may be put before that daemon once more. */
static bool is_ours(const char *word)
{
	if (begins(word, "XSPROXY_DIR=") || begins(word, "XSPROXY_STORED_DIR="))
		return false;
	return begins(word, "XSPROXY_") || begins(word, "XENSTORED_PATH=");
}

static bool is_bridge(const char *path)
{
	const char *given = getenv("XSPROXY_PRELOAD"), *slash = strrchr(path, '/');
	size_t len = given ? strcspn(given, SEPARATES) : 0;

	return !strcmp(slash ? slash + 1 : path, BRIDGE) ||
	       (len && strlen(path) == len && !memcmp(path, given, len));
}

/* @to: gets LD_PRELOAD= without the bridge; the paths of @list are cut off there */
static void leave_others(char *to, char *list)
{
	char *rest = NULL, *start;

	strcpy(to, PRELOAD);
	start = to + strlen(to);
	for (char *path = strtok_r(list, SEPARATES, &rest); path;
	     path = strtok_r(NULL, SEPARATES, &rest)) {
		if (is_bridge(path))
			continue;
		if (*start)
			strcat(start, ":");
		strcat(start, path);
	}
}

/* Return: 0 or -ENOMEM. @word: LD_PRELOAD=... */
static int make_preload(struct environment *environment, const char *word)
{
	char *list = strdup(word + strlen(PRELOAD));

	environment->preload = strdup(word);
	if (list && environment->preload)
		leave_others(environment->preload, list);
	free(list);
	return list && environment->preload ? 0 : -ENOMEM;
}

/* Its words have room for all. Return: 0 or -ENOMEM. */
static int make(struct environment *environment)
{
	char **to = environment->words;

	for (char **from = environ; from && *from; from++) {
		if (is_ours(*from))
			continue;
		if (!begins(*from, PRELOAD)) {
			*to++ = *from;
			continue;
		}
		if (environment->preload) /* the first one counts */
			continue;
		if (make_preload(environment, *from))
			return -ENOMEM;
		if (environment->preload[strlen(PRELOAD)])
			*to++ = environment->preload;
	}
	return 0;
}

int environment_make(struct environment *out)
{
	size_t nr = 0;
	int r;

	while (environ && environ[nr])
		nr++;
	*out = (struct environment){ .words = calloc(nr + 1, sizeof(char *)) };
	r = out->words ? make(out) : -ENOMEM;
	if (r)
		environment_clear(out);
	return r;
}

void environment_clear(struct environment *environment)
{
	free(environment->words);
	free(environment->preload);
	*environment = (struct environment){ 0 };
}
