// SPDX-License-Identifier: MIT
/*
 * xsproxy.conf: every option with its units and limits, that a mistake is refused with file, line,
 * key and what is allowed, what a reload takes over, and that what is printed is read back as the
 * same.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/conffile.h"

static char path[] = "/tmp/test_config.XXXXXX";

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

/* What was told of a file. */
struct told {
	int count;
	char what[8][CONFFILE_WHAT_MAX];
};

static void on_wrong(void *arg, const char *what)
{
	struct told *told = arg;

	assert_true(strlen(what) < CONFFILE_WHAT_MAX);
	assert_true(told->count < 8);
	strcpy(told->what[told->count++], what);
}

static int read_octets(struct config *config, const char *text, size_t len, struct told *told)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
	config_defaults(config);
	told->count = 0;
	return conffile_read(config, path, on_wrong, told);
}

static void read_good(struct config *config, const char *text)
{
	struct told told;

	if (read_octets(config, text, strlen(text), &told))
		fail_msg("%s", told.what[0]);
	assert_int_equal(told.count, 0);
}

/* @words: what must be told of the line, in that order, separated by '|' */
static void assert_told(const char *what, int line, const char *words)
{
	char want[64], copy[256], *save = NULL;
	const char *at = what;

	snprintf(want, sizeof(want), "%s:%d: ", path, line);
	if (strncmp(what, want, strlen(want)))
		fail_msg("\"%s\" does not begin with \"%s\"", what, want);
	snprintf(copy, sizeof(copy), "%s", words);
	for (char *word = strtok_r(copy, "|", &save); word; word = strtok_r(NULL, "|", &save)) {
		at = strstr(at, word);
		if (!at)
			fail_msg("\"%s\" does not mention \"%s\"", what, word);
	}
}

/* The only line that is wrong */
static void assert_refused(const char *text, int line, const char *words)
{
	struct config config;
	struct told told;

	assert_int_equal(read_octets(&config, text, strlen(text), &told), -EINVAL);
	assert_told(told.what[0], line, words);
	assert_int_equal(told.count, 1);
}

static void defaults(void **state)
{
	struct config config;

	(void)state;
	memset(&config, 0xff, sizeof(config));
	config_defaults(&config);
	assert_string_equal(config.run_dir, "/run/xsproxy");
	assert_string_equal(config.socket, "/run/xenstored/socket");
	assert_int_equal(config.quiesce_timeout_ms, 5000);
	assert_int_equal(config.start_timeout_ms, 120000);
	assert_int_equal(config.log_level, LOG_INFO);
	assert_int_equal(config.socket_group.id[0], 0);
	assert_int_equal(config.socket_users.count, 1);
	assert_true(ids_has(&config.socket_users, 0));
	assert_int_equal(config.users_control, CONFIG_REFUSE);
}

static void every_option(void **state)
{
	struct config config;

	(void)state;
	read_good(&config, "# comment\n"
			   "[xsproxy]\n"
			   "run-dir = /a/b\n"
			   "socket=/c\n"
			   "\n"
			   "[quiesce]\n"
			   "timeout = 250ms ; comment\n"
			   "[log]\n"
			   "level = debug\n");
	assert_string_equal(config.run_dir, "/a/b");
	assert_string_equal(config.socket, "/c");
	assert_int_equal(config.quiesce_timeout_ms, 250);
	assert_int_equal(config.log_level, LOG_DEBUG);
}

/* The example that is installed names every option, and its values are the defaults. */
static void the_example_holds_the_defaults(void **state)
{
	static const char *const keys[] = { "run-dir", "socket", "timeout", "level", "messages" };
	FILE *file = fopen("xsproxy.conf.example", "r");
	char text[8192] = "", line[256];
	struct config config, wanted;

	(void)state;
	if (!file) {
		print_message("not run from the top directory\n");
		skip();
	}
	while (fgets(line, sizeof(line), file)) {
		size_t n = 1 + strcspn(line + 1, " ");

		/* "#key = value" is an option, "# words" is prose. */
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (line[0] == '#' && n == strlen(keys[i]) + 1 &&
			    !strncmp(line + 1, keys[i], n - 1) && strstr(line, " = "))
				line[0] = ' ';
		strcat(text, line[0] == ' ' ? line + 1 : line);
	}
	fclose(file);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char at[64];

		snprintf(at, sizeof(at), "\n%s = ", keys[i]);
		assert_non_null(strstr(text, at));
	}
	read_good(&config, text);
	config_defaults(&wanted);
	assert_string_equal(config.run_dir, wanted.run_dir);
	assert_string_equal(config.socket, wanted.socket);
	assert_int_equal(config.quiesce_timeout_ms, wanted.quiesce_timeout_ms);
	assert_int_equal(config.log_level, wanted.log_level);
}

static void units_and_limits(void **state)
{
	static const struct {
		const char *value;
		uint32_t ms; /* 0: refused */
	} cases[] = {
		{ "1ms", 1 },
		{ "1s", 1000 },
		{ "600s", 600000 },
		{ "600000ms", 600000 },
		{ "007ms", 7 },
		{ "0ms", 0 },
		{ "0s", 0 },
		{ "601s", 0 },
		{ "600001ms", 0 },
		{ "5", 0 },
		{ "5 s", 0 },
		{ "5m", 0 },
		{ "5S", 0 },
		{ "5ss", 0 },
		{ "s", 0 },
		{ "", 0 },
		{ "-1s", 0 },
		{ "1.5s", 0 },
		{ "0x10ms", 0 },
		{ "4294967297ms", 0 },
		{ "4294968s", 0 },
		{ "18446744073709551617ms", 0 },
		{ "99999999999999999999s", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config config;
		char why[160] = "";
		int err;

		config_defaults(&config);
		err = config_set(&config, "quiesce", "timeout", cases[i].value, why, sizeof(why));
		assert_int_equal(err, cases[i].ms ? 0 : -EINVAL);
		assert_int_equal(config.quiesce_timeout_ms, cases[i].ms ? cases[i].ms : 5000);
		if (err) {
			assert_non_null(strstr(why, "1ms to 600s"));
			assert_non_null(strstr(why, "unit ms or s"));
		}
	}
}

static void memory(void **state)
{
	static const char *const bad[] = {
		"0MiB", "251MiB", "8", "8 MiB", "8M", "-1MiB", "MiB", ""
	};
	struct config config;
	char why[160];

	(void)state;
	config_defaults(&config);
	assert_int_equal(config.watch_memory, 8);
	assert_int_equal(config.client_memory, 64);
	assert_int_equal(config_set(&config, "limits", "watch-memory", "250MiB", why, sizeof(why)),
			 0);
	assert_int_equal(config.watch_memory, 250);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
			config_set(&config, "limits", "watch-memory", bad[i], why, sizeof(why)),
			-EINVAL);
		assert_non_null(strstr(why, "unit MiB, 1MiB to 250MiB"));
		assert_int_equal(config.watch_memory, 250);
	}
}

static void levels(void **state)
{
	static const char *const names[] = { "error", "warning", "notice", "info", "debug" };
	static const uint32_t wanted[] = { LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct config config;
		char why[160];

		assert_int_equal(config_set(&config, "log", "level", names[i], why, sizeof(why)),
				 0);
		assert_int_equal(config.log_level, wanted[i]);
		assert_string_equal(config_level(wanted[i]), names[i]);
	}
	assert_string_equal(config_level(99), "unknown");
}

static void paths(void **state)
{
	char longest[CONFIG_PATH_MAX + 1] = "/", why[160];
	struct config config;

	(void)state;
	config_defaults(&config);
	memset(longest + 1, 'x', CONFIG_PATH_MAX - 2);
	assert_int_equal(config_set(&config, "xsproxy", "socket", longest, why, sizeof(why)), 0);
	assert_string_equal(config.socket, longest);
	longest[CONFIG_PATH_MAX - 1] = 'x';
	assert_int_equal(config_set(&config, "xsproxy", "run-dir", longest, why, sizeof(why)),
			 -EINVAL);
	assert_non_null(strstr(why, "95"));
	assert_int_equal(config_set(&config, "xsproxy", "run-dir", "run", why, sizeof(why)),
			 -EINVAL);
	assert_non_null(strstr(why, "absolute"));
	assert_string_equal(config.run_dir, "/run/xsproxy");
}

static void modes(void **state)
{
	struct config config;

	(void)state;
	read_good(&config, "[socket]\nmode = 0660\n");
	assert_int_equal(config.socket_mode, 0660);
	read_good(&config, "[socket]\nmode = 777\n");
	assert_int_equal(config.socket_mode, 0777);
	read_good(&config, "");
	assert_int_equal(config.socket_mode, 0600);
	assert_refused("[socket]\nmode = 0577\n", 2, "[socket] mode = 0577|0600 to 0777");
	assert_refused("[socket]\nmode = 1000\n", 2, "0600 to 0777");
	assert_refused("[socket]\nmode = 0x1b0\n", 2, "octal mode");
	assert_refused("[socket]\nmode = -0660\n", 2, "octal mode");
	assert_refused("[socket]\nmode =\n", 2, "octal mode");
}

static void mistakes_are_named(void **state)
{
	(void)state;
	assert_refused("[log]\nlevel = loud\n", 2,
		       "[log] level = loud|error, warning, notice, info or debug");
	assert_refused("\n\n[quiesce]\n\ntimeout = 5\n", 5, "[quiesce] timeout = 5|1ms to 600s");
	assert_refused("[xsproxy]\nsocket = here\n", 2, "[xsproxy] socket = here|absolute path");
	assert_refused("[xsproxy]\nsocket =\n", 2, "[xsproxy] socket|absolute path");
	assert_refused("[xsproxy]\nscoket = /x\n", 2, "[xsproxy] scoket = /x|no such option");
	assert_refused("[xsprxoy]\nsocket = /x\n", 1, "[xsprxoy]: there is no such section");
	assert_refused("socket = /x\n", 1, "socket = /x|no such option");
	assert_refused("[Log]\nlevel = info\n", 1, "[Log]: there is no such section");
	assert_refused("[log]\nlevel\n", 2, "key = value");
	assert_refused("[log]\nlevel ; = info\n", 2, "key = value");
	assert_refused("[log\nlevel = info\n", 1, "[section]");
}

static void what_would_pass_in_silence_is_named(void **state)
{
	(void)state;
	assert_refused("[nonsense]\n", 1, "[nonsense]: there is no such section");
	assert_refused("[log]\n[]\n[quiesce]\n", 2, "[]: there is no such section");
	assert_refused("[lo]\n", 1, "[lo]: there is no such section");
	assert_refused("[log] level = debug\n", 1, "[section] needs a line of its own");
	assert_refused("[log]\nlevel = debug\nlevel = debug\n", 3,
		       "[log] level = debug: line 2 has set it already");
	assert_refused("[log]\nlevel = debug\n[quiesce]\n[log]\n\nlevel = info\n", 6,
		       "line 2 has set it already");
	/* inih takes it for more of the line before. */
	assert_refused("[log]\nlevel = debug\n  info\n", 3, "key = value");
}

static void what_is_good_is_taken(void **state)
{
	static const char text[] = "[log]\nlevel = debug\nlevel = info\nnonsense\n"
				   "[quiesce\ntimeout = 3s\n[nonsense]\ndomains = 7\nrubbish\n"
				   "[metrics]\n  domains = 8\nlisten = on\nlisten = off\n"
				   "[flight]\nmessages = 9";
	static const int lines[] = { 3, 4, 5, 7, 12 };
	struct config config;
	struct told told;

	(void)state;
	assert_int_equal(read_octets(&config, text, strlen(text), &told), -EINVAL);
	assert_int_equal(told.count, 5);
	for (int i = 0; i < 5; i++)
		assert_told(told.what[i], lines[i], "");
	assert_int_equal(config.log_level, LOG_DEBUG);
	assert_int_equal(config.quiesce_timeout_ms, 5000);
	assert_int_equal(config.metrics_domains, 8);
	assert_string_equal(config.metrics_listen, "off");
	assert_int_equal(config.flight_messages, 9);
}

/* It goes to terminals, and to systemd, which takes UTF-8 only. */
static void what_is_told_is_printable(void **state)
{
	struct config config;
	struct told told;

	(void)state;
	assert_refused("[log]\nlevel = \033[2J\xff\n", 2, "level = \\x1b[2J\\xff: must be");
	assert_int_equal(read_octets(&config, "[log]\nlevel\0= info\n", 19, &told), -EINVAL);
	assert_int_equal(told.count, 1);
	assert_told(told.what[0], 2, "NUL");
}

static void other_forms_of_good_lines(void **state)
{
	struct config config;

	(void)state;
	read_good(&config, "\xef\xbb\xbf[log]\r\n\r\n \tlevel:debug \r\n;\n#\n"
			   "[quiesce] ; comment\n\t timeout = 3s ; comment\n  # comment\n");
	assert_int_equal(config.log_level, LOG_DEBUG);
	assert_int_equal(config.quiesce_timeout_ms, 3000);
}

static void files_that_cannot_be_read(void **state)
{
	struct told told = { .count = 0 };
	struct config config;

	(void)state;
	config_defaults(&config);
	assert_int_equal(conffile_read(&config, "/nonexistent/file", on_wrong, &told), -ENOENT);
	assert_string_equal(told.what[0], "/nonexistent/file: No such file or directory");
	assert_int_equal(conffile_read(&config, "/", on_wrong, &told), -EISDIR);
	assert_string_equal(told.what[1], "/: Is a directory");
	assert_int_equal(told.count, 2);
	read_good(&config, "");
}

/* --- reload */

static char changes[200];

static void on_change(void *arg, const char *section, const char *key, bool adopted)
{
	assert_ptr_equal(arg, changes);
	sprintf(changes + strlen(changes), "%s.%s%s;", section, key, adopted ? "" : " not");
}

static void a_reload_takes_what_it_can(void **state)
{
	struct config config, next;

	(void)state;
	config_defaults(&config);
	config_defaults(&next);
	memset(next.socket + strlen(next.socket) + 1, 'x', 5); /* beyond the end of the text */
	changes[0] = 0;
	config_adopt(&config, &next, on_change, changes);
	assert_string_equal(changes, "");

	read_good(&next, "[xsproxy]\nsocket = /other\n[quiesce]\ntimeout = 7s\n"
			 "[log]\nlevel = error\n");
	config_adopt(&config, &next, on_change, changes);
	assert_string_equal(changes, "xsproxy.socket not;quiesce.timeout;log.level;");
	assert_string_equal(config.socket, "/run/xenstored/socket");
	assert_int_equal(config.quiesce_timeout_ms, 7000);
	assert_int_equal(config.log_level, LOG_ERR);
}

static void what_is_printed_can_be_read(void **state)
{
	struct config config, again;
	char *text = NULL;
	size_t len;
	FILE *out;

	(void)state;
	read_good(&config, "[xsproxy]\nrun-dir = /r\nsocket = /s\n[quiesce]\ntimeout = 1500ms\n"
			   "[log]\nlevel = notice\n");
	out = open_memstream(&text, &len);
	config_print(&config, out);
	fclose(out);
	read_good(&again, text);
	free(text);
	assert_string_equal(again.run_dir, "/r");
	assert_string_equal(again.socket, "/s");
	assert_int_equal(again.quiesce_timeout_ms, 1500);
	assert_int_equal(again.log_level, LOG_NOTICE);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(every_option),
		cmocka_unit_test(the_example_holds_the_defaults),
		cmocka_unit_test(units_and_limits),
		cmocka_unit_test(memory),
		cmocka_unit_test(levels),
		cmocka_unit_test(paths),
		cmocka_unit_test(modes),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(what_would_pass_in_silence_is_named),
		cmocka_unit_test(what_is_good_is_taken),
		cmocka_unit_test(what_is_told_is_printable),
		cmocka_unit_test(other_forms_of_good_lines),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(a_reload_takes_what_it_can),
		cmocka_unit_test(what_is_printed_can_be_read),
	};

	return cmocka_run_group_tests_name("config", tests, setup, teardown);
}
