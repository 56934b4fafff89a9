/* SPDX-License-Identifier: MIT */
/*
 * daemon - the program that we become, and what it is given besides its state: where it listens,
 * its environment, no other descriptors.
 *
 * XSPROXY_PRELOAD is what the daemon is to have in LD_PRELOAD; the wrapper gives it, so that
 * neither the starter nor anything else runs with the bridge. With it the C daemon also gets
 * XENSTORED_PATH, as from the wrapper.
 *
 * Called by main.c and restore.c. Must never change what the process has before it is sure of all
 * else.
 */
#ifndef XSPROXY_STARTER_DAEMON_H
#define XSPROXY_STARTER_DAEMON_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "link/rings.h"
#include "starter/reason.h"

struct daemon_program {
	char path[PATH_MAX];
	enum rings_flavour flavour;
	bool takes_c2; /* version 2 of the C daemon's state */
};

/**
 * daemon_beside() - the daemon of a name that is installed where another one is.
 * @daemon: its path
 *
 * Return: 0 or a negative errno of realpath.
 */
int daemon_beside(char path[PATH_MAX], const char *daemon, const char *name);

/**
 * daemon_flavour() - which kind of daemon a path is, by the name of what it leads to, as the bridge
 * has it. Return: enum rings_flavour; 0: none that is known.
 */
enum rings_flavour daemon_flavour(const char *path);

/**
 * daemon_look() - what there is to know of a program.
 * @program: filled in
 * @reason: gets why it cannot be started
 *
 * Return: 0 or a negative errno; -EINVAL for one that is no xenstored.
 */
int daemon_look(struct daemon_program *program, const char *path, struct reason *reason);

/**
 * daemon_listen() - listen where xsproxyd looks for xenstored, in place of whoever did before.
 * @dir: the run directory
 *
 * Return: a descriptor or a negative errno.
 */
int daemon_listen(const char *dir, struct reason *reason);

/** daemon_unlisten() - the daemon was not started: close @fd and remove the socket. */
void daemon_unlisten(const char *dir, int fd);

/**
 * daemon_knock() - be a client that comes and goes, so that the daemon has something to wake up
 * for; where that cannot be it is said.
 * @listener: its socket
 */
void daemon_knock(int listener);

/** daemon_has_bridge() - whether what becomes of us by daemon_exec() has the bridge in it. */
bool daemon_has_bridge(void);

/**
 * daemon_exec() - become the daemon, with the descriptors that it has inherited as they are.
 * @argv: the program and its arguments
 * @dir: the run directory
 *
 * Return: a negative errno.
 */
int daemon_exec(char **argv, const char *dir);

/**
 * daemon_exec_with() - become the daemon, with 0 to 2 and two more descriptors.
 * @argv, @dir: as of daemon_exec()
 * @listener: as of daemon_listen()
 * @rings: for its bridge
 *
 * Return: a negative errno.
 */
int daemon_exec_with(char **argv, const char *dir, int listener, int rings);

/**
 * daemon_exec_native() - become a daemon without the bridge, with 0 to 2 and more descriptors.
 * @argv: as of daemon_exec(); the environment is environment.h's
 * @fds: those, @nr of them; they will block, as what a daemon has opened itself
 *
 * Return: a negative errno; then they are as they were.
 */
int daemon_exec_native(char **argv, const int *fds, size_t nr);

/** daemon_close_all() - close all descriptors from 3 on. */
void daemon_close_all(void);

#endif
