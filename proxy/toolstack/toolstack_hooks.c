// SPDX-License-Identifier: MIT
/*
 * toolstack_hooks - which of our functions sessions call, and when (hooks.h).
 */
#include "proxy/session/hooks.h"
#include "proxy/toolstack/toolstack.h"

const struct session_hooks toolstack_hooks = {
	.root_only = toolstack_root_only,
	.wants = toolstack_wants,
	.take = toolstack_take,
	.forbids = toolstack_forbids,
	.spares = toolstack_spares,
	.gate = toolstack_gate,
	.gate_pass = toolstack_gate_pass,
	.inject = toolstack_inject,
	.reply = toolstack_reply,
	.lost = toolstack_lost,
	.turn = toolstack_turn,
	.overflow = toolstack_overflow,
	.watches_lost = toolstack_watches_lost,
	.asker_gone = toolstack_asker_gone,
	.dropped = toolstack_request_dropped,
	.recover = toolstack_recover,
	.gone = toolstack_session_gone,
};
