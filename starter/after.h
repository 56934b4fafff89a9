/* SPDX-License-Identifier: MIT */
/*
 * after - wait until the xenstored that runs has ended.
 *
 * For the unit that starts the next one (systemd/run-xenstored): where something else has started
 * the first, as an init script does, two must never run. Called by main.c. Must never wait for what
 * is no xenstored, for pid files outlive their daemons.
 */
#ifndef XSPROXY_STARTER_AFTER_H
#define XSPROXY_STARTER_AFTER_H

/**
 * after_end() - wait until a process has ended, if it is a xenstored, or was one and is in its live
 * update.
 * @pid: what its pid file says
 *
 * Return: 0 when there is none, or no more; -EINVAL when @pid is no pid; another negative errno.
 */
int after_end(const char *pid);

#endif
