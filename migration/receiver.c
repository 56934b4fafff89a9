// SPDX-License-Identifier: MIT
/*
 * receiver - see receiver.h.
 */
#include "migration/receiver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNALLED 128 /* as the shell has it */

struct receiver {
	pid_t pid; /* 0: it has been waited for */
	int pidfd;
};

/* Nothing of how we treat signals is for the command. */
static int set_signals(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawnattr_setsigmask(attr, &none) || posix_spawnattr_setsigdefault(attr, &all))
		return EINVAL;
	return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

/* Return: 0 or a positive errno, as posix_spawn() does. */
static int spawn(struct receiver *receiver, const char *command, int in)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r = posix_spawn_file_actions_init(&actions);

	if (r)
		return r;
	r = posix_spawnattr_init(&attr);
	if (!r) {
		r = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
		if (!r)
			r = set_signals(&attr);
		if (!r)
			r = posix_spawn(&receiver->pid, "/bin/sh", &actions, &attr, argv, environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

int receiver_start(struct receiver **out, const char *command, int *fd)
{
	struct receiver *receiver = calloc(1, sizeof(*receiver));
	int pair[2], r;

	if (!receiver)
		return -ENOMEM;
	receiver->pidfd = -1;
	r = pipe2(pair, O_CLOEXEC) ? -errno : 0;
	if (r)
		goto fail;
	r = -spawn(receiver, command, pair[0]);
	close(pair[0]);
	if (!r) {
		receiver->pidfd = (int)syscall(SYS_pidfd_open, receiver->pid, 0);
		r = receiver->pidfd < 0 ? -errno : 0;
	}
	if (r) {
		close(pair[1]);
		goto fail;
	}
	*fd = pair[1];
	*out = receiver;
	return 0;
fail:
	receiver_free(receiver);
	return r;
}

/* It has ended, or is about to. */
static int reap(struct receiver *receiver, int *status)
{
	int how;
	pid_t pid;

	do
		pid = waitpid(receiver->pid, &how, 0);
	while (pid < 0 && errno == EINTR);
	if (pid < 0)
		return -errno;
	receiver->pid = 0;
	*status = WIFEXITED(how) ? WEXITSTATUS(how) : SIGNALLED + WTERMSIG(how);
	return 0;
}

int receiver_wait(struct receiver *receiver, const struct interrupt *interrupt, int *status)
{
	struct pollfd pfd = { .fd = receiver->pidfd, .events = POLLIN };
	int r = interrupt_poll(interrupt, &pfd, 1, -1);

	return r < 0 ? r : reap(receiver, status);
}

void receiver_free(struct receiver *receiver)
{
	int status;

	if (!receiver)
		return;
	if (receiver->pid) {
		kill(receiver->pid, SIGTERM);
		reap(receiver, &status);
	}
	if (receiver->pidfd >= 0)
		close(receiver->pidfd);
	free(receiver);
}
