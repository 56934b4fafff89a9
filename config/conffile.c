// SPDX-License-Identifier: MIT
#include "config/conffile.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_OCTETS 198 /* inih's buffer of 200 has a line feed and a NUL as well */

struct reading {
	struct config *config;
	const char *path;
	FILE *file;
	void (*wrong)(void *arg, const char *what);
	void *arg;
	bool any_wrong;
	int line;	 /* that was read last, from 1 on */
	size_t len;	 /* of it; the text has what fits */
	bool has_nul;	 /* it is no text */
	bool is_setting; /* it must set an option, and inih has not said yet that it does */
	bool ignore;	 /* options, for their section was wrong */
	int set_in[CONFIG_OPTIONS_MAX]; /* which line has set an option, or 0 */
	char text[LINE_MAX_OCTETS + 1];
};

/* It may be anything, and goes to logs, terminals and systemd, which takes UTF-8 only. */
static void make_printable(char to[CONFFILE_WHAT_MAX], const char *from)
{
	size_t n = 0;

	for (; *from && n < CONFFILE_WHAT_MAX - sizeof("\\xHH"); from++) {
		if (*from >= ' ' && *from <= '~')
			to[n++] = *from;
		else
			n += (size_t)sprintf(to + n, "\\x%02x", (unsigned char)*from);
	}
	to[n] = '\0';
}

static void __attribute__((format(printf, 2, 3)))
tell(struct reading *reading, const char *fmt, ...)
{
	char text[CONFFILE_WHAT_MAX], what[CONFFILE_WHAT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	make_printable(what, text);
	reading->any_wrong = true;
	reading->wrong(reading->arg, what);
}

static void tell_line(struct reading *reading, const char *why)
{
	tell(reading, "%s:%d: %s", reading->path, reading->line, why);
}

static void tell_no_setting(struct reading *reading)
{
	tell_line(reading, "neither a [section] nor a key = value");
}

static int on_option(void *user, const char *section, const char *key, const char *value)
{
	struct reading *reading = user;
	int option = config_option(section, key);
	char why[160];

	reading->is_setting = false;
	if (reading->ignore)
		return 1;
	if (option >= 0 && reading->set_in[option]) {
		snprintf(why, sizeof(why), "line %d has set it already", reading->set_in[option]);
	} else if (!config_set(reading->config, section, key, value, why, sizeof(why))) {
		reading->set_in[option] = reading->line;
		return 1;
	}
	tell(reading, "%s:%d: [%s] %s = %s: %s", reading->path, reading->line, section, key, value,
	     why);
	return 1;
}

/* Some editors put it in front of UTF-8. */
static void drop_bom(struct reading *reading)
{
	static const char bom[] = "\xef\xbb\xbf";
	size_t len = strlen(bom);

	if (strncmp(reading->text, bom, len))
		return;
	memmove(reading->text, reading->text + len, strlen(reading->text + len) + 1);
	reading->len -= len;
}

/*
 * Read a line, without the blanks that it begins with: to inih these make it a part of the line
 * before. Return: false at the end of the file.
 */
static bool read_line(struct reading *reading)
{
	int c = fgetc(reading->file);

	if (c == EOF)
		return false;
	reading->line++;
	reading->len = 0;
	reading->has_nul = false;
	for (; c != EOF && c != '\n'; c = fgetc(reading->file)) {
		if (!reading->len && isspace(c))
			continue;
		if (!c)
			reading->has_nul = true;
		if (reading->len < LINE_MAX_OCTETS)
			reading->text[reading->len] = (char)c;
		reading->len++;
	}
	reading->text[reading->len < LINE_MAX_OCTETS ? reading->len : LINE_MAX_OCTETS] = '\0';
	if (reading->line == 1)
		drop_bom(reading);
	return true;
}

/* Whether the line can be one at all. */
static bool is_line(struct reading *reading)
{
	if (reading->has_nul) {
		tell_line(reading, "it is no text, but has a NUL octet");
		return false;
	}
	if (reading->len > LINE_MAX_OCTETS) {
		tell(reading, "%s:%d: the line is longer than %d characters", reading->path,
		     reading->line, LINE_MAX_OCTETS);
		return false;
	}
	return true;
}

/* Of a section without options inih tells nothing, nor of what follows the name on its line. */
static bool is_section(struct reading *reading)
{
	const char *name = reading->text + 1;
	int len = (int)strcspn(name, "]");
	const char *rest = name[len] ? name + len + 1 : "";

	rest += strspn(rest, " \t\r");
	if (!name[len])
		tell_no_setting(reading);
	else if (*rest && *rest != ';' && *rest != '#')
		tell_line(reading, "a [section] needs a line of its own");
	else if (!config_has_section(name, (size_t)len))
		tell(reading, "%s:%d: [%.*s]: there is no such section", reading->path,
		     reading->line, len, name);
	else
		return true;
	return false;
}

/* Return: whether inih is to see the line that was read. */
static bool is_for_inih(struct reading *reading)
{
	bool is_section_line = *reading->text == '[';
	bool good;

	if (!reading->len || *reading->text == '#' || *reading->text == ';')
		return false;
	good = is_line(reading) && (!is_section_line || is_section(reading));
	if (is_section_line)
		reading->ignore = !good;
	reading->is_setting = good && !is_section_line;
	return good;
}

static void check_setting(struct reading *reading)
{
	if (reading->is_setting && !reading->ignore)
		tell_no_setting(reading);
	reading->is_setting = false;
}

/*
 * Called by inih. Of a line that does not fit its buffer, or fills it without a line feed, one
 * version makes two, another drops the line after it. So it never sees one.
 */
static char *next_line(char *to, int size, void *stream)
{
	struct reading *reading = stream;

	check_setting(reading);
	if (!read_line(reading))
		return NULL;
	snprintf(to, (size_t)size, "%s\n", is_for_inih(reading) ? reading->text : "");
	return to;
}

static int parse(struct reading *reading)
{
	int err;

	errno = 0;
	err = ini_parse_stream(next_line, reading, on_option, reading) < 0 ? -ENOMEM : 0;
	check_setting(reading);
	/* A directory, for example, which is opened like an empty file. */
	if (ferror(reading->file))
		err = errno ? -errno : -EIO;
	return err;
}

int conffile_read(struct config *config, const char *path,
		  void (*wrong)(void *arg, const char *what), void *arg)
{
	struct reading reading = { .config = config, .path = path, .wrong = wrong, .arg = arg };
	int err;

	reading.file = fopen(path, "re");
	err = reading.file ? parse(&reading) : -errno;
	if (reading.file)
		fclose(reading.file);
	if (err)
		tell(&reading, "%s: %s", path, strerror(-err));
	return !err && reading.any_wrong ? -EINVAL : err;
}
