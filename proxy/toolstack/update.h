/* SPDX-License-Identifier: MIT */
/*
 * update - CONTROL live-update, by which a toolstack has xenstored replaced by another build of it.
 *
 * xenstored would do that by itself, and xsproxyd would find another daemon under it. So the
 * request ends here: the exchange of xenstored (exchange/) does what was asked for. It is asked in
 * steps, by one connection at a time: -f FILE, -c ARGUMENTS, -s; or -a, by any, which forgets it.
 *
 * Called by toolstack.c and op.c. Must never pass any of it on.
 */
#ifndef XSPROXY_PROXY_TOOLSTACK_UPDATE_H
#define XSPROXY_PROXY_TOOLSTACK_UPDATE_H

struct daemon;
struct op;
struct request;
struct session;
struct update;

/* What exchanges xenstored: exchange/, which is above us. */
struct update_hooks {
	/**
	 * begin() - begin an exchange.
	 * @with: the path of the daemon, and maybe, on a line of its own, what it is started with,
	 *	as in the plan of link/start.h
	 * @op: update_done() is called with it, later
	 *
	 * Return: NULL; or why not, in words, static: "BUSY" if it may be asked again.
	 */
	const char *(*begin)(struct daemon *daemon, const char *with, struct op *op);
	/** forget() - nobody waits for it any more; nothing if nobody does. */
	void (*forget)(struct daemon *daemon, const struct op *op);
};

/** update_take() - carry one step out. Return: as the functions of request.h. */
int update_take(struct request *req);

/** update_done() - an exchange is over. @why: NULL: all went well; else what has failed */
void update_done(struct op *op, const char *why);

/** update_end() - what this session has said of one is forgotten; NULL: whoever has. */
void update_end(struct daemon *daemon, const struct session *s);

#endif
