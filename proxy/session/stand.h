/* SPDX-License-Identifier: MIT */
/*
 * stand - since when a session stands still, and for whom: to be shown, and nothing else.
 *
 * It is in the ledger, so that a restart does not lose it. Set by op.c, holds.c and session.c,
 * which have sessions stand still, and shown by control_show.c. Must never decide whether a session
 * does: session_state() says that.
 */
#ifndef XSPROXY_PROXY_SESSION_STAND_H
#define XSPROXY_PROXY_SESSION_STAND_H

#include "proxy/session/session.h"

/** stand_set() - after session_quiet(): since when, and for whom; @stand is copied. */
void stand_set(struct session *s, const struct stand *stand);

/** stand_of() - what that said, as long as it stands; NULL: it runs, or nothing is known. */
const struct stand *stand_of(const struct session *s);

/** stand_recover() - what an xsproxyd before us said, of a recovered ledger. */
void stand_recover(struct session *s);

#endif
