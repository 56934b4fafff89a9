// SPDX-License-Identifier: MIT
/*
 * See active.h. Nothing here runs in a constructor, since interposers are called before those, and
 * active_dir() uses nothing that a sanitizer intercepts.
 */
#include "tests/sim/lib/active.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[SIM_DIR_MAX + 1];
static atomic_bool dir_known; /* stored after @dir; several threads may store the same */

static pthread_once_t sim_once = PTHREAD_ONCE_INIT;
static struct sim *sim;
static int sim_rc;

/* The environment may change later, so keep what it says at first. */
static void dir_find(void)
{
	const char *env = getenv("XENSIM_DIR");

	if (env && *env && env[0] != '/') {
		dprintf(STDERR_FILENO, "libxensim: XENSIM_DIR must be an absolute path: %s\n", env);
		_exit(2);
	}
	if (env && strlen(env) > SIM_DIR_MAX) {
		dprintf(STDERR_FILENO, "libxensim: XENSIM_DIR is too long: %s\n", env);
		_exit(2);
	}
	if (env)
		strcpy(dir, env);
	atomic_store(&dir_known, true);
}

const char *active_dir(void)
{
	if (!atomic_load(&dir_known)) {
		/* A sanitizer starts before the C library: not the time to decide. */
		if (!environ)
			return NULL;
		dir_find();
	}
	return *dir ? dir : NULL;
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
