/* SPDX-License-Identifier: MIT */
/*
 * toolstack - the requests of docs/protocol.md that xsproxy answers itself, by wire type and by
 * CONTROL, and the gate that holds back INTRODUCE and RELEASE until none of the domain's
 * requests is under way.
 *
 * On privileged sessions only. A request of ours takes a PENDING_ANSWER slot of its asker; what
 * must wait becomes a struct op (op.h). Sessions call us by toolstack_hooks; the functions below
 * say what hooks.h leaves to us.
 */
#ifndef XSPROXY_PROXY_TOOLSTACK_TOOLSTACK_H
#define XSPROXY_PROXY_TOOLSTACK_TOOLSTACK_H

#include <stdbool.h>
#include <stdint.h>

struct asker;
struct daemon;
struct ledger_pending;
struct message;
struct op;
struct session;
struct session_hooks;

/** toolstack_hooks - what each session is made with. */
extern const struct session_hooks toolstack_hooks;

/**
 * toolstack_root_only() - whether a request is for root alone and @s is another user's: CONTROL to
 * xenstored, which has it do things as root, and what of ours stops or changes a domain.
 */
bool toolstack_root_only(const struct session *s, const struct message *msg);

/** toolstack_wants() - whether a privileged session's request is one that we answer. */
bool toolstack_wants(const struct message *msg);

/** toolstack_forbids() - whether a request must never reach upstream (RELEASE of dom0). */
bool toolstack_forbids(const struct message *msg);

/**
 * toolstack_spares() - whether a request is not forwarded for xenstored's sake: a RELEASE that it
 * would not carry out, and that may end it ([guard] release).
 */
bool toolstack_spares(struct session *s, const struct message *msg);

/** toolstack_spare() - answer such a request as xenstored would; @slot is its PENDING_ANSWER. */
void toolstack_spare(struct session *s, int slot, const struct message *msg);

/** toolstack_take() - begin a request of ours, or spare one; @slot is its PENDING_ANSWER. */
void toolstack_take(struct session *s, int slot, const struct message *msg);

/**
 * toolstack_ask() - begin a request of ours that came in by the control socket.
 * @msg: as on the wire
 * @asker: no session; its reply() is called once with the wire reply, maybe at once, and must not
 * call back; its arg names it in toolstack_control_gone()
 */
void toolstack_ask(struct daemon *daemon, const struct message *msg, const struct asker *asker);

/** toolstack_control_gone() - the asker @arg has gone: its ops are abandoned, its leases end. */
void toolstack_control_gone(struct daemon *daemon, void *arg);

/**
 * toolstack_gate() - whether a request may be forwarded now.
 *
 * Not an INTRODUCE or RELEASE of an attached domain until that domain has settled, or would not in
 * time; @s runs again then.
 *
 * Return: 1, 0 or, for an INTRODUCE that comes too late to be safe, -EAGAIN.
 */
int toolstack_gate(struct session *s, const struct message *msg);

/** toolstack_gate_pass() - the request is being forwarded, in @slot; its reply ends the op. */
void toolstack_gate_pass(struct session *s, int slot);

/** toolstack_inject() - in a turn of @s: let an op send a request. Return: whether one did. */
bool toolstack_inject(struct session *s);

/** toolstack_turn() - a session ended a turn: see who waited for that. */
void toolstack_turn(struct session *s);

/** toolstack_reply() - the reply to a request that an op injected, or waited for. */
void toolstack_reply(struct session *s, struct op *op, const struct ledger_pending *pending,
		     const struct message *msg);

/** toolstack_lost() - the reply to the request that an op injected in @slot will never come. */
void toolstack_lost(struct session *s, int slot);

/** toolstack_overflow() - the ADD_DOMAIN_WATCHES of @s has more events than can be kept. */
void toolstack_overflow(struct session *s);

/**
 * toolstack_watches_lost() - the watches of @s are gone upstream, or will be once our RESET_WATCHES
 * is answered: an ADD_DOMAIN_WATCHES that has added some fails.
 */
void toolstack_watches_lost(struct session *s);

/**
 * toolstack_recover() - a session was taken up again: undo what an op left half done.
 *
 * Return: 0 or -ENOMEM.
 */
int toolstack_recover(struct session *s);

/** toolstack_asker_gone() - the same for a client that has closed its connection. */
void toolstack_asker_gone(struct session *s);

/** toolstack_request_dropped() - the held back INTRODUCE or RELEASE of @s exists no more. */
void toolstack_request_dropped(struct session *s);

/** toolstack_session_gone() - a session is about to be freed. */
void toolstack_session_gone(struct session *s);

#endif
