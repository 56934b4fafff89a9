/* SPDX-License-Identifier: MIT */
/*
 * metrics - GET /metrics: our numbers for Prometheus, by libevent's HTTP server.
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
 * metrics_new() - listen. What hinders it is logged and in the status, for guests can do
 * without metrics.
 * @out: NULL when nobody listens
 *
 * Return: 0 or -ENOMEM.
 */
int metrics_new(struct metrics **out, struct daemon *daemon);

/** metrics_free() - NULL is fine; returns NULL. */
struct metrics *metrics_free(struct metrics *metrics);

#endif
