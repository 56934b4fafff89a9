// SPDX-License-Identifier: MIT
/*
 * test_ctl_options - command lines of xsproxyctl: what is taken, what is refused and why.
 */
#include "tests/unit/options_bed.h"

#define ALL 0xffu

static void test_export(void **state)
{
	struct result result;

	(void)state;
	setenv("XENSTORED_PATH", "/socket", 1);
	parse(&result, ALL, ARGUMENT_GUEST,
	      "export --root /vm/1 7 -o file --resume --root /libxl/7 --json");
	assert_int_equal(result.r, 0);
	assert_string_equal(result.said, "");
	assert_int_equal(result.options.domid, 7);
	assert_string_equal(result.options.file, "file");
	assert_int_equal(result.options.nr_roots, 2);
	assert_string_equal(result.options.roots[0], "/vm/1");
	assert_string_equal(result.options.roots[1], "/libxl/7");
	assert_true(result.options.resume);
	assert_true(result.options.json);
	assert_string_equal(result.options.socket, "/socket");
	options_free(&result.options);
}

static void test_defaults(void **state)
{
	struct result result;

	(void)state;
	unsetenv("XENSTORED_PATH");
	unsetenv("XENSTORED_RUNDIR");
	parse(&result, ALL, ARGUMENT_DOMID, "watches 0");
	assert_int_equal(result.r, 0);
	assert_int_equal(result.options.domid, 0);
	assert_null(result.options.file);
	assert_int_equal(result.options.nr_roots, 0);
	assert_int_equal(result.options.nr_maps, 0);
	assert_false(result.options.resume);
	assert_false(result.options.json);
	assert_int_equal(result.options.max_stream, 64 << 20);
	assert_string_equal(result.options.socket, "/var/run/xenstored/socket");
	options_free(&result.options);
}

static void test_import(void **state)
{
	struct result result;

	(void)state;
	parse(&result, ALL, ARGUMENT_GUEST,
	      "import 32751 --input=in --map-domid 7=12 --map-domid 0=0 --socket /s --max-stream "
	      "3G");
	assert_int_equal(result.r, 0);
	assert_int_equal(result.options.domid, 32751);
	assert_string_equal(result.options.file, "in");
	assert_int_equal(result.options.nr_maps, 2);
	assert_int_equal(result.options.maps[0].from, 7);
	assert_int_equal(result.options.maps[0].to, 12);
	assert_int_equal(result.options.maps[1].to, 0);
	assert_string_equal(result.options.socket, "/s");
	assert_int_equal(result.options.max_stream, (uint64_t)3 << 30);
	options_free(&result.options);
}

static void test_file(void **state)
{
	struct result result;

	(void)state;
	parse(&result, ALL, ARGUMENT_FILE, "show -");
	assert_int_equal(result.r, 0);
	assert_string_equal(result.options.argument, "-");
	options_free(&result.options);
	parse(&result, ALL, ARGUMENT_FILE, "show -- --json");
	assert_int_equal(result.r, 0);
	assert_string_equal(result.options.argument, "--json");
	assert_false(result.options.json);
	options_free(&result.options);
	for (const char *const *line =
		     (const char *const[]){ "export 7 -o -", "import 7 --input -", NULL };
	     *line; line++) {
		parse(&result, ALL, ARGUMENT_GUEST, *line);
		assert_int_equal(result.r, 0);
		assert_null(result.options.file);
		options_free(&result.options);
	}
}

#define CONVERT (OPTION_CONVERT | OPTION_OUTPUT)

static void test_convert(void **state)
{
	static const char *const formats[] = {
		[STATE_LIBXL] = "libxl",   [STATE_C] = "c",	      [STATE_C_2] = "c2",
		[STATE_OX] = "oxenstored", [STATE_OX_DEPTH] = "xapi",
	};
	struct result result;

	(void)state;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		char line[64];

		snprintf(line, sizeof(line), "convert in --to %s -o out", formats[i]);
		parse(&result, CONVERT, ARGUMENT_FILE, line);
		assert_int_equal(result.r, 0);
		assert_int_equal(result.options.format, i);
		assert_string_equal(result.options.argument, "in");
		assert_string_equal(result.options.file, "out");
		assert_false(result.options.has_domid);
		options_free(&result.options);
	}
	parse(&result, CONVERT, ARGUMENT_FILE, "convert in --to c --domain 7");
	assert_true(result.options.has_domid);
	assert_int_equal(result.options.domid, 7);
	options_free(&result.options);
	parse(&result, CONVERT, ARGUMENT_FILE, "convert in --to c --domain 7 --domain all");
	assert_false(result.options.has_domid);
	options_free(&result.options);
	assert_refused(CONVERT, ARGUMENT_FILE, "convert in",
		       "test: --to FORMAT is missing; see --help\n");
	assert_refused(CONVERT, ARGUMENT_FILE, "convert in --to ssh",
		       "test: --to ssh: must be libxl, c, c2, oxenstored or xapi\n");
	assert_refused(CONVERT, ARGUMENT_FILE, "convert in --to c --domain 32752",
		       "test: '32752' is no domain: a number from 0 to 32751, as xl list prints "
		       "it\n");
}

static void test_help(void **state)
{
	struct result result;

	(void)state;
	parse(&result, 0, ARGUMENT_GUEST, "export --help");
	assert_int_equal(result.r, 0);
	assert_true(result.options.help);
	options_free(&result.options);
	parse(&result, 0, ARGUMENT_GUEST, "export -h nonsense");
	assert_true(result.options.help);
	options_free(&result.options);
}

static void test_max_stream(void **state)
{
	static const struct {
		const char *line;
		uint64_t octets;
	} good[] = {
		{ "import 7 --max-stream 0", 0 },
		{ "import 7 --max-stream 100", 100 },
		{ "import 7 --max-stream 1K", 1024 },
		{ "import 7 --max-stream 64M", 64 << 20 },
		{ "import 7 --max-stream 32G", (uint64_t)32 << 30 },
	};
	static const char *const bad[] = { "",	  "-1",	 "+1", "K",   "1k",
					   "1KM", "33G", "1x", "0x1", "18446744073709551617" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct result result;

		parse(&result, ALL, ARGUMENT_GUEST, good[i].line);
		assert_int_equal(result.r, 0);
		assert_int_equal(result.options.max_stream, good[i].octets);
		options_free(&result.options);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[64], said[256];

		snprintf(line, sizeof(line), "import 7 --max-stream=%s", bad[i]);
		snprintf(said, sizeof(said),
			 "test: --max-stream %s: must be a number of octets up to 32G; K, M and G "
			 "may follow it\n",
			 bad[i]);
		assert_refused(ALL, ARGUMENT_GUEST, line, said);
	}
}

static void test_domids(void **state)
{
	static const char *const bad[] = { "32752", "4294967303", "18446744073709551623" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[64], said[256];

		snprintf(line, sizeof(line), "watches -- %s", bad[i]);
		snprintf(
			said, sizeof(said),
			"test: '%s' is no domain: a number from 0 to 32751, as xl list prints it\n",
			bad[i]);
		assert_refused(ALL, ARGUMENT_DOMID, line, said);
	}
	assert_refused(ALL, ARGUMENT_GUEST, "export 0",
		       "test: '0' is no domain: a number from 1 to 32751, as xl list prints it\n");
}

static void test_refusals(void **state)
{
	(void)state;
	assert_refused(ALL, ARGUMENT_GUEST, "export", "test: DOMID is missing; see --help\n");
	assert_refused(ALL, ARGUMENT_FILE, "show", "test: FILE is missing; see --help\n");
	assert_refused(ALL, ARGUMENT_GUEST, "export 7 8",
		       "test: '8' is one argument too many; see --help\n");
	assert_refused(ALL, ARGUMENT_GUEST, "export 7 --frob",
		       "test: there is no option --frob, or it takes no value; see --help\n");
	assert_refused(ALL, ARGUMENT_GUEST, "export 7 --json=yes",
		       "test: there is no option --json=yes, or it takes no value; see --help\n");
	assert_refused(ALL, ARGUMENT_GUEST, "export 7 -r /vm",
		       "test: there is no option -r; see --help\n");
	assert_refused(ALL, ARGUMENT_DOMID, "watches 7 --json -yx",
		       "test: there is no option -y; see --help\n");
	assert_refused(ALL, ARGUMENT_LEVEL, "log-level loud",
		       "test: 'loud' is no level: error, warning, notice, info or debug\n");
	assert_refused(ALL, ARGUMENT_GUEST, "export 7 -o", "test: -o needs a value; see --help\n");
	assert_refused(ALL & ~OPTION_MAP_DOMID, ARGUMENT_GUEST, "export 7 --map-domid 7=8",
		       "test: there is no option --map-domid, or it takes no value; see --help\n");
	assert_refused(ALL, ARGUMENT_GUEST, "import 7 --map-domid 7",
		       "test: --map-domid 7: must be OLD=NEW, two numbers from 0 to 32751; say "
		       "7=12\n");
	assert_refused(ALL, ARGUMENT_GUEST, "import 7 --root vm",
		       "test: --root vm: the path is not absolute\n");
	assert_refused(ALL, ARGUMENT_GUEST, "import 7 --root /vm/",
		       "test: --root /vm/: the path ends with '/'\n");
}

static void test_sockets(void **state)
{
	char path[WIRE_PATH_MAX + 1], line[2 * WIRE_PATH_MAX], said[3 * WIRE_PATH_MAX];

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	snprintf(line, sizeof(line), "export 7 --socket %s", path);
	snprintf(said, sizeof(said), "test: --socket %s: has more than %d characters\n", path,
		 WIRE_PATH_MAX - 1);
	assert_refused(ALL, ARGUMENT_GUEST, line, said);
	setenv("XENSTORED_PATH", path, 1);
	assert_refused(ALL, ARGUMENT_GUEST, "export 7",
		       "test: XENSTORED_PATH or XENSTORED_RUNDIR is too long for a socket\n");
	unsetenv("XENSTORED_PATH");
}

static void test_export_ends(void **state)
{
	unsigned int export = OPTION_OUTPUT | OPTION_KEEP | OPTION_RESUME;
	struct result result;

	(void)state;
	parse(&result, export, ARGUMENT_GUEST, "export 7");
	assert_false(result.options.keep || result.options.resume || result.options.command);
	options_free(&result.options);
	parse(&result, export, ARGUMENT_GUEST, "export 7 --to cat --resume");
	assert_int_equal(result.r, 0);
	assert_string_equal(result.options.command, "cat");
	options_free(&result.options);
	assert_refused(export, ARGUMENT_GUEST, "export 7 --keep --resume",
		       "test: --keep and --resume exclude each other\n");
	assert_refused(export, ARGUMENT_GUEST, "export 7 --keep --to cat",
		       "test: --to goes without --output and --keep\n");
	assert_refused(OPTION_INTAKE | OPTION_MAP_DOMID, ARGUMENT_GUEST, "import 7 --map-values",
		       "test: --map-values is only for --map-domid; see --help\n");
	assert_refused(export, ARGUMENT_GUEST, "export 7 -o file --to cat",
		       "test: --to goes without --output and --keep\n");
}

static void test_import_rules(void **state)
{
	unsigned int import = OPTION_REPORT | OPTION_STRICT | OPTION_INTAKE;
	struct result result;

	(void)state;
	parse(&result, import, ARGUMENT_GUEST, "import 7");
	assert_int_equal(result.r, 0);
	assert_int_equal(result.options.max_nodes, INTAKE_NODES_DEFAULT);
	assert_string_equal(result.options.journal, "/run/xsproxy");
	assert_false(result.options.drop_foreign);
	assert_false(result.options.strict || result.options.recover || result.options.overwrite ||
		     result.options.keep_permissions);
	options_free(&result.options);
	parse(&result, import, ARGUMENT_GUEST,
	      "import 7 --strict --report list --keep-permissions --overwrite --recover "
	      "--drop-foreign "
	      "--max-nodes 0 --journal dir");
	assert_int_equal(result.r, 0);
	assert_int_equal(result.options.max_nodes, 0);
	assert_string_equal(result.options.journal, "dir");
	assert_string_equal(result.options.list, "list");
	assert_true(result.options.strict && result.options.recover && result.options.overwrite &&
		    result.options.keep_permissions && result.options.drop_foreign);
	options_free(&result.options);
	assert_refused(import, ARGUMENT_GUEST, "import 7 --max-nodes 1000001",
		       "test: --max-nodes 1000001: must be a number up to 1000000\n");
	assert_refused(import, ARGUMENT_GUEST, "import 7 --max-nodes -1",
		       "test: --max-nodes -1: must be a number up to 1000000\n");
	assert_refused(import, ARGUMENT_GUEST, "import 7 --max-nodes 1K",
		       "test: --max-nodes 1K: must be a number up to 1000000\n");
}

#define ENTER (OPTION_REPLACE | OPTION_TIMEOUT | OPTION_CONFIG)

static void test_enter(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", "1s", "3601", "4294967296", "0x1" };
	struct result result;

	(void)state;
	parse(&result, ENTER, ARGUMENT_NONE, "enter");
	assert_int_equal(result.r, 0);
	assert_int_equal(result.options.timeout_s, 30);
	assert_string_equal(result.options.config, "/etc/xsproxy/xsproxy.conf");
	options_free(&result.options);
	parse(&result, ENTER, ARGUMENT_NONE,
	      "enter --with c --timeout 3600 --force --dry-run --config file");
	assert_int_equal(result.r, 0);
	assert_int_equal(result.options.timeout_s, 3600);
	assert_string_equal(result.options.config, "file");
	assert_true(result.options.force && result.options.dry_run);
	options_free(&result.options);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[64], said[128];

		snprintf(line, sizeof(line), "enter --timeout=%s", bad[i]);
		snprintf(said, sizeof(said),
			 "test: --timeout %s: must be a number of seconds, up to 3600\n", bad[i]);
		assert_refused(ENTER, ARGUMENT_NONE, line, said);
	}
	assert_refused(OPTION_REPLACE | OPTION_CONFIG, ARGUMENT_NONE, "leave --timeout 1",
		       "test: there is no option --timeout, or it takes no value; see --help\n");
}

/* Every option of a command is in its help, and no other. */
static void test_help_text(void **state)
{
	char text[OUTPUT] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	(void)state;
	assert_non_null(out);
	options_help(out, OPTION_OUTPUT | OPTION_RESUME);
	fclose(out);
	assert_string_equal(text,
			    "  -o, --output FILE       write to FILE instead of standard output\n"
			    "      --resume            unquiesce the domain at the end\n"
			    "  -h, --help              this text\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_export),	    cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_import),	    cmocka_unit_test(test_file),
		cmocka_unit_test(test_convert),	    cmocka_unit_test(test_help),
		cmocka_unit_test(test_max_stream),  cmocka_unit_test(test_domids),
		cmocka_unit_test(test_refusals),    cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_export_ends), cmocka_unit_test(test_import_rules),
		cmocka_unit_test(test_enter),	    cmocka_unit_test(test_help_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
