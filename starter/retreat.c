// SPDX-License-Identifier: MIT
/*
 * retreat - see retreat.h.
 */
#include "starter/retreat.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "link/link.h"
#include "link/start.h"
#include "starter/arguments.h"
#include "starter/daemon.h"
#include "starter/say.h"

#define AGAIN_S	   1
#define SAID_EVERY 60 /* attempts */

/* The running Xen, if it tells; else any that is there. */
#define VERSION_PLACE "/sys/hypervisor/version/"
#define ANY	      "*"
#define VERSION_MAX   8

struct retreat {
	const char *dir;
	char **argv;
	struct reason reason; /* of the last attempt */
};

/* Both daemons open their logs anew by the first, and oxenstored tells of itself by the second. */
static const int signals[] = { SIGHUP, SIGUSR1 };
static struct sigaction inherited[2];

void retreat_begin(void)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	for (int i = 0; i < 2; i++)
		sigaction(signals[i], &ignore, &inherited[i]);
}

/* --- one program */

/* Return: not, or a negative errno. */
static int become(struct retreat *retreat, char *path)
{
	int err;

	for (int i = 0; i < 2; i++)
		sigaction(signals[i], &inherited[i], NULL);
	retreat->argv[0] = path;
	execv(path, retreat->argv);
	err = errno;
	retreat_begin();
	return reason_set(&retreat->reason, -err, "cannot execute %s: %s", path, strerror(err));
}

/* One of the other kind could not read the state, and would end. */
static bool is_of_kind(const struct retreat *retreat, const char *path)
{
	enum rings_flavour flavour = daemon_flavour(path);

	return !flavour || flavour == arguments_flavour(retreat->argv + 1);
}

static int become_native(struct retreat *retreat)
{
	char link[PATH_MAX], program[PATH_MAX];
	struct stat st;
	ssize_t len;

	/* Whoever may write there could have us execute anything. */
	if (lstat(retreat->dir, &st) || !link_dir_is_ours(&st))
		return reason_set(&retreat->reason, -EPERM, "%s is not only ours", retreat->dir);
	snprintf(link, sizeof(link), "%s/%s", retreat->dir, LINK_NATIVE);
	len = readlink(link, program, sizeof(program) - 1);
	if (len < 0)
		return reason_set(&retreat->reason, -errno, "%s: %s", link, strerror(errno));
	program[len] = '\0';
	if (!is_of_kind(retreat, program))
		return reason_set(&retreat->reason, -EINVAL,
				  "%s is another kind of xenstored than the one that has run",
				  program);
	return become(retreat, program);
}

/* --- any other */

static void read_version(const char *name, char version[VERSION_MAX])
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), VERSION_PLACE "%s", name);
	file = fopen(path, "re");
	if (!file || !fgets(version, VERSION_MAX, file))
		strcpy(version, ANY);
	if (file)
		fclose(file);
	version[strcspn(version, "\n")] = '\0';
}

static void become_found(struct retreat *retreat, const char *pattern)
{
	struct daemon_program program;
	struct reason unused;
	glob_t found;

	if (glob(pattern, 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		if (daemon_look(&program, found.gl_pathv[i], &unused) ||
		    !is_of_kind(retreat, program.path))
			continue;
		starter_say("%s: becoming %s INSTEAD", retreat->reason.text, program.path);
		become(retreat, program.path);
	}
	globfree(&found);
}

static void become_any(struct retreat *retreat)
{
	bool ox = arguments_flavour(retreat->argv + 1) == RINGS_FLAVOUR_OCAML;
	const char *name = ox ? "oxenstored" : "xenstored";
	char major[VERSION_MAX], minor[VERSION_MAX], pattern[128];

	read_version("major", major);
	read_version("minor", minor);
	snprintf(pattern, sizeof(pattern), "/usr/lib/xen-%s.%s/bin/%s", major, minor, name);
	become_found(retreat, pattern);
	snprintf(pattern, sizeof(pattern), "/usr/sbin/%s", name);
	become_found(retreat, pattern);
	snprintf(pattern, sizeof(pattern), "/usr/local/sbin/%s", name);
	become_found(retreat, pattern);
}

/* --- without giving up */

static void try_once(struct retreat *retreat, const struct left_held *held)
{
	if (held && left_put_back(held, &retreat->reason))
		return;
	become_native(retreat);
	become_any(retreat);
}

void retreat_become(const char *dir, const struct left_held *held, char **argv)
{
	struct retreat retreat = { .dir = dir, .argv = argv };

	for (unsigned int attempt = 0;; attempt++) {
		try_once(&retreat, held);
		if (attempt % SAID_EVERY == 0)
			starter_say(
				"THIS HOST HAS NO XENSTORE until this is mended, which is tried "
				"again every second: %s",
				retreat.reason.text);
		nanosleep(&(struct timespec){ .tv_sec = AGAIN_S }, NULL);
	}
}
