/* SPDX-License-Identifier: MIT */
/*
 * stand - since when a session stands still, and for whom: to be shown, and nothing else.
 *
 * It is in the ledger, so that a restart does not lose it. Called by what has a session stand
 * still, and by what shows it.
 */
#ifndef XSPROXY_PROXY_SESSION_STAND_H
#define XSPROXY_PROXY_SESSION_STAND_H

#include "proxy/session/session.h"

/** stand_set() - after session_quiet(): since when, and for whom. */
void stand_set(struct session *s, const struct stand *stand);

/** stand_of() - what that said, or NULL: it runs, or nothing is known. */
const struct stand *stand_of(const struct session *s);

/** stand_recover() - what an xsproxyd before us said, of a recovered ledger. */
void stand_recover(struct session *s);

#endif
