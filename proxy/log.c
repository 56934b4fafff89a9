// SPDX-License-Identifier: MIT
#include "proxy/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
/* Every line would come from this file. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_BURST	5
#define LINE_MAX_OCTETS 1024
#define FIELD_MAX	64

/* The one thing that is process-wide, like the stderr it guards. */
static struct {
	int level;
	bool journal;
} log_state = { .level = LOG_INFO };

/* systemd.exec(5): whether stderr is the journal stream that systemd connected it to. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino;
}

void log_open(int level)
{
	log_set_level(level);
	log_state.journal = stderr_is_journal();
}

void log_set_level(int level)
{
	log_state.level = level;
}

int log_level(void)
{
	return log_state.level;
}

/* What a line is about; the fields of the journal. */
struct about {
	bool domain, session;
	uint32_t domid, session_id;
	const char *request; /* or NULL */
};

static void send_journal(int level, const struct about *about, const char *text)
{
	char message[LINE_MAX_OCTETS + FIELD_MAX], fields[4][FIELD_MAX];
	struct iovec iov[6];
	int n = 0, f = 0;

	iov[n++] = (struct iovec){ message,
				   (size_t)snprintf(message, sizeof(message), "MESSAGE=%s", text) };
	iov[n++] = (struct iovec){ fields[f],
				   (size_t)snprintf(fields[f], FIELD_MAX, "PRIORITY=%d", level) };
	iov[n++] = (struct iovec){ "SYSLOG_IDENTIFIER=xsproxyd", 26 };
	if (about->domain) {
		f++;
		iov[n++] = (struct iovec){ fields[f], (size_t)snprintf(fields[f], FIELD_MAX,
								       "DOMID=%u", about->domid) };
	}
	if (about->session) {
		f++;
		iov[n++] = (struct iovec){ fields[f],
					   (size_t)snprintf(fields[f], FIELD_MAX, "SESSION=%u",
							    about->session_id) };
	}
	if (about->request) {
		f++;
		iov[n++] =
			(struct iovec){ fields[f], (size_t)snprintf(fields[f], FIELD_MAX,
								    "REQUEST=%s", about->request) };
	}
	sd_journal_sendv(iov, n);
}

static void write_line(int level, const struct about *about, const char *fmt, va_list args)
{
	char text[LINE_MAX_OCTETS], line[LINE_MAX_OCTETS + FIELD_MAX];
	int n = 0;

	if (about->session)
		n = snprintf(text, sizeof(text), "d%u s%u: ", about->domid, about->session_id);
	else if (about->domain)
		n = snprintf(text, sizeof(text), "d%u: ", about->domid);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, args);
	if (log_state.journal) {
		send_journal(level, about, text);
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
	return (struct about){ .domain = true,
			       .session = true,
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
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec / 60 + 1;
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
