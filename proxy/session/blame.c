// SPDX-License-Identifier: MIT
#include "proxy/session/blame.h"

#include <signal.h>
#include <stddef.h>

#include "protocol/clock.h"
#include "proxy/log.h"
#include "proxy/session/ledgers.h"

#define TIMES_MAX 2

/* From here on suspects are toolstack clients. */
#define SOCKETS ARENA_DOMIDS

/* A crash after so many seconds has nothing to do with the one before. */
#define IN_A_ROW 60u

static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT };

#define NR_SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* One for the process: a signal handler has no argument. */
static struct {
	struct ledgers_blame *blame; /* NULL: nothing is noted */
	volatile uint32_t turn;	     /* domid + 1, SOCKETS + slot + 1, or 0 */
	int condemned;		     /* a slot + 1, or 0 */
	uint64_t since;
	struct sigaction before[NR_SIGNALS];
} here;

/* Only what a signal handler may do. */
static void note(void)
{
	struct ledgers_blame *blame = here.blame;
	uint32_t suspect = here.turn, times = 1;

	if (!blame || !suspect)
		return;
	if (atomic_load(&blame->suspect) == suspect && clock_seconds() - here.since < IN_A_ROW)
		times += atomic_load(&blame->times);
	atomic_store(&blame->suspect, suspect);
	atomic_store(&blame->times, times);
}

static void crashed(int sig)
{
	note();
	for (size_t i = 0; i < NR_SIGNALS; i++)
		sigaction(signals[i], &here.before[i], NULL);
	raise(sig);
}

static int judge(struct ledgers_blame *blame)
{
	uint32_t suspect = atomic_load(&blame->suspect), domid = suspect - 1;

	if (!suspect || atomic_load(&blame->times) < TIMES_MAX)
		return -1;
	if (suspect > SOCKETS) {
		here.condemned = (int)(suspect - SOCKETS);
		atomic_store(&blame->suspect, 0);
	}
	if (domid >= ARENA_DOMID_MAX)
		return -1;
	atomic_fetch_or(&blame->aside[domid / 64], 1ULL << (domid % 64));
	atomic_store(&blame->suspect, 0);
	return (int)domid;
}

int blame_begin(struct ledgers_blame *blame)
{
	int aside;
	struct sigaction action = { .sa_handler = crashed };

	here.condemned = 0;
	aside = judge(blame);
	sigemptyset(&action.sa_mask);
	if (!here.since)
		for (size_t i = 0; i < NR_SIGNALS; i++)
			sigaction(signals[i], &action, &here.before[i]);
	here.blame = blame;
	here.since = clock_seconds();
	if (aside >= 0)
		log_domain(
			LOG_ERR, (uint32_t)aside,
			"xsproxyd crashed twice while it served this domain, so it is put aside: "
			"its Xenstore connection stands still until it is introduced anew; please "
			"report the log's lines before this one");
	return aside;
}

void blame_end(void)
{
	here.blame = NULL;
}

void blame_turn(uint32_t domid)
{
	here.turn = domid + 1;
}

void blame_socket(uint32_t slot)
{
	here.turn = SOCKETS + slot + 1;
}

int blame_condemned(void)
{
	return here.condemned - 1;
}

void blame_rest(void)
{
	here.turn = 0;
}

bool blame_is_aside(const struct ledgers_blame *blame, uint32_t domid)
{
	return atomic_load(&blame->aside[domid / 64]) >> (domid % 64) & 1;
}

void blame_forgive(struct ledgers_blame *blame, uint32_t domid)
{
	atomic_fetch_and(&blame->aside[domid / 64], ~(1ULL << (domid % 64)));
}
