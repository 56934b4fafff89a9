/* SPDX-License-Identifier: MIT */
/*
 * wording - what a guest wrote, for a log that terminals show.
 *
 * Called by tap.c and up.c. Must never let an octet through that a terminal takes for more than
 * itself.
 */
#ifndef XSPROXY_PROXY_OBSERVE_WORDING_H
#define XSPROXY_PROXY_OBSERVE_WORDING_H

#include <stdint.h>

#define WORDING_OCTET	  4u /* octets that one octet may become */
#define WORDING_FIRST_MAX 80 /* octets, NUL included */

/**
 * wording_all() - a payload.
 * @text: room for WORDING_OCTET * @len + 1 octets
 */
void wording_all(char *text, const uint8_t *octets, uint32_t len);

/**
 * wording_first() - what a request is about: its payload's first string, shortened.
 *
 * Return: @text.
 */
const char *wording_first(char text[WORDING_FIRST_MAX], const uint8_t *octets, uint32_t len);

#endif
