/* SPDX-License-Identifier: MIT */
/*
 * part - what a guest's page holds of a message whose rest will never come.
 *
 * As long as a session lasts, the rest follows once there is room (down.c). When the session ends
 * with the page as it is, the next one's messages would stand in the middle of that one, and a
 * guest that begins anew would never find the start of any. So the part is taken back, which only
 * he may do who knows that the guest has not begun to read it.
 *
 * Called by domain.c. Never touches what the guest may have read, nor anything of a
 * session that goes on.
 */
#ifndef XSPROXY_PROXY_SESSION_PART_H
#define XSPROXY_PROXY_SESSION_PART_H

struct session;

/**
 * part_take_back() - the session ends, and its page may be another one's: move rsp_prod back to the
 * first octet of a message that is there in part. If the guest has read beyond that, or nobody
 * knows where it is, the part stays and the log says so.
 *
 * Nothing may be delivered afterwards.
 */
void part_take_back(struct session *s);

#endif
