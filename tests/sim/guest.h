/* SPDX-License-Identifier: MIT */
/*
 * A guest's side of Xenstore on a simulated machine: its ring, its event channel, and messages.
 * Used by the xsguest program, by test programs in C, and through ctypes (xsguest.py) by pytest;
 * so all types are plain and all errors are negative errnos:
 *
 *	-ETIMEDOUT	nothing came in time (a timeout < 0 waits for ever)
 *	-ENOTCONN	the guest is stopped, or its domain is gone
 *	-EPROTO		the ring's indexes or a message's length make no sense
 *
 * A guest is used by one thread at a time. It must never touch the store in another way than
 * through its ring.
 */
#ifndef XENSIM_GUEST_H
#define XENSIM_GUEST_H

#include <stddef.h>
#include <stdint.h>

#define XSGUEST_API __attribute__((visibility("default")))

struct xsguest;

/* When to send an event after having written to or read from the ring. */
enum xsguest_notify {
	XSGUEST_NOTIFY_LINUX,  /* as Linux: only if the other side may be waiting */
	XSGUEST_NOTIFY_ALWAYS, /* after each piece */
	XSGUEST_NOTIFY_NEVER,  /* the caller does */
};

enum xsguest_field {
	XSGUEST_REQ_CONS,
	XSGUEST_REQ_PROD,
	XSGUEST_RSP_CONS,
	XSGUEST_RSP_PROD,
	XSGUEST_SERVER_FEATURES,
	XSGUEST_CONNECTION,
	XSGUEST_ERROR,
	XSGUEST_FIELDS,
};

struct xsguest_msg {
	uint32_t type;
	uint32_t req_id;
	uint32_t tx_id;
	uint32_t len;
	char payload[4096 + 1]; /* a NUL follows the @len octets */
};

/*
 * Play domain @domid of the machine in @dir (NULL: XENSIM_DIR); 0 is the dom0 kernel. -ESRCH: no
 * such domain. -EBUSY: somebody else plays it.
 */
XSGUEST_API int xsguest_open(const char *dir, uint32_t domid, struct xsguest **out);
XSGUEST_API void xsguest_close(struct xsguest *g);

/* The guest's CPU goes away: it takes no events; its page and port stay as they are. */
XSGUEST_API void xsguest_stop(struct xsguest *g);
XSGUEST_API int xsguest_start(struct xsguest *g);

XSGUEST_API uint32_t xsguest_domid(struct xsguest *g);

/* Readable while an event waits; -ENOTCONN while stopped. */
XSGUEST_API int xsguest_fd(struct xsguest *g);

XSGUEST_API void xsguest_set_notify(struct xsguest *g, int mode);
XSGUEST_API int xsguest_notify(struct xsguest *g);

/*
 * While it waits for an event, send one every @ms, unless in mode NEVER; 0 (at first): do not.
 * oxenstored on a guest's own ring does not look for room again after it has written what fitted,
 * and may stop in the middle of a reply until a further event comes.
 */
XSGUEST_API void xsguest_set_nudge(struct xsguest *g, int ms);

/* Wait for an event and take it. Events that came before count. */
XSGUEST_API int xsguest_wait_event(struct xsguest *g, int timeout_ms);

/** xsguest_wakeups() - how many events the guest has taken. */
XSGUEST_API uint64_t xsguest_wakeups(struct xsguest *g);

/* The page as it is. Out of bounds: -EINVAL. */
XSGUEST_API int xsguest_page_read(struct xsguest *g, uint32_t offset, void *buf, uint32_t len);
XSGUEST_API int xsguest_page_write(struct xsguest *g, uint32_t offset, const void *buf,
				   uint32_t len);
/** xsguest_page() - the page itself. */
XSGUEST_API void *xsguest_page(struct xsguest *g);
XSGUEST_API uint32_t xsguest_get(struct xsguest *g, int field);
XSGUEST_API void xsguest_set(struct xsguest *g, int field, uint32_t value);

/* As many octets as there is room for, or as there are; 0 is possible. */
XSGUEST_API int xsguest_push(struct xsguest *g, const void *buf, uint32_t len);
XSGUEST_API int xsguest_pull(struct xsguest *g, void *buf, uint32_t len);

/* All octets, waiting for room. On a timeout a part has been sent. */
XSGUEST_API int xsguest_send(struct xsguest *g, const void *buf, uint32_t len, int timeout_ms);

/* One request; @len may lie: what is sent is header and payload as given. */
XSGUEST_API int xsguest_send_request(struct xsguest *g, uint32_t type, uint32_t req_id,
				     uint32_t tx_id, const void *payload, uint32_t len,
				     int timeout_ms);

/* The next message of any kind, from the ring. On a timeout a half-read message is kept. */
XSGUEST_API int xsguest_recv(struct xsguest *g, struct xsguest_msg *msg, int timeout_ms);

/* The next message that is no watch event; watch events are queued. */
XSGUEST_API int xsguest_recv_reply(struct xsguest *g, struct xsguest_msg *msg, int timeout_ms);

/* The next watch event, queued or from the ring; a reply in between is -EPROTO. */
XSGUEST_API int xsguest_recv_event(struct xsguest *g, struct xsguest_msg *msg, int timeout_ms);

/* Send a request and wait for its reply; -EPROTO when another id is answered. */
XSGUEST_API int xsguest_request(struct xsguest *g, uint32_t type, uint32_t req_id, uint32_t tx_id,
				const void *payload, uint32_t len, struct xsguest_msg *reply,
				int timeout_ms);

/* Ask for a ring reconnect and wait until the server has done it; drops what was half read. */
XSGUEST_API int xsguest_reconnect(struct xsguest *g, int timeout_ms);

#endif
