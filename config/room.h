/* SPDX-License-Identifier: MIT */
/*
 * room - whether this host has the memory and the disk that an exchange of xenstored takes.
 *
 * A daemon writes its state into a file, which is then copied, made into another state, and read by
 * the daemon that is to be. A file that was cut short for want of room can be read by nobody, and
 * by then the daemon has ended: so it is looked at before.
 *
 * Called by whoever is about to begin one. Must never hinder one because something is not known.
 */
#ifndef XSPROXY_CONFIG_ROOM_H
#define XSPROXY_CONFIG_ROOM_H

#include <stdint.h>

/* Where it is to be found out. */
struct room {
	const char *status;  /* of the daemon, as /proc/PID/status */
	const char *memory;  /* /proc/meminfo */
	const char *written; /* the directory into which the daemon writes */
};

/**
 * room_hindrance() - whether anything is in the way.
 *
 * Return: NULL, or what, and what to do about it; static memory.
 */
const char *room_hindrance(const struct room *room);

/** room_of() - the same for a daemon on this host, by its pid. */
const char *room_of(int64_t pid);

#endif
