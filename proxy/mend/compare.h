/* SPDX-License-Identifier: MIT */
/*
 * compare - what a node of the store is, and what the mirror has of it.
 *
 * Called by mend.c with what was read. Must never ask xenstored.
 */
#ifndef XSPROXY_PROXY_MEND_COMPARE_H
#define XSPROXY_PROXY_MEND_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/mend/reading.h"
#include "proxy/mirror/mirror.h"

#define COMPARE_TEXT_MAX 256

/**
 * compare_node() - a line about how they differ, if they do.
 * @text: COMPARE_TEXT_MAX octets; "" if they do not, or it is unread
 *
 * Return: whether they do.
 */
bool compare_node(const struct mirror *mirror, const struct reading *reading, char *text);

/**
 * compare_mend() - make the mirror what was read, in a group of the caller's.
 * @unread: children that the mirror has not are noted by their names; else @child is told of each
 * @child: is told of those that it has, too, if @deep
 *
 * Permissions that counted for nobody stay so, for nobody can read that.
 *
 * Return: 0 or -ENOMEM.
 */
int compare_mend(struct mirror *mirror, const struct reading *reading, bool unread, bool deep,
		 void (*child)(void *arg, const char *path, uint32_t len), void *arg);

#endif
