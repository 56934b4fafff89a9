/* SPDX-License-Identifier: MIT */
/*
 * form - the one form of a request that we and upstream read alike.
 *
 * WATCH, UNWATCH, TRANSACTION_END, INTRODUCE and RELEASE are read twice: by xenstored, which does
 * what they say, and by us, who must know what it did. The daemons differ in what they make of a
 * missing NUL, of octets and strings behind the last one they need, and of a number that is not
 * plain decimal (docs/daemons.md, "What a WATCH says", "What ends a transaction" and "Numbers").
 * So what goes upstream is (| is a NUL octet)
 *
 *	WATCH            path|token|  or  path|token|depth|
 *	UNWATCH          path|token|
 *	TRANSACTION_END  T|  or  F|
 *	INTRODUCE        domid|gfn|port|
 *	RELEASE          domid|
 *
 * with domid and depth in decimal, and nothing else: what upstream would do for a message in
 * another form is said in this one, what it would refuse is not sent.
 *
 * Called for what a session would forward. Knows no session; must never change what a request in
 * this form says.
 */
#ifndef XSPROXY_PROTOCOL_FORM_H
#define XSPROXY_PROTOCOL_FORM_H

#include <stdbool.h>

#include "protocol/message.h"

/**
 * form_unify() - bring a request into the form that both read alike.
 * @ocaml: upstream reads as oxenstored does, else as the C daemon
 * @out: filled in if that is another one than @msg's; never longer than @msg but by a NUL.
 *       WATCH and UNWATCH: the beginning of @msg
 *
 * Return: 0: @msg is in that form, or its type has none; 1: @out is; -EINVAL: upstream would
 * refuse it, or neither reading is certain.
 */
int form_unify(const struct message *msg, bool ocaml, struct message *out);

/** form_is_string() - whether a payload is one terminated string and nothing else. */
bool form_is_string(const struct message *msg);

#endif
