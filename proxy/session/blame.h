/* SPDX-License-Identifier: MIT */
/*
 * blame - which domain xsproxyd was serving when it crashed, so that the same one cannot end it at
 * each start: who did so twice in a row is put aside, and the others are served.
 *
 * A crash is a signal that the process raised itself, or the watchdog's SIGABRT; being killed is
 * nobody's fault. What it says lies with the ledgers, for the next xsproxyd. Called by proxy/host/,
 * when there are ledgers, and around whatever is done for one domain, a session's turn above all;
 * never stops anything by itself.
 */
#ifndef XSPROXY_PROXY_SESSION_BLAME_H
#define XSPROXY_PROXY_SESSION_BLAME_H

#include <stdbool.h>
#include <stdint.h>

struct ledgers_blame;

/**
 * blame_begin() - from now on crashes are noted in @blame; before that, judge those that are, and
 * log whom that puts aside.
 *
 * Return: the domain that has been put aside just now, or -1.
 */
int blame_begin(struct ledgers_blame *blame);

/** blame_end() - @blame is about to be unmapped. */
void blame_end(void);

/** blame_turn() - what follows is done for @domid, until blame_rest(). */
void blame_turn(uint32_t domid);

/** blame_socket() - the same for the toolstack client in that slot (host/slots.h). */
void blame_socket(uint32_t slot);

/**
 * blame_condemned() - the slot of the toolstack client for whom xsproxyd crashed twice, or -1: as
 * blame_begin() found. Its connection cannot be put aside, so it is to be closed.
 */
int blame_condemned(void);

/** blame_rest() - what follows is done for nobody. */
void blame_rest(void);

/** blame_is_aside() - whether a domain is put aside. */
bool blame_is_aside(const struct ledgers_blame *blame, uint32_t domid);

/** blame_forgive() - another domain has that number now. */
void blame_forgive(struct ledgers_blame *blame, uint32_t domid);

#endif
