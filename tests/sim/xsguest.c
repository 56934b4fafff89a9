// SPDX-License-Identifier: MIT
/*
 * xsguest: a guest that does as it is told and prints what it sent and got, one line each, the same
 * for the same behaviour, so that two runs can be compared. A program on top of guest.h; it talks
 * through the ring only, so before the domain is introduced its requests simply wait.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/io/xs_wire.h>

#include "tests/sim/guest.h"

#define MAX_WORDS 32

static const char usage_text[] =
	"usage: xsguest [-d DIR] [-t SECONDS] [-n] DOMID REQUEST...\n"
	"  -d DIR      the machine's directory, by default $XENSIM_DIR\n"
	"  -t SECONDS  how long each request may wait, 30 by default, 0: for ever\n"
	"  -n          notify after each access, not only when Linux does\n"
	"Each argument is a request; `-' reads requests from standard input, one a line:\n"
	"  read|mkdir|rm|directory|get-perms PATH, write PATH VALUE, set-perms PATH PERM...,\n"
	"  watch|unwatch PATH TOKEN, reset-watches, start, end T|F, tx ID|last REQUEST,\n"
	"  boot            what a Linux guest sends when it starts\n"
	"  wait-event [N]  print the next N watch events, 1 by default\n"
	"  wait-path PATH  print watch events until one for PATH has come\n"
	"  reconnect       ask for a ring reconnect\n"
	"A word may be quoted: \"a b\", with \\\", \\\\ and \\xHH in it. `end' ends the "
	"transaction\n"
	"that was started last. Output: `>' sent, `<' reply, `!' error reply, `*' event (printed "
	"when\n"
	"waited for). Exit status 1 when a reply or event does not come in time.\n";

static struct xsguest *guest;
static int timeout_ms = 30000;
static uint32_t last_tx;
static uint32_t last_id;

static int usage(const char *what)
{
	fprintf(stderr, "xsguest: %s; see xsguest -h\n", what);
	return 2;
}

static int fail(const char *what, int rc)
{
	fprintf(stderr, "xsguest: %s: %s\n", what, strerror(-rc));
	return 1;
}

/* A word without spaces, or with @quote anything. */
static void print_escaped(const char *s, size_t len, bool quote)
{
	if (quote)
		putchar('"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c > '~' || (c == ' ' && !quote))
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	if (quote)
		putchar('"');
}

/* Each string of a payload as a word. */
static void print_words(const char *payload, uint32_t len)
{
	const char *end = payload + len;

	while (payload < end) {
		size_t n = strnlen(payload, (size_t)(end - payload));

		putchar(' ');
		if (n)
			print_escaped(payload, n, false);
		else
			printf("\"\"");
		payload += n + 1;
	}
}

struct verb {
	const char *word;
	const char *name;
	uint32_t type;
	int min, max; /* words that follow */
};

static const struct verb verbs[] = {
	{ "read", "READ", XS_READ, 1, 1 },
	{ "write", "WRITE", XS_WRITE, 2, 2 },
	{ "mkdir", "MKDIR", XS_MKDIR, 1, 1 },
	{ "rm", "RM", XS_RM, 1, 1 },
	{ "directory", "DIRECTORY", XS_DIRECTORY, 1, 1 },
	{ "get-perms", "GET_PERMS", XS_GET_PERMS, 1, 1 },
	{ "set-perms", "SET_PERMS", XS_SET_PERMS, 2, MAX_WORDS },
	{ "watch", "WATCH", XS_WATCH, 2, 2 },
	{ "unwatch", "UNWATCH", XS_UNWATCH, 2, 2 },
	{ "reset-watches", "RESET_WATCHES", XS_RESET_WATCHES, 0, 0 },
	{ "start", "TRANSACTION_START", XS_TRANSACTION_START, 0, 0 },
	{ "end", "TRANSACTION_END", XS_TRANSACTION_END, 1, 1 },
};

static const struct verb *verb_find(const char *word)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(word, verbs[i].word))
			return &verbs[i];
	return NULL;
}

static void event_print(const struct xsguest_msg *ev)
{
	printf("* WATCH_EVENT");
	print_words(ev->payload, ev->len);
	putchar('\n');
}

static void reply_print(const struct verb *verb, const struct xsguest_msg *reply)
{
	uint32_t len = reply->len;

	if (reply->type == XS_ERROR) {
		printf("!");
		print_words(reply->payload, len);
	} else if (reply->type != verb->type) {
		printf("< type %u", reply->type);
		print_words(reply->payload, len);
	} else if (verb->type == XS_READ) {
		printf("< READ ");
		print_escaped(reply->payload, len, true);
	} else {
		printf("< %s", verb->name);
		print_words(reply->payload, len);
	}
	putchar('\n');
}

/* The words of a request as its payload; -1: they do not fit. */
static int payload_make(const struct verb *verb, char **words, int n, char *payload)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		size_t add = strlen(words[i]) + 1;

		if (len + add > XENSTORE_PAYLOAD_MAX)
			return -1;
		memcpy(payload + len, words[i], add);
		len += add;
	}
	/* A value has no NUL behind it; no payload is empty, as Linux has it. */
	if (!n)
		payload[len++] = '\0';
	else if (verb->type == XS_WRITE)
		len--;
	return (int)len;
}

static int do_request(const struct verb *verb, uint32_t tx, char **words, int n)
{
	static struct xsguest_msg reply;
	char payload[XENSTORE_PAYLOAD_MAX];
	int len, rc;

	if (n < verb->min || n > verb->max)
		return usage("wrong number of words");
	len = payload_make(verb, words, n, payload);
	if (len < 0)
		return fail(verb->word, -E2BIG);
	if (verb->type == XS_TRANSACTION_END && !tx)
		tx = last_tx;
	printf("> %s", verb->name);
	for (int i = 0; i < n; i++) {
		putchar(' ');
		print_escaped(words[i], strlen(words[i]), verb->type == XS_WRITE && i == 1);
	}
	putchar('\n');
	rc = xsguest_request(guest, verb->type, ++last_id, tx, payload, (uint32_t)len, &reply,
			     timeout_ms);
	if (rc)
		return fail(verb->word, rc);
	reply_print(verb, &reply);
	if (reply.type == XS_TRANSACTION_START)
		last_tx = (uint32_t)strtoul(reply.payload, NULL, 10);
	return 0;
}

/* The next @n events, or, with @path, all up to the first for it. */
static int do_wait(unsigned long n, const char *path)
{
	static struct xsguest_msg ev;
	int rc;

	while (path || n--) {
		rc = xsguest_recv_event(guest, &ev, timeout_ms);
		if (rc)
			return fail(path ? path : "wait-event", rc);
		event_print(&ev);
		if (path && !strcmp(ev.payload, path))
			break;
	}
	return 0;
}

static int do_line(char *line);

/* As drivers/xen does in a PV guest: device discovery, balloon, CPU hotplug, shutdown. */
static int do_boot(void)
{
	static const char *const script[] = {
		"read domid",
		"read name",
		"watch device FFFFFFFF82A5C3E0",
		"watch backend FFFFFFFF82A5C5A0",
		"directory device",
		"watch memory/target FFFFFFFF82A5D120",
		"watch cpu FFFFFFFF82A5B0C0",
		"read cpu/0/availability",
		"watch control/shutdown FFFFFFFF82A5B180",
		"watch control/sysrq FFFFFFFF82A5B1C0",
		"write control/feature-poweroff 1",
		"write control/feature-reboot 1",
		"write control/feature-suspend 1",
		"write control/feature-sysrq 1",
		"wait-event 6",
		"read memory/target",
		"start",
		"tx last read control/shutdown",
		"end T",
	};
	char line[128];
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof(script) / sizeof(script[0]); i++) {
		snprintf(line, sizeof(line), "%s", script[i]);
		rc = do_line(line);
	}
	return rc;
}

static int do_words(char **words, int n)
{
	const struct verb *verb;
	unsigned long count;
	uint32_t tx = 0;
	char *end;
	int rc;

	if (n >= 2 && !strcmp(words[0], "tx")) {
		tx = last_tx;
		if (strcmp(words[1], "last")) {
			tx = (uint32_t)strtoul(words[1], &end, 10);
			if (*end)
				return usage("bad transaction id");
		}
		words += 2;
		n -= 2;
	}
	if (!n)
		return usage("tx without a request");
	verb = verb_find(words[0]);
	if (verb)
		return do_request(verb, tx, words + 1, n - 1);
	if (!strcmp(words[0], "boot") && n == 1)
		return do_boot();
	if (!strcmp(words[0], "wait-path") && n == 2)
		return do_wait(0, words[1]);
	if (!strcmp(words[0], "wait-event") && n <= 2) {
		count = n == 2 ? strtoul(words[1], &end, 10) : 1;
		return n == 2 && *end ? usage("bad number") : do_wait(count, NULL);
	}
	if (!strcmp(words[0], "reconnect") && n == 1) {
		rc = xsguest_reconnect(guest, timeout_ms);
		return rc ? fail("reconnect", rc) : 0;
	}
	return usage("unknown request");
}

/* Take one word off @*p, in place; false: a quote or an escape is wrong. */
static bool word_parse(char **p, char **word)
{
	bool quoted = **p == '"';
	char *in = *p + quoted, *out = in;
	unsigned int octet;

	*word = in;
	while (*in && *in != (quoted ? '"' : ' ')) {
		if (quoted && *in == '\\' && in[1] == 'x') {
			if (sscanf(in + 2, "%2x", &octet) != 1 || !in[3])
				return false;
			*out++ = (char)octet;
			in += 4;
			continue;
		}
		if (quoted && *in == '\\' && !*++in)
			return false;
		*out++ = *in++;
	}
	if (quoted && *in++ != '"')
		return false;
	if (*in && *in++ != ' ')
		return false;
	*out = '\0';
	*p = in;
	return true;
}

static int do_line(char *line)
{
	char *words[MAX_WORDS];
	int n = 0;

	for (;;) {
		line += strspn(line, " ");
		if (!*line)
			break;
		if (n == MAX_WORDS || !word_parse(&line, &words[n++]))
			return usage("bad quoting, or too many words");
	}
	return n ? do_words(words, n) : 0;
}

static int do_script(FILE *in)
{
	char *line = NULL;
	size_t size = 0;
	int rc = 0;

	while (!rc && getline(&line, &size, in) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		rc = do_line(line);
	}
	free(line);
	return rc;
}

static bool seconds_parse(const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s >= 0 && s <= 86400))
		return false;
	timeout_ms = s > 0 ? (int)(s * 1000) : -1;
	return true;
}

int main(int argc, char **argv)
{
	const char *dir = getenv("XENSIM_DIR");
	bool always = false;
	char *end, *line;
	uint32_t domid;
	int opt, rc;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "+d:t:nh")) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (opt == 'd')
			dir = optarg;
		else if (opt == 'n')
			always = true;
		else if (opt != 't' || !seconds_parse(optarg))
			return usage("bad option");
	}
	if (argc - optind < 2 || !dir)
		return usage("no machine, domain or request");
	domid = (uint32_t)strtoul(argv[optind], &end, 10);
	if (end == argv[optind] || *end)
		return usage("bad domain id");
	rc = xsguest_open(dir, domid, &guest);
	if (rc)
		return fail("cannot play this domain", rc);
	if (always)
		xsguest_set_notify(guest, XSGUEST_NOTIFY_ALWAYS);
	for (int i = optind + 1; !rc && i < argc; i++) {
		if (!strcmp(argv[i], "-")) {
			rc = do_script(stdin);
			continue;
		}
		line = strdup(argv[i]);
		rc = line ? do_line(line) : fail(argv[i], -ENOMEM);
		free(line);
	}
	xsguest_close(guest);
	return rc;
}
