/* SPDX-License-Identifier: MIT */
/*
 * metrics - our numbers for Prometheus: GET /metrics by libevent's HTTP server, or for whoever asks
 * over the control socket.
 *
 * metrics.c listens, where the configuration says so, and answers; metrics_text.c writes the text,
 * metrics_domains.c chooses the domains that it names. A scraper costs little, however it behaves:
 * there are few connections, each for one answer and for some seconds at most, and a text is
 * written once a second at most.
 *
 * Made by main.c. Must never change anything for a scraper, nor keep xsproxyd from starting where
 * nobody can listen.
 */
#ifndef XSPROXY_PROXY_METRICS_METRICS_H
#define XSPROXY_PROXY_METRICS_METRICS_H

struct daemon;
struct metrics;

/**
 * metrics_new() - listen, if that is wanted. What hinders it is logged and in the status, for
 * guests can do without metrics.
 *
 * Return: 0 or -ENOMEM.
 */
int metrics_new(struct metrics **out, struct daemon *daemon);

/**
 * metrics_read() - the text as of now, or of a moment ago.
 * @text: valid until the loop goes on
 *
 * Return: 0 or -ENOMEM.
 */
int metrics_read(struct metrics *metrics, const char **text);

/** metrics_free() - NULL is fine; returns NULL. */
struct metrics *metrics_free(struct metrics *metrics);

#endif
