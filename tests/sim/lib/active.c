/* SPDX-License-Identifier: MIT */
/*
 * See active.h. Nothing here runs in a constructor: interposers are called before those.
 */
#include "tests/sim/lib/active.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t dir_once = PTHREAD_ONCE_INIT;
static char *dir;

static pthread_once_t sim_once = PTHREAD_ONCE_INIT;
static struct sim *sim;
static int sim_rc;

static void dir_find(void)
{
	const char *env = getenv("XENSIM_DIR");

	if (!env || !*env)
		return;
	if (env[0] != '/') {
		dprintf(STDERR_FILENO, "libxensim: XENSIM_DIR must be an absolute path: %s\n", env);
		_exit(2);
	}
	/* The environment may change under us. */
	dir = strdup(env);
	if (!dir)
		_exit(2);
}

const char *active_dir(void)
{
	pthread_once(&dir_once, dir_find);
	return dir;
}

static void sim_find(void)
{
	sim_rc = sim_open(active_dir(), &sim);
	if (sim_rc)
		dprintf(STDERR_FILENO, "libxensim: no machine in %s (xensim init?): %s\n", dir,
			strerror(-sim_rc));
}

struct sim *active_sim(void)
{
	pthread_once(&sim_once, sim_find);
	if (!sim)
		errno = -sim_rc;
	return sim;
}

void *active_next(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	if (!fn) {
		dprintf(STDERR_FILENO, "libxensim: nobody defines %s\n", name);
		_exit(2);
	}
	return fn;
}

int active_errno(int rc)
{
	if (rc >= 0)
		return rc;
	errno = -rc;
	return -1;
}
