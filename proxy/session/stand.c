// SPDX-License-Identifier: MIT
#include "proxy/session/stand.h"

#include <string.h>

void stand_set(struct session *s, const struct stand *stand)
{
	struct ledger_more *more = ledger_more(s->ledger);

	s->stand = *stand;
	more->who = stand->by;
	/* Who finds one half of it finds some time of today. */
	memcpy(more->since, &stand->since, sizeof(more->since));
}

const struct stand *stand_of(const struct session *s)
{
	return session_state(s) == LEDGER_QUIET && s->stand.since ? &s->stand : NULL;
}

void stand_recover(struct session *s)
{
	const struct ledger_more *more = &s->ledger->more;

	if (session_state(s) != LEDGER_QUIET || more->map_gen != s->ledger->map_gen)
		return;
	memcpy(&s->stand.since, more->since, sizeof(s->stand.since));
	s->stand.by = who_kept(&more->who);
}
