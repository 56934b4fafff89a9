// SPDX-License-Identifier: MIT
/*
 * main - xsproxyctl: finds the command, has its command line parsed, runs it.
 *
 * Exit status: 0, done; 1, it failed, and standard error has a line that says what failed, for
 * what, and what to do; 2, the command line is wrong, and nothing was tried; others as the command
 * has them.
 */
#include "config/config.h"
#include "ctl/command.h"
#include "protocol/table.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE  2

static const struct command commands[] = {
	{ "export", command_export, ARGUMENT_GUEST,
	  OPTION_OUTPUT | OPTION_ROOT | OPTION_KEEP | OPTION_RESUME | OPTION_REPORT |
		  OPTION_STRICT | OPTION_SOCKET,
	  "DOMID [-o FILE | --to COMMAND] [--root PATH]... [--keep | --resume] [OPTION]...",
	  "write a domain's session as a stream",
	  "Quiesces the domain and writes a migration stream of its session: the nodes at and "
	  "below\n"
	  "/local/domain/DOMID with values and permissions, its watches, its open transactions. "
	  "Then\n"
	  "the domain goes on, unless --to COMMAND has taken the stream, or --keep is given. What "
	  "a\n"
	  "stream cannot hold is left out and listed.\n"
	  "\n"
	  "  xsproxyctl export 7 --to 'ssh there xsproxyctl import 7'\n" },
	{ "import", command_import, ARGUMENT_GUEST,
	  OPTION_INPUT | OPTION_ROOT | OPTION_MAP_DOMID | OPTION_MAX_STREAM | OPTION_RESUME |
		  OPTION_REPORT | OPTION_STRICT | OPTION_INTAKE | OPTION_SOCKET,
	  "DOMID [-i FILE] [--map-domid OLD=NEW]... [--root PATH]... [--resume] [OPTION]...",
	  "take a domain's session over from a stream",
	  "Reads a migration stream to its end, checks it, and gives the domain what it has: "
	  "nodes,\n"
	  "watches, open transactions; all of it or nothing. The domain must be held from before "
	  "its\n"
	  "INTRODUCE, or quiesced. A stream with nodes outside /local/domain/DOMID and the roots "
	  "given\n"
	  "here is refused. Nodes that belong to the toolstack here stay as they are, and none is "
	  "made\n"
	  "where the domain itself could not make it. What this host does not take, and "
	  "permissions for\n"
	  "domains other than DOMID, 0 and those mapped here, are left out. Each is listed.\n" },
	{ "show", command_show, ARGUMENT_FILE, OPTION_JSON | OPTION_MAX_STREAM, "FILE [--json]",
	  "print a stream",
	  "Checks a stream and prints what is in it, a line each: a migration stream, or what the "
	  "C\n"
	  "daemon or oxenstored writes of itself (state_dump, db). FILE - is standard input.\n" },
	{ "convert", command_convert, ARGUMENT_FILE,
	  OPTION_CONVERT | OPTION_OUTPUT | OPTION_ROOT | OPTION_MAX_STREAM | OPTION_REPORT |
		  OPTION_STRICT,
	  "FILE --to FORMAT [--domain DOMID] [-o FILE] [--root PATH]... [OPTION]...",
	  "turn a stream into one of another format",
	  "Reads a migration stream, the C daemon's state_dump or oxenstored's db, and writes it "
	  "as\n"
	  "FORMAT. What that does not hold, or its daemon does not take, is left out and listed. "
	  "A\n"
	  "libxl stream is of one domain, which --domain names; then what is global is left out, "
	  "and\n"
	  "nodes that are not at or below /local/domain/DOMID and the roots given here.\n"
	  "\n"
	  "  xsproxyctl convert /run/xenstored/db --to c -o state_dump\n" },
	{ "splice", command_splice, ARGUMENT_SPLICE, OPTION_OUTPUT | OPTION_MAX_STREAM,
	  "IMAGE STREAM [-o FILE] [--max-stream N]", "put a stream into what xl save has written",
	  "Writes the domain's IMAGE, a file of xl save, with the records of the STREAM that "
	  "export "
	  "has\n"
	  "written of the domain. xl restore refuses that: split makes two of it again before. "
	  "One of\n"
	  "both may be -, standard input. FILE may be IMAGE; it appears when all is well.\n"
	  "\n"
	  "  xsproxyctl splice guest.xl guest.xs -o guest.img\n" },
	{ "split", command_split, ARGUMENT_FILE, OPTION_OUTPUT | OPTION_STREAM | OPTION_MAX_STREAM,
	  "IMAGE --stream FILE [-o FILE] [--max-stream N]", "take it out again",
	  "The reverse of splice: writes the IMAGE without Xenstore's records, for xl restore, and "
	  "the\n"
	  "stream of these, for import. IMAGE - is standard input.\n"
	  "\n"
	  "  xsproxyctl split guest.img --stream guest.xs -o guest.xl\n" },
	{ "quiesce", command_quiesce, ARGUMENT_GUEST, OPTION_LEASE | OPTION_SOCKET | OPTION_CONTROL,
	  "[--lease] DOMID", "stop a domain's Xenstore ring",
	  "Waits until all that the domain has asked is answered, then takes nothing more from "
	  "its\n"
	  "ring. Ask before its vCPUs are paused: a guest that does not run cannot finish a "
	  "request.\n" },
	{ "unquiesce", command_unquiesce, ARGUMENT_GUEST, OPTION_SOCKET, "DOMID",
	  "let a domain's Xenstore ring go on", "Ends quiesce and hold.\n" },
	{ "hold", command_hold, ARGUMENT_GUEST, OPTION_NEW | OPTION_SOCKET | OPTION_CONTROL,
	  "DOMID | --new on|off", "have a domain quiesced when it is introduced",
	  "For a domain that is not introduced yet: so that import can give it its watches and\n"
	  "transactions before its first request is read.\n" },
	{ "xenstored", command_xenstored, ARGUMENT_REPLACE,
	  OPTION_REPLACE | OPTION_REPORT | OPTION_SOCKET | OPTION_CONTROL,
	  "replace [--with c|oxenstored|PATH] [--dry-run] [--force] [-v] [OPTION]...",
	  "have another xenstored take the place of the running one",
	  "Looks what the other one would not take of what Xenstore holds, lists it, and goes no "
	  "further\n"
	  "unless --force is given. Then the running daemon writes down all it has and ends, and "
	  "the\n"
	  "other one is started with it. Meanwhile guests and toolstacks wait; they notice nothing "
	  "else\n"
	  "but that transactions conflict. Without --with it is the daemon that runs, which may "
	  "have been\n"
	  "upgraded.\n"
	  "Exit status: 1, all is as before; 3, the daemon before was started again; 4, that "
	  "failed, too;\n"
	  "with --dry-run 1 if something would be lost.\n" },
	{ "enter", command_enter, ARGUMENT_NONE,
	  OPTION_REPLACE | OPTION_REPORT | OPTION_TIMEOUT | OPTION_CONFIG,
	  "[--with c|oxenstored|PATH] [--timeout S] [--dry-run] [--force] [-v] [OPTION]...",
	  "put xsproxyd before the xenstored that runs without it",
	  "Starts xsproxy's services, and has the running xenstored, which knows nothing of them, "
	  "hand\n"
	  "over all it has to one that serves behind xsproxyd, as for xenstored replace. Guests "
	  "and\n"
	  "toolstacks go on. The daemon does so only while nobody has a transaction open, which "
	  "is waited\n"
	  "for. If nothing comes of it, all is as it was before.\n"
	  "Exit status: as of xenstored replace.\n" },
	{ "leave", command_leave, ARGUMENT_NONE, OPTION_REPLACE | OPTION_REPORT | OPTION_CONFIG,
	  "[--with c|oxenstored|PATH] [--dry-run] [--force] [-v] [OPTION]...",
	  "have xenstored serve without xsproxyd until the next boot",
	  "The other way: a xenstored without xsproxy's bridge takes the place of the running one, "
	  "with\n"
	  "guests' rings and toolstacks' connections, and xsproxyd and the keeper are ended. At "
	  "the next\n"
	  "boot of dom0 xsproxyd comes first again, unless it is disabled.\n"
	  "Exit status: as of xenstored replace.\n" },
	{ "status", command_status, ARGUMENT_NONE, OPTION_JSON | OPTION_CONTROL, "[--json]",
	  "show what xsproxyd serves",
	  "Says which xenstored it has, how many domains and toolstacks, and whether the keeper "
	  "holds\n"
	  "the latter, so that they outlive xsproxyd.\n" },
	{ "check", command_check, ARGUMENT_NONE, OPTION_JSON | OPTION_CONTROL, "[--json]",
	  "say whether all is well, for monitoring",
	  "Prints a line that begins with ok, or a line for each thing that is wrong, and then "
	  "the\n"
	  "exit status is 1: xsproxyd does not answer within 5 s, its configuration is wrong, "
	  "there "
	  "is\n"
	  "no xenstored, it is refused, domains failed, ended, are unknown to it or have nearly as "
	  "many\n"
	  "watches as they may have, toolstacks have waited for it for 5 s, it does not answer "
	  "a READ\n"
	  "within 5 s, or there is no keeper.\n" },
	{ "domains", command_domains, ARGUMENT_NONE,
	  OPTION_JSON | OPTION_ORDER | OPTION_PICK | OPTION_CONTROL,
	  "[--sort KEY] [--state STATE,...] [--match REGEX] [--json]", "list the domains",
	  "Lists every domain that is introduced or held: its state, watches, open transactions,\n"
	  "requests under way, octets that wait for it to read, how often it was refused "
	  "something,\n"
	  "and the last error.\n" },
	{ "domain", command_domain, ARGUMENT_DOMID, OPTION_JSON | OPTION_CONTROL, "DOMID [--json]",
	  "show one domain, with what it was refused",
	  "As domains, and how often which request got which error.\n" },
	{ "why", command_why, ARGUMENT_DOMID, OPTION_JSON | OPTION_SOCKET | OPTION_CONTROL,
	  "DOMID [--json]", "say what a domain's devices wait for",
	  "Says whether xsproxyd or xenstored is in a domain's way, and of each of its devices the "
	  "states\n"
	  "of both ends and who has to do the next step: the guest's driver, the backend, or the "
	  "toolstack.\n" },
	{ "quota", command_quota, ARGUMENT_ANY, OPTION_JSON | OPTION_SOCKET | OPTION_CONTROL,
	  "[DOMID] [--json]", "show what domains have of what they may have",
	  "Asks xenstored for its quotas and what domains have of each, and adds what xsproxyd "
	  "knows.\n"
	  "Oxenstored only tells about nodes.\n" },
	{ "clients", command_clients, ARGUMENT_SESSION, OPTION_JSON | OPTION_CONTROL,
	  "[SESSION] [--json]", "list the toolstacks that are connected",
	  "Lists who has a connection to Xenstore's socket: the process, since when, its watches "
	  "and\n"
	  "open transactions, how often it asked, octets that wait for it to read, and which "
	  "requests\n"
	  "it waits for, and for how long. With SESSION only that one, its watches and "
	  "transactions.\n" },
	{ "stats", command_stats, ARGUMENT_ANY, OPTION_JSON | OPTION_CONTROL, "[DOMID] [--json]",
	  "show what was asked, and how long it took",
	  "Requests by operation, errors by name, and response times: how much of them was spent "
	  "in\n"
	  "xsproxyd and how much upstream, in xenstored. Of a domain's session since it began, or "
	  "of\n"
	  "all sessions; all begins anew when xsproxyd is restarted.\n" },
	{ "metrics", command_metrics, ARGUMENT_NONE, OPTION_CONTROL, "",
	  "print the numbers that Prometheus gets, once",
	  "The text that GET /metrics gives, also where [metrics] listen is off: for a textfile\n"
	  "collector.\n"
	  "\n"
	  "  xsproxyctl metrics >x.new && mv x.new "
	  "/var/lib/prometheus/node-exporter/xsproxy.prom\n" },
	{ "top", command_top, ARGUMENT_NONE,
	  OPTION_PICK | OPTION_INTERVAL | OPTION_SORT | OPTION_BATCH | OPTION_COUNT |
		  OPTION_CONTROL,
	  "[--interval S] [--sort KEY] [--state STATE,...] [--match REGEX] [--batch [--count N]]",
	  "watch which domains ask most",
	  "A live table of all domains with requests, errors, events and octets a second, "
	  "response\n"
	  "times of their sessions as a whole, requests under way, and the share of the time in "
	  "which\n"
	  "the ring had no room for what waits (FULL%). Keys: r e p o f w d sort by requests, "
	  "errors, "
	  "p99,\n"
	  "octets, FULL%, watches, domid; the arrow keys choose a domain, Enter looks into it, b "
	  "goes\n"
	  "back, q quits.\n" },
	{ "mirror", command_mirror, ARGUMENT_CHECK, OPTION_JSON | OPTION_CONTROL,
	  "[check] [--json]", "show how xsproxyd's mirror of the store is, or check it",
	  "xsproxyd keeps a mirror of what Xenstore holds, for when xenstored crashes. With check "
	  "all\n"
	  "nodes are read and compared with it; a line says of each that differs how. It is "
	  "mended, and\n"
	  "then the exit status is 1.\n" },
	{ "log-level", command_log_level, ARGUMENT_LEVEL, OPTION_CONTROL, "[LEVEL]",
	  "print or change what xsproxyd logs",
	  "LEVEL is error, warning, notice, info or debug. Lasts until xsproxyd is restarted or\n"
	  "reloaded.\n" },
	{ "reload", command_reload, ARGUMENT_NONE, OPTION_CONTROL, "",
	  "have xsproxyd read its configuration again",
	  "What can change while xsproxyd runs is taken over; a warning names each option that "
	  "waits "
	  "for\n"
	  "a restart. If anything in the file is wrong all stays as it was, and the command fails "
	  "and\n"
	  "says what.\n" },
	{ "watches", command_watches, ARGUMENT_DOMID,
	  OPTION_STALE | OPTION_JSON | OPTION_SOCKET | OPTION_CONTROL,
	  "DOMID [--json] | --stale [DOMID] [--json]", "list a domain's watches",
	  "Lists the watches as the domain spelt them, in order of registration.\n"
	  "With --stale those that are below a domain that is not introduced or on a node that "
	  "does\n"
	  "not exist, and how many watches the domain has and may have.\n" },
	{ "trace", command_trace, ARGUMENT_DOMIDS,
	  OPTION_READ | OPTION_FILTER | OPTION_JSON | OPTION_CONTROL,
	  "[DOMID...] [-r FILE] [--op OP,...] [--path PATH] [--errors] [--slower MS] [--events] "
	  "[--new] "
	  "[--json]",
	  "show requests as they happen",
	  "Prints a line for each request that domains and toolstacks send from now on, with its\n"
	  "reply and the time it took. What is printed too slowly is left out, and a line says "
	  "how\n"
	  "much; guests never wait for it. With -r FILE it prints the same of a capture, to its "
	  "end.\n" },
	{ "capture", command_capture, ARGUMENT_DOMIDS,
	  OPTION_WRITE | OPTION_FILTER | OPTION_CONTROL,
	  "-w FILE [DOMID...] [-c N] [--duration S] [--file-size N [--files N]] [--op OP,...] "
	  "[--path PATH] [--errors] "
	  "[--slower MS] [--events] [--new]",
	  "write messages to a file for Wireshark",
	  "Writes a pcapng file of the messages that pass from now on. It can be read while it "
	  "grows.\n"
	  "Wireshark and tshark show what it holds with xsproxy's xenstore.lua. With --errors and "
	  "--slower\n"
	  "a request and its reply go in together, and -c N may have one message more.\n"
	  "With --file-size it goes on in another file, as guests_00002_20261201060444.pcapng for\n"
	  "guests.pcapng, whenever one is full; it never writes to one that is there.\n"
	  "\n"
	  "  xsproxyctl capture -w - | tshark -r -\n" },
	{ "replay", command_replay, ARGUMENT_FILE, OPTION_SCRATCH, "FILE --socket PATH",
	  "play a capture's requests to another xenstored",
	  "Sends the requests of a capture to the xenstored at PATH, which nobody must use, for it "
	  "writes\n"
	  "what they wrote; each after the one before it was answered. What it answers otherwise "
	  "than the\n"
	  "capture is shown, the first ten of them, and the exit status is 1 then. All is asked as "
	  "dom0;\n"
	  "what a guest was refused for that, and what is about another machine, is left out.\n" },
	{ "flight", command_flight, ARGUMENT_DOMID, OPTION_JSON | OPTION_CONTROL, "DOMID [--json]",
	  "show a domain's last messages",
	  "Prints what xsproxyd keeps of each session, since it was started and unless [flight]\n"
	  "messages = 0: its last requests, replies and events, as trace does.\n" },
	{ "transactions", command_transactions, ARGUMENT_DOMID, OPTION_JSON | OPTION_SOCKET,
	  "DOMID [--json]", "list a domain's open transactions",
	  "Lists the ids of open transactions as the domain knows them.\n" },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_overview(FILE *out)
{
	fputs("Usage: xsproxyctl COMMAND [ARGUMENT]...\n"
	      "Look after the Xenstore sessions of Xen domains behind xsproxy.\n"
	      "\n",
	      out);
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "xsproxyctl COMMAND --help, or help COMMAND, says more; xsproxyctl --version prints "
	      "the\n"
	      "version.\n"
	      "Exit status: 0 done, 1 failed (standard error says why), 2 wrong command line; more "
	      "of\n"
	      "xenstored replace, enter and leave: see their help.\n",
	      out);
}

static void print_help(const struct command *command)
{
	printf("Usage: xsproxyctl %s %s\n\n%s\n", command->name, command->usage, command->help);
	options_help(stdout, command->accepts);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int run_parsed(const struct command *command, struct options *options,
		      const struct report *report)
{
	int status;

	if (options->help) {
		print_help(command);
		return 0;
	}
	status = options_resolve(options, command->argument, report);
	if (!status)
		status = command->run(options, report);
	return status < 0 ? EXIT_FAILED : status;
}

static int run_command(const struct command *command, int argc, char **argv)
{
	char who[64];
	struct report report = { stderr, who };
	struct options options;
	int status = EXIT_USAGE, err = table_seed();

	snprintf(who, sizeof(who), "xsproxyctl %s", command->name);
	if (err) {
		report_fail(&report, err, "no random octets from the kernel: %s", strerror(-err));
		return EXIT_FAILED;
	}
	if (!options_parse(&options, command->accepts, command->argument, argc, argv, &report))
		status = run_parsed(command, &options, &report);
	options_free(&options);
	return status;
}

static int no_command(const char *name)
{
	fprintf(stderr, "xsproxyctl: there is no command '%s'; see xsproxyctl --help\n", name);
	return EXIT_USAGE;
}

/* help [COMMAND], as --help and COMMAND --help */
static int run_help(int argc, char **argv)
{
	const struct command *command;

	if (argc > 2) {
		fprintf(stderr,
			"xsproxyctl help: unexpected argument '%s'; see xsproxyctl --help\n",
			argv[2]);
		return EXIT_USAGE;
	}
	if (argc < 2) {
		print_overview(stdout);
		return 0;
	}
	command = find_command(argv[1]);
	if (!command)
		return no_command(argv[1]);
	print_help(command);
	return 0;
}

/*
 * Fill the places of standard streams that are closed: what is opened next would be taken for them,
 * and what we print would go to xsproxyd. Using them fails as if they were closed still.
 */
static bool fill_closed_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	const struct command *command;

	if (!fill_closed_streams())
		return EXIT_FAILED;
	setlocale(LC_CTYPE, "");
	if (argc < 2) {
		print_overview(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_overview(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("xsproxyctl " XSPROXY_VERSION);
		return 0;
	}
	if (!strcmp(argv[1], "help"))
		return run_help(argc - 1, argv + 1);
	command = find_command(argv[1]);
	return command ? run_command(command, argc - 1, argv + 1) : no_command(argv[1]);
}
