// SPDX-License-Identifier: MIT
/*
 * services - see services.h.
 *
 * xsproxy.socket would take the path of a native daemon's socket away from it. A drop-in below /run
 * has it listen elsewhere, until the next boot; then it comes first.
 */
#include "ctl/services.h"

#include "link/start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNITS	"/run/systemd/system"
#define DROP_IN "enter.conf"

enum { XENSTORED, SOCKET, SERVICE, KEEPER };

static const char *const units[SERVICES_MAX] = {
	[XENSTORED] = "xsproxy-xenstored.service",
	[SOCKET] = "xsproxy.socket",
	[SERVICE] = "xsproxy.service",
	[KEEPER] = "xsproxy-keeper.service",
};

bool services_there(void)
{
	struct stat st;

	return !stat(UNITS, &st) && S_ISDIR(st.st_mode);
}

/* --- systemctl */

/* How we treat signals is not for it. Return: 0 or a positive errno, as posix_spawn() does. */
static int spawn(pid_t *pid, const char *const argv[], int out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r = posix_spawn_file_actions_init(&actions);

	if (r)
		return r;
	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawnattr_init(&attr);
	if (!r) {
		if (posix_spawnattr_setsigmask(&attr, &none) ||
		    posix_spawnattr_setsigdefault(&attr, &all) ||
		    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
			r = EINVAL;
		if (!r && out >= 0)
			r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
		if (!r)
			r = posix_spawnp(pid, argv[0], &actions, &attr, (char *const *)argv,
					 environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* Return: its exit status; or a negative errno. */
static int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECANCELED;
}

/*
 * @words: the last is NULL
 * Return: 0, or a negative errno: it has said why, or is not there.
 */
static int systemctl(const char *const words[])
{
	pid_t pid = 0;
	int r = -spawn(&pid, words, -1);

	if (!r)
		r = reap(pid);
	return r > 0 ? -EREMOTEIO : r;
}

/* The word for it, in one line; "" if it cannot be found out. */
static void read_state(const char *unit, char state[32])
{
	const char *const words[] = { "systemctl", "is-active", unit, NULL };
	int ends[2];
	pid_t pid = 0;
	FILE *file;

	state[0] = '\0';
	if (pipe2(ends, O_CLOEXEC))
		return;
	if (!spawn(&pid, words, ends[1])) {
		close(ends[1]);
		ends[1] = -1;
		file = fdopen(ends[0], "r");
		if (file && !fgets(state, 32, file))
			state[0] = '\0';
		if (file) {
			fclose(file);
			ends[0] = -1;
		}
		reap(pid);
	}
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	state[strcspn(state, "\n")] = '\0';
}

/* One that starts does, as xsproxy-xenstored.service until it has found a Xenstore. */
static bool says_active(const char *state)
{
	return !strcmp(state, "active") || !strcmp(state, "activating") ||
	       !strcmp(state, "reloading");
}

static bool is_active(const char *unit)
{
	char state[32];

	read_state(unit, state);
	return says_active(state);
}

static int reload(void)
{
	static const char *const words[] = { "systemctl", "daemon-reload", NULL };

	return systemctl(words);
}

static int stop(const char *unit, const char *other)
{
	const char *const words[] = { "systemctl", "stop", unit, other, NULL };

	return systemctl(words);
}

/* --- drop-ins */

static void drop_in_path(char path[PATH_MAX], const char *unit, const char *name)
{
	snprintf(path, PATH_MAX, UNITS "/%s.d/%s", unit, name);
}

static int put_drop_in(const char *unit, const char *text)
{
	char path[PATH_MAX];
	FILE *file;
	int r;

	drop_in_path(path, unit, "");
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	drop_in_path(path, unit, DROP_IN);
	file = fopen(path, "we");
	if (!file)
		return -errno;
	r = fputs(text, file) < 0 ? -EIO : 0;
	if (fclose(file))
		r = -errno;
	return r;
}

static void drop_drop_in(const char *unit)
{
	char path[PATH_MAX];

	drop_in_path(path, unit, DROP_IN);
	unlink(path);
	drop_in_path(path, unit, "");
	rmdir(path); /* unless an administrator has others there */
}

/* Elsewhere than the native daemon. */
static int move_socket(const struct services *services)
{
	char text[PATH_MAX + 64];
	int r;

	snprintf(text, sizeof(text),
		 "[Socket]\nExecStartPre=\nListenStream=\nListenStream=%s/" LINK_ENTERING "\n",
		 services->run_dir);
	r = put_drop_in(units[SOCKET], text);
	if (r)
		return report_fail(services->report, r, "cannot write below " UNITS ": %s",
				   report_local_reason(r));
	r = reload();
	return r ? report_fail(services->report, r, "systemctl daemon-reload has failed") : 0;
}

/* Whether it does already, as after one that was killed. */
static bool is_moved(void)
{
	char path[PATH_MAX];

	drop_in_path(path, units[SOCKET], DROP_IN);
	return !access(path, F_OK);
}

static void forget_socket(const struct services *services)
{
	char path[PATH_MAX];

	drop_drop_in(units[SOCKET]);
	snprintf(path, sizeof(path), "%s/" LINK_ENTERING, services->run_dir);
	unlink(path);
}

/* --- */

static int start(const struct services *services)
{
	const char *const words[] = { "systemctl", "start", units[SERVICE], units[XENSTORED],
				      NULL };
	int r = systemctl(words);

	if (r)
		return report_fail(services->report, r,
				   "xsproxyd cannot be started; see systemctl status xsproxy");
	/* It is skipped where it is not to. Then nobody would start the next xenstored. */
	if (!is_active(units[XENSTORED]))
		return report_fail(services->report, -ECANCELED,
				   "xenstored is not started by xsproxy's wrapper; run "
				   "/usr/libexec/xsproxy/select-xenstored on, and see systemctl "
				   "status xsproxy-xenstored");
	return 0;
}

/* What ran before is not to be ended by services_undo(), and xenstored least of all. */
static int note_states(struct services *services)
{
	for (int i = 0; i < SERVICES_MAX; i++) {
		char state[32];

		read_state(units[i], state);
		if (!*state)
			return report_fail(services->report, -EAGAIN,
					   "systemctl does not say whether %s runs; nothing was "
					   "done; try again",
					   units[i]);
		services->was[i] = says_active(state);
	}
	return 0;
}

/*
 * A socket that is there since the boot is one whose path the native daemon has taken: an xsproxyd
 * that has it serves nobody, and the next one would be given it, too. services_undo() does not
 * bring it back.
 */
static int end_useless(struct services *services)
{
	int r;

	if ((!services->was[SOCKET] && !services->was[SERVICE]) || is_moved())
		return 0;
	r = stop(units[SOCKET], units[SERVICE]);
	if (r)
		return report_fail(services->report, r,
				   "xsproxyd, which serves nobody, cannot be stopped; run "
				   "systemctl stop xsproxy.socket xsproxy.service");
	services->was[SERVICE] = false;
	return 0;
}

int services_begin(struct services *services)
{
	int r = note_states(services);

	if (!r)
		r = end_useless(services);
	if (r)
		return r;
	if (!services->was[SERVICE])
		r = move_socket(services);
	if (!r)
		r = start(services);
	if (r)
		services_undo(services);
	return r;
}

/* The one that waits for the native daemon's end. It refuses to be stopped, as long as nobody asks.
 */
static void stop_xenstored(void)
{
	if (put_drop_in(units[XENSTORED], "[Unit]\nRefuseManualStop=no\n") || reload())
		return;
	stop(units[XENSTORED], NULL);
	drop_drop_in(units[XENSTORED]);
}

void services_undo(const struct services *services)
{
	if (!services->was[XENSTORED])
		stop_xenstored();
	if (!services->was[SERVICE])
		stop(units[SOCKET], units[SERVICE]);
	if (!services->was[KEEPER])
		stop(units[KEEPER], NULL);
	if (!services->was[SERVICE])
		forget_socket(services);
	reload();
}

int services_end(const struct services *services)
{
	/* With the keeper there xsproxyd leaves the socket where it is. */
	int r = stop(units[SOCKET], units[SERVICE]);

	if (!r)
		r = stop(units[KEEPER], NULL);
	if (r)
		return report_fail(services->report, r,
				   "xsproxyd cannot be stopped; run systemctl stop xsproxy.socket "
				   "xsproxy.service, then xsproxy-keeper.service");
	forget_socket(services);
	reload();
	return 0;
}
