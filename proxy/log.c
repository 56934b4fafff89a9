// SPDX-License-Identifier: MIT
#include "proxy/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_BURST 5
#define LINE_MAX_OCTETS 1024

/* The one thing that is process-wide, like the stderr it guards. */
static struct {
	int level;
	bool journal;
} log_state = { .level = LOG_INFO };

void log_open(int level)
{
	log_state.level = level;
	log_state.journal = getenv("JOURNAL_STREAM") != NULL;
}

static void write_line(int level, const char *fmt, va_list args)
{
	char line[LINE_MAX_OCTETS];
	int n = 0;

	n = log_state.journal ? snprintf(line, sizeof(line), "<%d>", level) :
				snprintf(line, sizeof(line), "xsproxyd: ");
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, args);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
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
	write_line(level, fmt, args);
	va_end(args);
}

static uint64_t now_minute(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec / 60 + 1;
}

void log_limited(struct log_limit *limit, int level, const char *fmt, ...)
{
	uint64_t minute;
	va_list args;

	if (level > log_state.level)
		return;
	minute = now_minute();
	if (minute != limit->minute) {
		if (limit->dropped)
			log_line(level, "%u similar lines about this domain were left out",
				 limit->dropped);
		limit->minute = minute;
		limit->burst = limit->burst > LIMIT_BURST - 1 ? LIMIT_BURST - 1 : 0;
		limit->dropped = 0;
	}
	if (limit->burst++ >= LIMIT_BURST) {
		limit->dropped++;
		return;
	}
	va_start(args, fmt);
	write_line(level, fmt, args);
	va_end(args);
}
