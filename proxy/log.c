// SPDX-License-Identifier: MIT
#include "proxy/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/clock.h"

#define LIMIT_BURST	5
#define LINE_MAX_OCTETS 1024
#define FIELD_MAX	64
#define ENTRY_MAX	(LINE_MAX_OCTETS + 5 * FIELD_MAX)

/* The one thing that is process-wide, like the stderr it guards. */
static struct {
	int level;
	int journal;   /* a socket, or -1: stderr */
	uint32_t lost; /* lines, since journald took the last one */
	void (*name)(const void *arg, uint32_t domid, uint32_t session, char out[LOG_NAME_MAX]);
	const void *name_arg;
} log_state = { .level = LOG_INFO, .journal = -1 };

/* systemd.exec(5): whether stderr is the journal stream that systemd connected it to. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[2 * sizeof("18446744073709551615")];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st))
		return false;
	snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return !strcmp(stream, ours);
}

void log_open(int level)
{
	log_set_level(level);
	log_state.journal =
		stderr_is_journal() ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
}

void log_set_level(int level)
{
	log_state.level = level;
}

int log_level(void)
{
	return log_state.level;
}

void log_set_naming(void (*name)(const void *arg, uint32_t domid, uint32_t session,
				 char out[LOG_NAME_MAX]),
		    const void *arg)
{
	log_state.name = name;
	log_state.name_arg = arg;
}

/* What a line is about; the fields of the journal. */
struct about {
	bool domain, session;
	uint32_t domid, session_id;
	const char *request;	 /* or NULL */
	char name[LOG_NAME_MAX]; /* or "" */
};

/* Append to @entry, which is large enough for all that there can be. */
static void __attribute__((format(printf, 3, 4)))
add_field(char *entry, int *len, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	*len += vsnprintf(entry + *len, (size_t)(ENTRY_MAX - *len), fmt, args);
	va_end(args);
}

/*
 * One datagram of "FIELD=value" lines, as systemd's "Native Journal Protocol" has it. Not by
 * sd_journal_sendv(), which waits as long as journald does not read. Return: whether it was taken.
 */
static bool send_journal(int level, const struct about *about, const char *text)
{
	static const struct sockaddr_un journal = { .sun_family = AF_UNIX,
						    .sun_path = "/run/systemd/journal/socket" };
	char entry[ENTRY_MAX];
	int len = 0;

	add_field(entry, &len, "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=xsproxyd\n", text,
		  level);
	if (about->domain)
		add_field(entry, &len, "DOMID=%u\n", about->domid);
	if (*about->name)
		add_field(entry, &len, "DOMAIN=%s\n", about->name);
	if (about->session)
		add_field(entry, &len, "SESSION=%u\n", about->session_id);
	if (about->request)
		add_field(entry, &len, "REQUEST=%s\n", about->request);
	return sendto(log_state.journal, entry, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL,
		      (const struct sockaddr *)&journal, sizeof(journal)) == len;
}

/* What journald does not take is lost; it is told how much, once it takes something again. */
static void to_journal(int level, const struct about *about, const char *text)
{
	char lost[FIELD_MAX];

	if (log_state.lost) {
		snprintf(lost, sizeof(lost), "journald did not take %u lines, they are lost",
			 log_state.lost);
		if (send_journal(LOG_WARNING, &(struct about){ .request = NULL }, lost))
			log_state.lost = 0;
	}
	if (log_state.lost || !send_journal(level, about, text))
		log_state.lost++;
}

/* A line is one line, whatever went into it. */
static void make_one_line(char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			*text = ' ';
}

/* Whom a line is about, as it begins: "d7(web) s2: ". Return: its octets. */
static int write_about(char text[LINE_MAX_OCTETS], struct about *about)
{
	char name[LOG_NAME_MAX + 2] = "", session[FIELD_MAX] = "";

	if (!about->domain)
		return 0;
	if (log_state.name)
		log_state.name(log_state.name_arg, about->domid,
			       about->session ? about->session_id : 0, about->name);
	if (*about->name)
		snprintf(name, sizeof(name), "(%s)", about->name);
	if (about->session)
		snprintf(session, sizeof(session), " s%u", about->session_id);
	return snprintf(text, LINE_MAX_OCTETS, "d%u%s%s: ", about->domid, name, session);
}

static void write_line(int level, struct about *about, const char *fmt, va_list args)
{
	char text[LINE_MAX_OCTETS], line[LINE_MAX_OCTETS + FIELD_MAX];
	int n = write_about(text, about);

	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, args);
	make_one_line(text);
	if (log_state.journal >= 0) {
		to_journal(level, about, text);
		return;
	}
	n = snprintf(line, sizeof(line), "xsproxyd: %s\n", text);
	/* Nothing sensible can be done when the log cannot be written. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void log_line(int level, const char *fmt, ...)
{
	va_list args;

	if (level > log_state.level)
		return;
	va_start(args, fmt);
	write_line(level, &(struct about){ .request = NULL }, fmt, args);
	va_end(args);
}

void log_domain(int level, uint32_t domid, const char *fmt, ...)
{
	va_list args;

	if (level > log_state.level)
		return;
	va_start(args, fmt);
	write_line(level, &(struct about){ .domain = true, .domid = domid }, fmt, args);
	va_end(args);
}

static struct about about_source(const struct log_source *source, const char *request)
{
	return (struct about){ .domain = !source->nobody,
			       .session = !source->nobody,
			       .domid = source->domid,
			       .session_id = source->session,
			       .request = request };
}

void log_request(const struct log_source *source, int level, const char *request, const char *fmt,
		 ...)
{
	struct about about = about_source(source, request);
	va_list args;

	if (level > log_state.level)
		return;
	va_start(args, fmt);
	write_line(level, &about, fmt, args);
	va_end(args);
}

static uint64_t now_minute(void)
{
	return clock_seconds() / 60 + 1;
}

void log_limited(struct log_source *source, int level, const char *fmt, ...)
{
	struct about about = about_source(source, NULL);
	uint64_t minute;
	va_list args;

	if (level > log_state.level)
		return;
	minute = now_minute();
	if (minute != source->minute) {
		if (source->dropped)
			log_request(source, level, NULL, "%u similar lines were left out",
				    source->dropped);
		source->minute = minute;
		source->burst = source->burst > LIMIT_BURST - 1 ? LIMIT_BURST - 1 : 0;
		source->dropped = 0;
	}
	if (source->burst++ >= LIMIT_BURST) {
		source->dropped++;
		return;
	}
	va_start(args, fmt);
	write_line(level, &about, fmt, args);
	va_end(args);
}
