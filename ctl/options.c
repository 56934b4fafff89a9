// SPDX-License-Identifier: MIT
/*
 * options - see options.h.
 */
#include "ctl/options.h"
#include "ctl/options_set.h"

#include "config/config.h"
#include "migration/format/libxl_stream.h"
#include "migration/intake.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define RUN_DIR		 "/run/xsproxy"
#define CONTROL_SOCKET	 RUN_DIR "/control"

#define INTERVAL_DEFAULT 2000 /* ms */

#define TIMEOUT_DEFAULT	 30 /* s */

struct option_spec {
	unsigned int bit; /* 0: always taken */
	char letter;	  /* also what getopt_long() returns */
	bool is_short;	  /* the letter is an option, too */
	const char *name;
	const char *value; /* its name in the help; NULL: none */
	const char *help;
	int (*set)(struct parsing *parsing, const char *value);
};

/* --- values */

static int set_file(struct parsing *parsing, const char *value)
{
	parsing->options->file = value;
	return 0;
}

/* Of a stream: - is standard input or output, as where none is given. */
static int set_stream(struct parsing *parsing, const char *value)
{
	return strcmp(value, "-") ? set_file(parsing, value) : 0;
}

static int set_resume(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->resume = true;
	return 0;
}

static int set_json(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->json = true;
	return 0;
}

static int set_socket(struct parsing *parsing, const char *value)
{
	if (strlen(value) >= sizeof(parsing->options->socket))
		return wrong(parsing, "--socket %s: has more than %zu characters", value,
			     sizeof(parsing->options->socket) - 1);
	strcpy(parsing->options->socket, value);
	return 0;
}

static int set_control(struct parsing *parsing, const char *value)
{
	if (strlen(value) >= sizeof(parsing->options->control))
		return wrong(parsing, "--control %s: has more than %zu characters", value,
			     sizeof(parsing->options->control) - 1);
	strcpy(parsing->options->control, value);
	return 0;
}

static int set_lease(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->lease = true;
	return 0;
}

static int set_stale(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->stale = true;
	return 0;
}

static int set_new(struct parsing *parsing, const char *value)
{
	if (strcmp(value, "on") && strcmp(value, "off"))
		return wrong(parsing, "--new %s: must be on or off", value);
	parsing->options->hold_new = strcmp(value, "on") ? HOLD_NEW_OFF : HOLD_NEW_ON;
	return 0;
}

static int set_help(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->help = true;
	return 0;
}

/* --- the table */

static const struct option_spec specs[] = {
	{ OPTION_OUTPUT, 'o', true, "output", "FILE", "write to FILE instead of standard output",
	  set_stream },
	{ OPTION_STREAM, 'Y', false, "stream", "FILE",
	  "write the Xenstore records to FILE; - is standard output", options_set_stream },
	{ OPTION_INPUT, 'i', true, "input", "FILE", "read FILE instead of standard input",
	  set_stream },
	{ OPTION_ROOT, 'Q', false, "root", "PATH",
	  "also the nodes at and below PATH; may be repeated", options_set_root },
	{ OPTION_MAP_DOMID, 'm', false, "map-domid", "OLD=NEW",
	  "domain OLD of the stream is NEW here; may be repeated", options_set_map },
	{ OPTION_MAX_STREAM, 'x', false, "max-stream", "N",
	  "refuse more than N octets; K, M, G may follow (64M)", options_set_max_stream },
	{ OPTION_CONVERT, 'f', false, "to", "FORMAT",
	  "libxl; c or c2, of the C daemon; oxenstored, or xapi, XAPI's", options_set_format },
	{ OPTION_CONVERT, 'd', false, "domain", "DOMID",
	  "only what is this domain's; all: everything (all)", options_set_domain },
	{ OPTION_KEEP, 't', false, "to", "COMMAND",
	  "write to COMMAND, and leave the domain quiesced if that exits 0", options_set_command },
	{ OPTION_KEEP, 'k', false, "keep", NULL, "leave the domain quiesced", options_set_keep },
	{ OPTION_RESUME, 'R', false, "resume", NULL, "unquiesce the domain at the end",
	  set_resume },
	{ OPTION_REPORT, 'T', false, "report", "FILE",
	  "list in FILE what is left out, a JSON object a line", options_set_list },
	{ OPTION_STRICT, 'X', false, "strict", NULL, "fail rather than leave something out",
	  options_set_strict },
	{ OPTION_INTAKE, 'K', false, "keep-permissions", NULL,
	  "keep permissions for domains that are not mapped", options_set_keep_permissions },
	{ OPTION_INTAKE, 'V', false, "map-values", NULL,
	  "rewrite values, too, that are a path in the home of a domain that is mapped",
	  options_set_map_values },
	{ OPTION_INTAKE, 'F', false, "drop-foreign", NULL,
	  "leave out nodes that belong to domains that are not mapped or not here",
	  options_set_drop_foreign },
	{ OPTION_INTAKE, 'W', false, "overwrite", NULL, "write nodes that are the toolstack's, too",
	  options_set_overwrite },
	{ OPTION_INTAKE, 'M', false, "max-nodes", "N",
	  "leave out what is beyond N nodes of the domain's (1200)", options_set_max_nodes },
	{ OPTION_INTAKE, 'J', false, "journal", "DIR", "keep the journal in DIR (" RUN_DIR ")",
	  options_set_journal },
	{ OPTION_INTAKE, 'B', false, "recover", NULL,
	  "only take back what an import that was killed has left", options_set_recover },
	{ OPTION_REPLACE, 'a', false, "with", "DAEMON",
	  "c, oxenstored, or the path of one (the one that runs)", options_set_with },
	{ OPTION_REPLACE, 'g', false, "dry-run", NULL, "only list what would be lost",
	  options_set_dry_run },
	{ OPTION_REPLACE, 'u', false, "force", NULL, "although something would be lost",
	  options_set_force },
	{ OPTION_REPLACE, 'v', true, "verbose", NULL,
	  "say how it gets on, also if standard error is no terminal", options_set_verbose },
	{ OPTION_TIMEOUT, 'y', false, "timeout", "S",
	  "how many seconds open transactions are waited for (30)", options_set_timeout },
	{ OPTION_CONFIG, 'C', false, "config", "FILE", "xsproxyd's configuration (" CONFIG_FILE ")",
	  options_set_config },
	{ OPTION_JSON, 'j', false, "json", NULL, "print JSON", set_json },
	{ OPTION_SOCKET, 's', false, "socket", "PATH",
	  "xsproxyd's Xenstore socket (/run/xenstored/socket)", set_socket },
	{ OPTION_SCRATCH, 'Z', false, "socket", "PATH",
	  "the socket of the xenstored to play to, which nobody uses", set_socket },
	{ OPTION_CONTROL, 'H', false, "control", "PATH",
	  "xsproxyd's control socket (" CONTROL_SOCKET ")", set_control },
	{ OPTION_LEASE, 'l', false, "lease", NULL, "only until this command ends", set_lease },
	{ OPTION_STALE, 'A', false, "stale", NULL,
	  "only watches on what is not there; of all domains without DOMID", set_stale },
	{ OPTION_NEW, 'N', false, "new", "on|off",
	  "instead of DOMID: every domain introduced from now on", set_new },
	{ OPTION_INTERVAL, 'I', false, "interval", "S", "seconds from one table to the next (2)",
	  options_set_interval },
	{ OPTION_SORT, 'S', false, "sort", "KEY",
	  "by requests, errors, p99, octets, full, watches or domid (requests)", options_set_sort },
	{ OPTION_ORDER, 'G', false, "sort", "KEY",
	  "by domid, name, state, watches, transactions, requests, queued or refusals (domid)",
	  options_set_order },
	{ OPTION_PICK, '1', false, "state", "STATE,...",
	  "only domains in these states: running, quiesced, ...; may be repeated",
	  options_set_state },
	{ OPTION_PICK, '2', false, "match", "REGEX",
	  "only domains of whose row REGEX matches a word: domid, name, state, error",
	  options_set_match },
	{ OPTION_BATCH, 'b', true, "batch", NULL, "print tables rather than use the terminal",
	  options_set_batch },
	{ OPTION_COUNT, 'n', true, "count", "N", "with --batch: end after N tables",
	  options_set_count },
	{ OPTION_WRITE, 'w', true, "write", "FILE", "write to FILE; - is standard output",
	  set_file },
	{ OPTION_WRITE, 'c', true, "count", "N", "end after N messages", options_set_count },
	{ OPTION_WRITE, 'U', false, "duration", "S", "end after S seconds", options_set_duration },
	{ OPTION_WRITE, 'q', false, "file-size", "N",
	  "begin another file after N octets; K, M, G may follow", options_set_file_size },
	{ OPTION_WRITE, 'z', false, "files", "N", "with --file-size: keep the last N files only",
	  options_set_files },
	{ OPTION_READ, 'r', true, "read", "FILE",
	  "show the capture FILE, which no xsproxyd is asked for; - is standard input", set_file },
	{ OPTION_FILTER, 'O', false, "op", "OP,...",
	  "only these requests: READ, WRITE, ..., UNKNOWN, 20; may be repeated", options_set_op },
	{ OPTION_FILTER, 'p', false, "path", "PATH", "only requests about PATH or below it",
	  options_set_path },
	{ OPTION_FILTER, 'e', false, "errors", NULL, "only requests that got an error",
	  options_set_errors },
	{ OPTION_FILTER, 'L', false, "slower", "MS", "only requests that took MS ms at least",
	  options_set_slower },
	{ OPTION_FILTER, 'E', false, "events", NULL, "watch events, too", options_set_events },
	{ OPTION_FILTER, 'D', false, "new", NULL, "only domains introduced from now on",
	  options_set_new_only },
	{ OPTION_FILTER, 'P', false, "snap", "N", "keep N octets of each message at most",
	  options_set_snap },
	{ 0, 'h', true, "help", NULL, "this text", set_help },
};

#define NR_SPECS (sizeof(specs) / sizeof(specs[0]))

static bool is_taken(const struct option_spec *spec, unsigned int accepts)
{
	return !spec->bit || spec->bit & accepts;
}

void options_help(FILE *out, unsigned int accepts)
{
	for (size_t i = 0; i < NR_SPECS; i++) {
		const struct option_spec *spec = &specs[i];
		char left[32];

		if (!is_taken(spec, accepts))
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", spec->name, spec->value ? " " : "",
			 spec->value ? spec->value : "");
		fprintf(out, "  %c%c%c %-19s %s\n", spec->is_short ? '-' : ' ',
			spec->is_short ? spec->letter : ' ', spec->is_short ? ',' : ' ', left,
			spec->help);
	}
}

/* --- the command line */

/* What getopt_long() wants, for the options that are taken. */
static void make_getopt(unsigned int accepts, struct option longs[NR_SPECS + 1],
			char shorts[2 * NR_SPECS + 2])
{
	*shorts++ = ':'; /* tell a missing value from an unknown option, and print nothing */
	for (size_t i = 0; i < NR_SPECS; i++) {
		const struct option_spec *spec = &specs[i];

		if (!is_taken(spec, accepts))
			continue;
		*longs++ =
			(struct option){ spec->name, spec->value ? required_argument : no_argument,
					 NULL, spec->letter };
		if (!spec->is_short)
			continue;
		*shorts++ = spec->letter;
		if (spec->value)
			*shorts++ = ':';
	}
	*longs = (struct option){ 0 };
	*shorts = '\0';
}

static int set_option(struct parsing *parsing, int letter)
{
	for (size_t i = 0; i < NR_SPECS; i++)
		if (specs[i].letter == letter)
			return specs[i].set(parsing, optarg);
	return -EINVAL;
}

static int parse_options(struct parsing *parsing, unsigned int accepts, int argc, char **argv)
{
	struct option longs[NR_SPECS + 1];
	char shorts[2 * NR_SPECS + 2];
	int r = 0;

	make_getopt(accepts, longs, shorts);
	optind = 0; /* it may have parsed another command line before */
	while (!r) {
		int letter = getopt_long(argc, argv, shorts, longs, NULL);

		if (letter < 0)
			break;
		if (letter == ':')
			return wrong(parsing, "%s needs a value; see --help", argv[optind - 1]);
		/* In letters that stand together getopt is not at the next word yet. */
		if (letter == '?' && optopt && !strchr(argv[optind - 1], '='))
			return wrong(parsing, "there is no option -%c; see --help", optopt);
		if (letter == '?')
			return wrong(parsing,
				     "there is no option %s, or it takes no value; see "
				     "--help",
				     argv[optind - 1]);
		r = set_option(parsing, letter);
	}
	return r;
}

/* As xl has it: what is all digits is a number. */
static bool is_name(const char *text)
{
	return *text && text[strspn(text, "0123456789")];
}

int options_domid(struct parsing *parsing, const char *text, uint16_t least, uint16_t *out,
		  const char **name)
{
	unsigned long domid;
	char *end;

	if (name && is_name(text)) {
		*name = text;
		return 0;
	}
	errno = 0;
	domid = strtoul(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || domid < least ||
	    domid > CONFINE_DOMID_MAX)
		return wrong(parsing,
			     "'%s' is no domain: a number from %u to %d, as xl list prints it",
			     text, least, CONFINE_DOMID_MAX);
	*out = (uint16_t)domid;
	return 0;
}

static int parse_domids(struct parsing *parsing, int nr, char **words)
{
	struct filter *filter = &parsing->options->filter;
	int r = 0;

	filter->domids = calloc((size_t)nr, sizeof(*filter->domids));
	filter->names = calloc((size_t)nr, sizeof(*filter->names));
	if (nr && (!filter->domids || !filter->names))
		return -ENOMEM;
	for (int i = 0; !r && i < nr; i++)
		r = options_domid(parsing, words[i], 0, &filter->domids[i], &filter->names[i]);
	filter->nr_domids = (size_t)nr;
	return r;
}

static int parse_level(struct parsing *parsing, const char *text)
{
	static const char *const levels[] = { "error", "warning", "notice", "info", "debug" };

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (!strcmp(text, levels[i]))
			return set_file(parsing, text);
	return wrong(parsing, "'%s' is no level: error, warning, notice, info or debug", text);
}

static int parse_word(struct parsing *parsing, const char *word, const char *text)
{
	return strcmp(text, word) ? wrong(parsing, "'%s': must be %s; see --help", text, word) : 0;
}

static int parse_argument(struct parsing *parsing, enum option_argument argument, int argc,
			  char **argv)
{
	const char *what = argument == ARGUMENT_FILE	  ? "FILE"
			   : argument == ARGUMENT_REPLACE ? "replace"
							  : "DOMID";
	bool none = argument == ARGUMENT_NONE || parsing->options->hold_new;

	if (argument == ARGUMENT_DOMIDS)
		return parse_domids(parsing, argc - optind, argv + optind);
	if (argument == ARGUMENT_SPLICE)
		return options_splice(parsing, argc - optind, argv + optind);
	if (none && optind < argc)
		return wrong(parsing, "'%s' is one argument too many; see --help", argv[optind]);
	if (optind == argc && (none || parsing->options->stale || argument == ARGUMENT_LEVEL ||
			       argument == ARGUMENT_ANY || argument == ARGUMENT_CHECK ||
			       argument == ARGUMENT_SESSION))
		return 0;
	if (optind == argc)
		return wrong(parsing, "%s is missing; see --help", what);
	if (optind + 1 < argc)
		return wrong(parsing, "'%s' is one argument too many; see --help",
			     argv[optind + 1]);
	if (argument == ARGUMENT_LEVEL)
		return parse_level(parsing, argv[optind]);
	if (argument == ARGUMENT_REPLACE)
		return parse_word(parsing, "replace", argv[optind]);
	if (argument == ARGUMENT_CHECK) {
		parsing->options->check = true;
		return parse_word(parsing, "check", argv[optind]);
	}
	if (argument == ARGUMENT_SESSION)
		return options_session(parsing, argv[optind]);
	if (argument == ARGUMENT_FILE) {
		parsing->options->argument = argv[optind];
		return 0;
	}
	parsing->options->has_domid = true;
	return options_domid(parsing, argv[optind], argument == ARGUMENT_GUEST,
			     &parsing->options->domid, &parsing->options->name);
}

void options_free(struct options *options)
{
	free(options->roots);
	free(options->maps);
	free(options->filter.domids);
	free(options->filter.names);
	free(options->filter.ops);
}

int options_parse(struct options *options, unsigned int accepts, enum option_argument argument,
		  int argc, char **argv, const struct report *report)
{
	struct parsing parsing = { options, report };
	int r;

	*options = (struct options){ .max_stream = LIBXL_STREAM_MAX_DEFAULT,
				     .max_nodes = INTAKE_NODES_DEFAULT,
				     .journal = RUN_DIR,
				     .interval_ms = INTERVAL_DEFAULT,
				     .timeout_s = TIMEOUT_DEFAULT,
				     .config = CONFIG_FILE,
				     .control = CONTROL_SOCKET };
	r = parse_options(&parsing, accepts, argc, argv);
	if (r || options->help)
		return r;
	r = parse_argument(&parsing, argument, argc, argv);
	if (!r && accepts & OPTION_WRITE)
		r = options_capture(&parsing);
	if (!r && accepts & OPTION_SCRATCH && !options->socket[0])
		r = wrong(&parsing, "--socket PATH is missing; see --help");
	if (!r && accepts & OPTION_STREAM)
		r = options_split(&parsing);
	if (!r && accepts & OPTION_SOCKET && !options->socket[0] &&
	    wire_default_path(options->socket))
		r = wrong(&parsing, "XENSTORED_PATH or XENSTORED_RUNDIR is too long for a socket");
	if (!r && options->keep && options->resume)
		r = wrong(&parsing, "--keep and --resume exclude each other");
	if (!r && options->command && (options->file || options->keep))
		r = wrong(&parsing, "--to goes without --output and --keep");
	if (!r && options->map_values && !options->nr_maps)
		r = wrong(&parsing, "--map-values is only for --map-domid; see --help");
	if (!r && accepts & OPTION_CONVERT && !options->has_format)
		r = wrong(&parsing, "--to FORMAT is missing; see --help");
	if (!r && accepts & OPTION_BATCH && options->count && !options->batch)
		r = wrong(&parsing, "--count is only for --batch; see --help");
	return r;
}
