// SPDX-License-Identifier: MIT
/*
 * report - see report.h.
 */
#include "migration/report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define DOTS "..."

static void print(const struct report *report, const char *kind, const char *format, va_list args)
{
	fprintf(report->out, "%s: %s", report->who, kind);
	vfprintf(report->out, format, args);
	fputc('\n', report->out);
}

int report_fail(const struct report *report, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print(report, "", format, args);
	va_end(args);
	return err;
}

void report_warn(const struct report *report, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print(report, "warning: ", format, args);
	va_end(args);
}

const char *report_reason(int err)
{
	switch (-err) {
	case EINTR:
		return "interrupted by a signal";
	case ECONNRESET:
	case EPIPE:
		return "the other side closed the connection";
	case EPROTO:
		return "an answer that makes no sense";
	case ETIMEDOUT:
		return "no answer in time";
	case EDQUOT:
		return "a quota of xenstored's is exceeded (EQUOTA)";
	case ENOSPC:
		return "a quota of xenstored's is exceeded (ENOSPC)";
	case E2BIG:
		return "too large, or a quota of xenstored's is exceeded (E2BIG)";
	case EINVAL:
		return "xenstored does not take it (EINVAL)";
	default:
		return strerror(-err);
	}
}

const char *report_local_reason(int err)
{
	switch (-err) {
	case EDQUOT:
	case ENOSPC:
	case E2BIG:
	case EINVAL:
		return strerror(-err);
	default:
		return report_reason(err);
	}
}

void report_slow(const void *report)
{
	report_warn(report, "no answer yet; is there a xenstored? see xsproxyctl status");
}

int report_no_connection(const struct report *report, int err, const char *path)
{
	return report_fail(report, err, "cannot connect to %s: %s; %s", path, report_reason(err),
			   err == -EACCES ? "only root may" : "is xsproxyd running?");
}

const char *report_octets(char out[REPORT_OCTETS_MAX], const char *octets, size_t len)
{
	size_t room = REPORT_OCTETS_MAX - sizeof("\\xHH") - sizeof(DOTS);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)octets[i];

		if (n > room) {
			strcpy(out + n, DOTS);
			return out;
		}
		if (c > ' ' && c < 0x7f && c != '\\')
			out[n++] = (char)c;
		else
			n += (size_t)sprintf(out + n, "\\x%02x", c);
	}
	out[n] = '\0';
	return out;
}
