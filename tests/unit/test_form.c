// SPDX-License-Identifier: MIT
/*
 * The one form that both of us read alike: by a table; and at random against two readers that take
 * a payload apart as the C daemon and as oxenstored do. Whatever is forwarded, both readers and the
 * reader of the original must see the same in it.
 */
#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/form.h"

static struct message make(uint32_t type, const void *payload, uint32_t len)
{
	struct message msg = { .hdr = { .type = type, .req_id = 3, .tx_id = 4 } };

	message_set_text(&msg, payload, len);
	return msg;
}

/* --- a table */

#define S(text) text, sizeof(text) - 1

enum { REFUSED = -EINVAL, GOOD = 0, CHANGED = 1 };

static const struct {
	uint32_t type;
	const char *said;
	uint32_t len;
	int c, ocaml;	  /* what form_unify() says for either daemon */
	const char *sent; /* if it is CHANGED */
	uint32_t sent_len;
} cases[] = {
	{ XS_WATCH, S("p\0t\0"), GOOD, GOOD, S("") },
	{ XS_WATCH, S("\0\0"), GOOD, GOOD, S("") },
	{ XS_WATCH, S("p\0t\0junk"), CHANGED, REFUSED, S("p\0t\0") },
	{ XS_WATCH,
	  S("p\0t\0"
	    "12\0"),
	  GOOD, GOOD, S("") },
	{ XS_WATCH,
	  S("p\0t\0"
	    "12\0x"),
	  CHANGED, REFUSED,
	  S("p\0t\0"
	    "12\0") },
	{ XS_WATCH, S("p\0t\0x\0"), REFUSED, REFUSED, S("") },
	{ XS_WATCH, S("p\0t\0-1\0"), REFUSED, REFUSED, S("") },
	{ XS_WATCH, S("p\0t\0\0"), REFUSED, REFUSED, S("") },
	{ XS_WATCH,
	  S("p\0t\0"
	    "4294967296\0"),
	  REFUSED, REFUSED, S("") },
	{ XS_WATCH,
	  S("p\0t\0"
	    "1\0"
	    "2\0"),
	  REFUSED, REFUSED, S("") },
	{ XS_WATCH, S("p\0t"), REFUSED, REFUSED, S("") },
	{ XS_WATCH, S("p\0"), REFUSED, REFUSED, S("") },
	{ XS_WATCH, S(""), REFUSED, REFUSED, S("") },
	{ XS_UNWATCH, S("p\0t\0"), GOOD, GOOD, S("") },
	{ XS_UNWATCH, S("p\0t\0j"), CHANGED, REFUSED, S("p\0t\0") },
	{ XS_UNWATCH,
	  S("p\0t\0"
	    "1\0"),
	  REFUSED, REFUSED, S("") },
	{ XS_TRANSACTION_END, S("T\0"), GOOD, GOOD, S("") },
	{ XS_TRANSACTION_END, S("F\0"), GOOD, GOOD, S("") },
	{ XS_TRANSACTION_END, S("T"), REFUSED, CHANGED, S("T\0") },
	{ XS_TRANSACTION_END, S("F\0T\0"), REFUSED, CHANGED, S("F\0") },
	{ XS_TRANSACTION_END, S("T\0junk"), REFUSED, CHANGED, S("T\0") },
	{ XS_TRANSACTION_END, S("TT\0"), REFUSED, REFUSED, S("") },
	{ XS_TRANSACTION_END, S("t\0"), REFUSED, REFUSED, S("") },
	{ XS_TRANSACTION_END, S("\0"), REFUSED, REFUSED, S("") },
	{ XS_TRANSACTION_END, S(""), REFUSED, REFUSED, S("") },
	{ XS_RELEASE, S("7\0"), GOOD, GOOD, S("") },
	{ XS_RELEASE, S("007\0"), CHANGED, CHANGED, S("7\0") },
	{ XS_RELEASE, S("-0\0"), CHANGED, CHANGED, S("0\0") },
	{ XS_RELEASE, S("-1\0"), GOOD, GOOD, S("") },
	{ XS_RELEASE, S("0x1F\0"), REFUSED, CHANGED, S("31\0") },
	{ XS_RELEASE, S("0X7\0"), REFUSED, CHANGED, S("7\0") },
	{ XS_RELEASE, S("0o17\0"), REFUSED, CHANGED, S("15\0") },
	{ XS_RELEASE, S("0b101\0"), REFUSED, CHANGED, S("5\0") },
	{ XS_RELEASE, S("0u9\0"), REFUSED, CHANGED, S("9\0") },
	{ XS_RELEASE, S("1_0\0"), REFUSED, CHANGED, S("10\0") },
	{ XS_RELEASE, S("_10\0"), REFUSED, REFUSED, S("") },
	{ XS_RELEASE, S("0x\0"), REFUSED, REFUSED, S("") },
	{ XS_RELEASE, S("0b12\0"), REFUSED, REFUSED, S("") },
	{ XS_RELEASE, S(" 7\0"), REFUSED, REFUSED, S("") },
	{ XS_RELEASE, S("7x\0"), REFUSED, REFUSED, S("") },
	{ XS_RELEASE, S("\0"), REFUSED, REFUSED, S("") },
	{ XS_RELEASE, S("7"), REFUSED, REFUSED, S("") },
	{ XS_RELEASE,
	  S("7\0"
	    "8\0"),
	  REFUSED, REFUSED, S("") },
	/* atoi() takes these for 7 and for 9. */
	{ XS_RELEASE, S("4294967303\0"), REFUSED, REFUSED, S("") },
	{ XS_RELEASE, S("18446744073709551625\0"), REFUSED, REFUSED, S("") },
	{ XS_INTRODUCE,
	  S("7\0"
	    "0x123\0"
	    "5\0"),
	  GOOD, GOOD, S("") },
	{ XS_INTRODUCE,
	  S("7\0"
	    "1\0"
	    "5\0more\0"),
	  CHANGED, CHANGED,
	  S("7\0"
	    "1\0"
	    "5\0") },
	{ XS_INTRODUCE,
	  S("7\0"
	    "1\0"
	    "5\0tail"),
	  CHANGED, CHANGED,
	  S("7\0"
	    "1\0"
	    "5\0") },
	{ XS_INTRODUCE,
	  S("0x9\0"
	    "1\0"
	    "5\0"),
	  REFUSED, CHANGED,
	  S("9\0"
	    "1\0"
	    "5\0") },
	{ XS_INTRODUCE,
	  S("7\0"
	    "1\0"
	    "5"),
	  REFUSED, REFUSED, S("") },
	{ XS_INTRODUCE,
	  S("7\0"
	    "1\0"),
	  REFUSED, REFUSED, S("") },
	{ XS_READ, S("whatever"), GOOD, GOOD, S("") },
	{ XS_RESET_WATCHES, S(""), GOOD, GOOD, S("") },
	{ XS_TRANSACTION_START, S("x\0y"), GOOD, GOOD, S("") },
	{ 4711, S("x\0y"), GOOD, GOOD, S("") },
};

static void forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message msg = make(cases[i].type, cases[i].said, cases[i].len), out;

		for (int ocaml = 0; ocaml < 2; ocaml++) {
			int want = ocaml ? cases[i].ocaml : cases[i].c;

			if (form_unify(&msg, ocaml, &out) != want)
				fail_msg("case %zu, ocaml %d: not %d", i, ocaml, want);
			if (want != CHANGED)
				continue;
			assert_int_equal(out.hdr.len, cases[i].sent_len);
			assert_memory_equal(out.payload, cases[i].sent, cases[i].sent_len);
			assert_int_equal(out.hdr.type, cases[i].type);
			assert_int_equal(out.hdr.req_id, 3);
			assert_int_equal(out.hdr.tx_id, 4);
		}
		/* As it was said. */
		assert_int_equal(msg.hdr.len, cases[i].len);
		assert_memory_equal(msg.payload, cases[i].said, cases[i].len);
	}
}

/* The longest ones, and one octet that must not be written beyond the end. */
static void limits(void **state)
{
	static char payload[XENSTORE_PAYLOAD_MAX];
	struct message msg, out;

	(void)state;
	memset(payload, 'x', sizeof(payload));
	msg = make(XS_UNWATCH, payload, sizeof(payload));
	assert_int_equal(form_unify(&msg, false, &out), -EINVAL);
	payload[5] = payload[9] = 0;
	msg = make(XS_UNWATCH, payload, sizeof(payload));
	assert_int_equal(form_unify(&msg, false, &out), 1);
	assert_int_equal(out.hdr.len, 10);
	memset(payload, '0', sizeof(payload));
	payload[4094] = '7';
	payload[4095] = 0;
	msg = make(XS_RELEASE, payload, sizeof(payload));
	assert_int_equal(form_unify(&msg, true, &out), 1);
	assert_int_equal(out.hdr.len, 2);
	payload[0] = 'T';
	payload[1] = 0;
	msg = make(XS_TRANSACTION_END, payload, sizeof(payload));
	assert_int_equal(form_unify(&msg, true, &out), 1);
	assert_int_equal(out.hdr.len, 2);
}

/* --- two readers */

#define STRINGS 8

/* What a daemon understands; nothing if it answers EINVAL. */
struct reading {
	int n; /* strings that count; 0: refused */
	char text[3][64];
	long domid;
};

/* get_strings(): all terminated ones; what follows is not seen. */
static int c_strings(const struct message *msg, const char *vec[STRINGS])
{
	const char *at = (const char *)msg->payload, *end = at + msg->hdr.len, *nul;
	int n = 0;

	for (; n < STRINGS && at < end && (nul = memchr(at, 0, (size_t)(end - at))); at = nul + 1)
		vec[n++] = at;
	return n;
}

/* String.split '\000': what is between NULs, the empty string behind a last NUL included. */
static int o_strings(const struct message *msg, char part[STRINGS][64])
{
	int n = 0;
	uint32_t at = 0;

	for (uint32_t i = 0; i <= msg->hdr.len && n < STRINGS; i++) {
		if (i < msg->hdr.len && msg->payload[i])
			continue;
		snprintf(part[n++], sizeof(part[0]), "%.*s", (int)(i - at), msg->payload + at);
		at = i + 1;
	}
	return n;
}

static struct reading keep(int n, const char *a, const char *b, const char *c)
{
	struct reading got = { .n = n, .domid = -1 };
	const char *text[] = { a, b, c };

	for (int i = 0; i < n; i++)
		snprintf(got.text[i], sizeof(got.text[i]), "%s", text[i]);
	return got;
}

/* As the C daemon of 4.17 (docs/daemons.md, "What a WATCH says"); a third string as 4.22. */
static struct reading c_reads(const struct message *msg)
{
	static const struct reading refused = { 0 };
	const char *vec[STRINGS];
	int n = c_strings(msg, vec);
	bool exact = n == 1 && strlen(vec[0]) + 1 == msg->hdr.len;
	struct reading got;

	switch (msg->hdr.type) {
	case XS_WATCH:
		return n == 2	? keep(2, vec[0], vec[1], NULL)
		       : n == 3 ? keep(3, vec[0], vec[1], vec[2])
				: refused;
	case XS_UNWATCH:
		return n == 2 ? keep(2, vec[0], vec[1], NULL) : refused;
	case XS_TRANSACTION_END:
		if (!exact || (strcmp(vec[0], "T") && strcmp(vec[0], "F")))
			return refused;
		return keep(1, vec[0], NULL, NULL);
	case XS_RELEASE:
		if (!exact)
			return refused;
		got = keep(1, "", NULL, NULL);
		got.domid = atoi(vec[0]);
		return got;
	default:
		if (n < 3)
			return refused;
		got = keep(3, "", vec[1], vec[2]);
		got.domid = atoi(vec[0]);
		return got;
	}
}

/* int_of_string. Return: whether it is one; @out is -1 for what no domain has. */
static bool o_number(const char *text, long *out)
{
	char digits[64], *end;
	int base = 10, n = 0;
	bool minus = *text == '-';
	unsigned long long value;

	if (*text == '-' || *text == '+')
		text++;
	if (text[0] == '0' && text[1] && strchr("xXoObBuU", text[1])) {
		base = strchr("xX", text[1])   ? 16
		       : strchr("oO", text[1]) ? 8
		       : strchr("bB", text[1]) ? 2
					       : 10;
		text += 2;
	}
	if (!isxdigit((unsigned char)*text))
		return false;
	for (; *text; text++)
		if (*text != '_')
			digits[n++] = *text;
	digits[n] = 0;
	value = strtoull(digits, &end, base);
	*out = value > 65535 || (minus && value) ? -1 : (long)value;
	return isxdigit((unsigned char)digits[0]) && end != digits && !*end;
}

/* As oxenstored; a third string as XAPI's. */
static struct reading o_reads(const struct message *msg)
{
	static const struct reading refused = { 0 };
	char part[STRINGS][64];
	int n = o_strings(msg, part);
	struct reading got;

	switch (msg->hdr.type) {
	case XS_WATCH:
		if (n == 4 && !*part[3])
			return keep(3, part[0], part[1], part[2]);
		/* fall through */
	case XS_UNWATCH:
		return n == 3 && !*part[2] ? keep(2, part[0], part[1], NULL) : refused;
	case XS_TRANSACTION_END:
		return strcmp(part[0], "T") && strcmp(part[0], "F") ? refused
								    : keep(1, part[0], NULL, NULL);
	case XS_RELEASE:
		got = keep(1, "", NULL, NULL);
		return n == 2 && !*part[1] && o_number(part[0], &got.domid) ? got : refused;
	default:
		if (n < 3)
			return refused;
		got = keep(3, "", part[1], part[2]);
		return o_number(part[0], &got.domid) ? got : refused;
	}
}

/* Numbers that name no domain are all the same. */
static void assert_alike(const struct reading *a, const struct reading *b)
{
	assert_int_equal(a->n, b->n);
	for (int i = 0; i < a->n; i++)
		assert_string_equal(a->text[i], b->text[i]);
	if (a->domid >= 0 || b->domid >= 0)
		assert_int_equal(a->domid, b->domid);
}

/* --- at random */

static uint32_t chance(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % n;
}

/* A few pieces that matter, in any order and number. */
static struct message make_odd(uint32_t *seed)
{
	static const uint32_t types[] = { XS_WATCH, XS_UNWATCH, XS_TRANSACTION_END, XS_RELEASE,
					  XS_INTRODUCE };
	static const char *const pieces[] = {
		"T",   "F",  "7",  "0",	    "x",     "0x",	   "1_0",
		"0X",  "0b", "0o", "0u",    "-",     "+",	   " ",
		"_",   "a",  "t",  "65535", "65536", "4294967303", "99999999999999999999",
		"path"
	};
	char payload[256];
	uint32_t len = 0, n = chance(seed, 9);

	while (n--) {
		const char *piece = pieces[chance(seed, sizeof(pieces) / sizeof(pieces[0]))];

		if (!chance(seed, 3)) {
			payload[len++] = 0;
			continue;
		}
		memcpy(payload + len, piece, strlen(piece));
		len += (uint32_t)strlen(piece);
	}
	if (chance(seed, 2))
		payload[len++] = 0;
	return make(types[chance(seed, sizeof(types) / sizeof(types[0]))], payload, len);
}

/* What upstream would have done, and what either daemon does for what it gets. */
static void check_sent(const struct message *msg, bool ocaml, const struct message *sent)
{
	struct reading said = ocaml ? o_reads(msg) : c_reads(msg);
	struct reading c = c_reads(sent), o = o_reads(sent);
	struct message again;

	assert_true(said.n);
	assert_alike(&said, &c);
	assert_alike(&c, &o);
	assert_int_equal(form_unify(sent, ocaml, &again), 0);
	assert_int_equal(form_unify(sent, !ocaml, &again), 0);
	assert_true(sent->hdr.len <= msg->hdr.len + 1);
	if (msg->hdr.type == XS_WATCH || msg->hdr.type == XS_UNWATCH)
		assert_memory_equal(sent->payload, msg->payload, sent->hdr.len);
}

/* What a client may send, and upstream takes, is never refused. */
static bool is_plain(const struct message *msg)
{
	struct reading c = c_reads(msg), o = o_reads(msg);
	const char *at = (const char *)msg->payload;

	if (!c.n || !o.n || msg->payload[msg->hdr.len - 1])
		return false;
	if (msg->hdr.type == XS_WATCH)
		return c.n == 2;
	if (msg->hdr.type == XS_RELEASE || msg->hdr.type == XS_INTRODUCE)
		return strspn(at, "0123456789") == strlen(at) && c.domid >= 0 && c.domid == o.domid;
	return true;
}

static void both_read_what_is_sent_alike(void **state)
{
	uint32_t seed = 20261123, refused = 0, good = 0, changed = 0;

	(void)state;
	for (uint32_t i = 0; i < 300000; i++) {
		struct message msg = make_odd(&seed), out;
		bool ocaml = i % 2;
		int ret = form_unify(&msg, ocaml, &out);

		if (ret < 0) {
			assert_int_equal(ret, -EINVAL);
			assert_false(is_plain(&msg));
			refused++;
			continue;
		}
		check_sent(&msg, ocaml, ret ? &out : &msg);
		good += !ret;
		changed += ret;
	}
	/* All three must have been tried. */
	assert_true(refused > 1000 && good > 1000 && changed > 1000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(limits),
		cmocka_unit_test(both_read_what_is_sent_alike),
	};

	return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
