// SPDX-License-Identifier: MIT
#include "protocol/form.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* No domain has a number beyond this, whoever reads it. */
#define NUMBER_MAX 65535

/*
 * The terminated strings at the start of a payload, @max of them at most.
 *
 * Return: how many there are, @max + 1 if more; @end is behind the last one in @vec.
 */
static int strings(const struct message *msg, const char **vec, int max, uint32_t *end)
{
	const char *text = (const char *)msg->payload;
	int n = 0;

	*end = 0;
	while (*end < msg->hdr.len) {
		const char *nul = memchr(text + *end, 0, msg->hdr.len - *end);

		if (!nul)
			break;
		if (n == max)
			return max + 1;
		vec[n++] = text + *end;
		*end = (uint32_t)(nul - text) + 1;
	}
	return n;
}

/* @out becomes the first @len octets of @msg. Return: as form_unify(). */
static int cut(const struct message *msg, uint32_t len, struct message *out)
{
	if (len == msg->hdr.len)
		return 0;
	out->hdr = msg->hdr;
	message_set_text(out, msg->payload, len);
	return 1;
}

static bool is_decimal(const char *text)
{
	size_t n = strspn(text, "0123456789");

	/* Nobody's int overflows at that. */
	return n && n <= 9 && !text[n];
}

/*
 * The C daemon takes what is terminated and ignores the rest; oxenstored wants nothing to be left.
 * Three strings are a WATCH with a depth where upstream knows depth; it says so itself.
 */
static int unify_watch(const struct message *msg, bool ocaml, struct message *out)
{
	const char *vec[3];
	uint32_t end;
	int n = strings(msg, vec, 3, &end);

	if (n != 2 && (n != 3 || msg->hdr.type != XS_WATCH || !is_decimal(vec[2])))
		return -EINVAL;
	if (ocaml && end != msg->hdr.len)
		return -EINVAL;
	return cut(msg, end, out);
}

bool form_is_string(const struct message *msg)
{
	uint32_t len = msg->hdr.len;

	return len && memchr(msg->payload, 0, len) == msg->payload + len - 1;
}

/* oxenstored looks at the first string only, and takes one that is not terminated. */
static int unify_end(const struct message *msg, bool ocaml, struct message *out)
{
	const uint8_t *text = msg->payload;
	uint32_t len = msg->hdr.len;

	if (!len || (text[0] != 'T' && text[0] != 'F'))
		return -EINVAL;
	if (len == 2 && !text[1])
		return 0;
	if (!ocaml || (len > 1 && text[1]))
		return -EINVAL;
	out->hdr = msg->hdr;
	message_set_text(out, text[0] == 'T' ? "T" : "F", 2);
	return 1;
}

/* The base that OCaml's int_of_string takes from a prefix, which is skipped. */
static int prefix(const char **text)
{
	static const char letters[] = "xXoObBuU";
	static const int bases[] = { 16, 8, 2, 10 };
	const char *at;

	if ((*text)[0] != '0' || !(*text)[1])
		return 10;
	at = strchr(letters, (*text)[1]);
	if (!at)
		return 10;
	*text += 2;
	return bases[(at - letters) / 2];
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/*
 * A domain's number as upstream reads it: decimal; for oxenstored also 0x1f, 0o17, 0b11, 0u9, 1_0.
 * What the C daemon would read only in part ("7x", "0x7" as 0) is none.
 *
 * Return: 0 or -EINVAL.
 */
static int read_domid(const char *text, bool ocaml, int *out)
{
	bool minus = *text == '-';
	int base = 10, n = 0;

	text += minus;
	if (ocaml)
		base = prefix(&text);
	if (digit(*text) >= base)
		return -EINVAL;
	for (; *text; text++) {
		if (ocaml && *text == '_')
			continue;
		if (digit(*text) >= base)
			return -EINVAL;
		n = n * base + digit(*text);
		if (n > NUMBER_MAX)
			return -EINVAL;
	}
	*out = minus ? -n : n;
	return 0;
}

/* @rest: of the strings of @msg, what follows the domid; it begins within the payload. */
static int put_domid(const struct message *msg, int domid, const char *rest, uint32_t rest_len,
		     struct message *out)
{
	int n = sprintf((char *)out->payload, "%d", domid) + 1;

	memcpy(out->payload + n, rest, rest_len);
	out->hdr = msg->hdr;
	out->hdr.len = (uint32_t)n + rest_len;
	if (out->hdr.len != msg->hdr.len)
		return 1;
	return memcmp(out->payload, msg->payload, msg->hdr.len) ? 1 : 0;
}

/*
 * Both read three strings and ignore what follows. That oxenstored would take a third one without
 * its NUL is nothing that a client relies on.
 */
static int unify_introduce(const struct message *msg, bool ocaml, struct message *out)
{
	const char *vec[3];
	uint32_t end;
	int domid;

	if (strings(msg, vec, 3, &end) < 3 || read_domid(vec[0], ocaml, &domid))
		return -EINVAL;
	return put_domid(msg, domid, vec[1], end - (uint32_t)(vec[1] - (const char *)msg->payload),
			 out);
}

static int unify_release(const struct message *msg, bool ocaml, struct message *out)
{
	int domid;

	if (!form_is_string(msg) || read_domid((const char *)msg->payload, ocaml, &domid))
		return -EINVAL;
	return put_domid(msg, domid, "", 0, out);
}

int form_unify(const struct message *msg, bool ocaml, struct message *out)
{
	switch (msg->hdr.type) {
	case XS_WATCH:
	case XS_UNWATCH:
		return unify_watch(msg, ocaml, out);
	case XS_TRANSACTION_END:
		return unify_end(msg, ocaml, out);
	case XS_INTRODUCE:
		return unify_introduce(msg, ocaml, out);
	case XS_RELEASE:
		return unify_release(msg, ocaml, out);
	default:
		return 0;
	}
}
