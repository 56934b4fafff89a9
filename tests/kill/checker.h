/* SPDX-License-Identifier: MIT */
/*
 * checker - what toolstack clients that check every answer share (sockets.c, library.c): chance by
 * a seed, the end, and failing with a reason.
 *
 * Each of those programs runs `rounds`, one after the other by chance, until SIGTERM; then it ends
 * the round under way. Prints "ready" after the first one, at the end the rounds of each kind, and
 * ends with 0; or says what went wrong and ends with 1.
 */
#ifndef XSPROXY_TESTS_KILL_CHECKER_H
#define XSPROXY_TESTS_KILL_CHECKER_H

#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_MS	 30000
#define PATH_LEN 128

struct checker {
	const char *home; /* a path of its own, which exists */
	unsigned int seed;
	uint32_t counter; /* what HOME/counter holds */
	uint32_t unique;
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void __attribute__((format(printf, 2, 3), noreturn))
fail(const struct checker *c, const char *fmt, ...)
{
	va_list args;

	printf("%s: ", c->home);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	exit(1);
}

static inline uint32_t pick(struct checker *c, uint32_t n)
{
	return (uint32_t)rand_r(&c->seed) % n;
}

/* Letters by chance, and a NUL. */
static inline void letters(struct checker *c, char *to, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		to[i] = (char)('a' + pick(c, 26));
	to[len] = 0;
}

static inline const char *below(const struct checker *c, char path[PATH_LEN], const char *name)
{
	snprintf(path, PATH_LEN, "%s/%s", c->home, name);
	return path;
}

static inline const char *below_unique(struct checker *c, char path[PATH_LEN], const char *name)
{
	snprintf(path, PATH_LEN, "%s/%s%u", c->home, name, c->unique++);
	return path;
}

/* Runs rounds, @nr kinds of them, until SIGTERM. */
static inline void run_rounds(struct checker *c, void (*const rounds[])(struct checker *c),
			      uint32_t nr)
{
	struct sigaction term = { .sa_handler = on_term, .sa_flags = SA_RESTART };
	uint64_t *done = calloc(nr, sizeof(*done));

	sigaction(SIGTERM, &term, NULL);
	rounds[0](c);
	printf("ready\n");
	fflush(stdout);
	while (!stop) {
		uint32_t kind = pick(c, nr);

		rounds[kind](c);
		done[kind]++;
	}
	for (uint32_t i = 0; i < nr; i++)
		printf("%llu ", (unsigned long long)done[i]);
	printf("\n");
	fflush(stdout);
	free(done);
}

#endif
