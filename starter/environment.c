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

static bool is_ours(const char *word)
{
	return begins(word, "XSPROXY_") || begins(word, "XENSTORED_PATH=");
}

static bool is_bridge(const char *path)
{
	const char *given = getenv("XSPROXY_PRELOAD"), *slash = strrchr(path, '/');
	size_t len = given ? strcspn(given, SEPARATES) : 0;

	return !strcmp(slash ? slash + 1 : path, BRIDGE) ||
	       (len && strlen(path) == len && !memcmp(path, given, len));
}

/* Return: whether anything is left. @word: LD_PRELOAD=..., which becomes it */
static bool leave_others(char *word)
{
	char *list = strdup(word + strlen(PRELOAD)), *rest = NULL, *to = word + strlen(PRELOAD);

	if (!list)
		return false;
	*to = '\0';
	for (char *path = strtok_r(list, SEPARATES, &rest); path;
	     path = strtok_r(NULL, SEPARATES, &rest)) {
		if (is_bridge(path))
			continue;
		if (*to)
			strcat(to, ":");
		strcat(to, path);
	}
	free(list);
	return *to;
}

/* Return: what becomes of it; NULL: it is left out. */
static char *inherit(struct environment *environment, char *word)
{
	if (is_ours(word))
		return NULL;
	if (!begins(word, PRELOAD))
		return word;
	free(environment->preload);
	environment->preload = strdup(word);
	return environment->preload && leave_others(environment->preload) ? environment->preload
									  : NULL;
}

int environment_make(struct environment *out)
{
	size_t nr = 0, kept = 0;

	while (environ && environ[nr])
		nr++;
	*out = (struct environment){ .words = calloc(nr + 1, sizeof(char *)) };
	if (!out->words)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		char *word = inherit(out, environ[i]);

		if (word)
			out->words[kept++] = word;
	}
	return 0;
}

void environment_clear(struct environment *environment)
{
	free(environment->words);
	free(environment->preload);
	*environment = (struct environment){ 0 };
}
