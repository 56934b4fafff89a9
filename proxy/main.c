// SPDX-License-Identifier: MIT
/*
 * main - options, the one instance, signals; builds the daemon context and takes it down again.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "link/link.h"
#include "protocol/clock.h"
#include "protocol/table.h"
#include "proxy/alarm.h"
#include "proxy/control/control.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/holds.h"
#include "proxy/host/keeper.h"
#include "proxy/host/naming.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/mend/mend.h"
#include "proxy/metrics/metrics.h"
#include "proxy/mirror/follow.h"
#include "proxy/observe/tap.h"
#include "proxy/observe/trace.h"
#include "proxy/settings.h"
#include "proxy/stop.h"
#include "proxy/toolstack/toolstack.h"
#include "proxy/toolstack/update.h"

#define EXIT_USAGE 2
#define NR_SIGNALS 3

static void usage(FILE *out)
{
	fputs("Usage: xsproxyd [OPTION]...\n"
	      "Stand between Xen guests and an unmodified xenstored.\n"
	      "\n"
	      "  -c, --config FILE   read FILE instead of " CONFIG_FILE "\n"
	      "  -r, --run-dir DIR   where the bridge and our sockets are\n"
	      "  -s, --socket PATH   the public Xenstore socket\n"
	      "  -C, --check-config  check the configuration, print what is in effect, and exit\n"
	      "  -V, --version       print the version\n"
	      "  -h, --help          this text\n",
	      out);
}

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "run-dir", required_argument, NULL, 'r' },
	{ "socket", required_argument, NULL, 's' },
	{ "check-config", no_argument, NULL, 'C' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	struct settings settings;
	bool check;
};

/* @c: what getopt has said of it; @word: in which it has found it */
static void __attribute__((noreturn)) wrong_option(int c, const char *word)
{
	if (c == ':')
		fprintf(stderr, "xsproxyd: %s needs a value; see --help\n", word);
	else if (optopt && !strchr(word, '=')) /* maybe not the word's first letter */
		fprintf(stderr, "xsproxyd: there is no option -%c; see --help\n", optopt);
	else
		fprintf(stderr,
			"xsproxyd: there is no option %s, or it takes no value; see --help\n",
			word);
	exit(EXIT_USAGE);
}

static void parse_arguments(struct arguments *args, int argc, char **argv)
{
	int c;

	/* ':' tells a missing value from an unknown option, and getopt prints nothing. */
	while ((c = getopt_long(argc, argv, ":c:r:s:CVh", long_options, NULL)) >= 0) {
		switch (c) {
		case 'c':
			args->settings.file = optarg;
			break;
		case 'r':
			args->settings.run_dir = optarg;
			break;
		case 's':
			args->settings.socket = optarg;
			break;
		case 'C':
			args->check = true;
			break;
		case 'V':
			puts("xsproxyd " XSPROXY_VERSION);
			exit(0);
		case 'h':
			usage(stdout);
			exit(0);
		default:
			wrong_option(c, argv[optind - 1]);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "xsproxyd: unexpected argument '%s'; see --help\n", argv[optind]);
		exit(EXIT_USAGE);
	}
}

/*
 * The run directory is ours alone, for whoever reaches the sockets in it is dom0; its lock says
 * that no other xsproxyd serves it.
 */
static int lock_run_dir(const char *dir)
{
	struct stat st;
	int fd;

	if (mkdir(dir, 0700) && errno != EEXIST) {
		log_line(LOG_ERR, "cannot create %s: %s", dir, strerror(errno));
		return -errno;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		log_line(LOG_ERR, "cannot open %s: %s", dir, strerror(errno));
		return -errno;
	}
	if (!link_dir_is_ours(&st)) {
		log_line(LOG_ERR,
			 "%s must belong to us and have mode 0700, for whoever reaches "
			 "its sockets has dom0's rights",
			 dir);
		close(fd);
		return -EPERM;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		log_line(LOG_ERR, "another xsproxyd serves %s; stop it first", dir);
		close(fd);
		return -EBUSY;
	}
	return fd;
}

/* What fails there is told by return values as well, and then we say what it means. */
static void libevent_log(int severity, const char *text)
{
	log_line(severity == EVENT_LOG_ERR ? LOG_ERR : LOG_DEBUG, "libevent: %s", text);
}

static void signal_cb(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *daemon = arg;

	(void)what;
	log_line(LOG_NOTICE, "ending on signal %d; guests wait for the next xsproxyd", (int)sig);
	stop_begin(daemon->stop);
}

static void hup_cb(evutil_socket_t sig, short what, void *arg)
{
	struct settings_reload reload;

	(void)sig;
	(void)what;
	settings_reload(arg, &reload); /* has logged all of it */
}

/* --- what the loop has done around a round and around the wait */

static void round_begin(void *arg)
{
	struct daemon *daemon = arg;

	upstream_take_bells(daemon->upstream);
}

static void round_end(void *arg)
{
	struct daemon *daemon = arg;

	taps_round_over(daemon->taps);
}

static bool before_sleep(void *arg)
{
	struct daemon *daemon = arg;

	return upstream_sleep(daemon->upstream);
}

static void after_sleep(void *arg)
{
	struct daemon *daemon = arg;

	upstream_wake(daemon->upstream);
}

/* For those that do not look at the configuration each time. */
static void taken_over(struct daemon *daemon)
{
	taps_trim(daemon->taps);
}

/* How systemd hears that we are well, if it wants to. */
struct watchdog {
	struct alarm *alarm;
	uint32_t ms;
};

/* From the loop, so that it falls silent when the loop does. */
static void feed(void *arg)
{
	const struct watchdog *watchdog = arg;

	sd_notify(0, "WATCHDOG=1");
	alarm_set(watchdog->alarm, watchdog->ms);
}

/* Return: 0, or as alarm_new(). */
static int listen_to_system(struct daemon *daemon, struct event *events[NR_SIGNALS],
			    struct watchdog *watchdog)
{
	uint64_t us;
	int err;

	events[0] = evsignal_new(daemon->base, SIGTERM, signal_cb, daemon);
	events[1] = evsignal_new(daemon->base, SIGINT, signal_cb, daemon);
	events[2] = evsignal_new(daemon->base, SIGHUP, hup_cb, daemon);
	for (int i = 0; i < NR_SIGNALS; i++)
		if (!events[i] || event_add(events[i], NULL))
			return -ENOMEM;
	if (sd_watchdog_enabled(0, &us) <= 0)
		return 0;
	watchdog->ms = (uint32_t)(us / 2 / 1000);
	err = alarm_new(&watchdog->alarm, daemon->base, feed, watchdog);
	if (err)
		return err;
	alarm_set(watchdog->alarm, watchdog->ms);
	return 0;
}

/*
 * We are ending; the default action of a second signal, which libevent puts back with the events,
 * would leave our socket behind.
 */
static void ignore_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int run(struct daemon *daemon)
{
	const struct loop_hooks hooks = { round_begin, round_end, before_sleep, after_sleep,
					  daemon };
	struct event *events[NR_SIGNALS] = { NULL };
	struct watchdog watchdog = { .alarm = NULL };
	int err;

	daemon->base = event_base_new();
	if (!daemon->base)
		return -ENOMEM;
	err = loop_new(&daemon->loop, daemon->base, &hooks);
	if (!err)
		err = stop_new(&daemon->stop, daemon);
	if (!err)
		err = traces_new(&daemon->traces, daemon->base);
	if (!err)
		err = taps_new(&daemon->taps, daemon->traces, &daemon->config);
	if (!err)
		err = follow_new(&daemon->follow);
	if (!err)
		err = domains_new(&daemon->domains, daemon);
	if (!err)
		err = holds_new(&daemon->holds, daemon);
	if (!err)
		err = keeper_new(&daemon->keeper, daemon);
	if (!err)
		err = upstream_new(&daemon->upstream, daemon);
	if (!err)
		err = clients_new(&daemon->clients, daemon);
	if (!err)
		err = controls_new(&daemon->controls, daemon);
	if (!err)
		err = metrics_new(&daemon->metrics, daemon);
	if (!err)
		err = mend_new(&daemon->mend, daemon);
	if (!err)
		err = exchange_new(&daemon->exchange, daemon);
	if (!err)
		err = listen_to_system(daemon, events, &watchdog);
	if (!err) {
		/* Before xenstored is there: what starts it polls the store through our socket. */
		sd_notify(0, "READY=1");
		loop_run(daemon->loop);
		sd_notify(0, "STOPPING=1");
	}
	ignore_signals();
	alarm_free(watchdog.alarm);
	for (int i = 0; i < NR_SIGNALS; i++)
		if (events[i])
			event_free(events[i]);
	return err;
}

static void take_down(struct daemon *daemon)
{
	daemon->metrics = metrics_free(daemon->metrics);
	daemon->controls = controls_free(daemon->controls);
	daemon->exchange = exchange_free(daemon->exchange);
	daemon->mend = mend_free(daemon->mend);
	update_end(daemon, NULL);
	daemon->clients = clients_free(daemon->clients);
	daemon->keeper = keeper_free(daemon->keeper);
	daemon->domains = domains_free(daemon->domains);
	daemon->holds = holds_free(daemon->holds);
	daemon->upstream = upstream_free(daemon->upstream);
	daemon->follow = follow_free(daemon->follow);
	daemon->stop = stop_free(daemon->stop);
	daemon->taps = taps_free(daemon->taps);
	daemon->traces = traces_free(daemon->traces);
	daemon->loop = loop_free(daemon->loop);
	daemon->xen = xen_free(daemon->xen);
	if (daemon->base)
		event_base_free(daemon->base);
	libevent_global_shutdown();
}

static void print_wrong(const char *what)
{
	fprintf(stderr, "xsproxyd: %s\n", what);
}

/* Strict, unlike the start. Return: the exit status. */
static int check_config(const struct settings *settings)
{
	struct settings_wrong wrong = { .each = print_wrong };
	struct config config;

	if (settings_read(settings, &config, &wrong))
		return EXIT_USAGE;
	config_print(&config, stdout);
	return 0;
}

/* The run directory that the file names may be wrong in a way that only shows now. */
static int lock_any_run_dir(struct daemon *daemon)
{
	int lock = lock_run_dir(daemon->config.run_dir);

	if (lock < 0 && lock != -EBUSY && settings_fall_back(daemon))
		lock = lock_run_dir(daemon->config.run_dir);
	return lock;
}

static int seed(void)
{
	int err = table_seed();

	if (err)
		log_line(LOG_ERR, "no random octets from the kernel: %s", strerror(-err));
	return err;
}

int main(int argc, char **argv)
{
	struct arguments args = { .settings.taken_over = taken_over };
	char why[SETTINGS_WHY_MAX];
	struct daemon daemon = { .settings = &args.settings, .hooks = &toolstack_hooks };
	int lock, err;

	parse_arguments(&args, argc, argv);
	if (settings_arguments(&args.settings, &daemon.config, why, sizeof(why))) {
		print_wrong(why);
		return EXIT_USAGE;
	}
	if (args.check)
		return check_config(&args.settings);

	daemon.started = clock_seconds();
	log_open(LOG_INFO);
	event_set_log_callback(libevent_log);
	TAILQ_INIT(&daemon.ops);
	signal(SIGPIPE, SIG_IGN);
	naming_begin(&daemon);
	err = settings_start(&daemon);
	if (!err)
		err = seed();
	lock = err ? -1 : lock_any_run_dir(&daemon);
	if (lock >= 0) {
		err = run(&daemon);
		/* What is ours another one has, too: it must not be unbound, nor shut down. */
		if (daemon.left)
			_exit(0);
		naming_end();
		take_down(&daemon);
		close(lock);
	}
	if (err == -ENOMEM)
		log_line(LOG_ERR, "out of memory at start");
	return err || lock < 0 ? EXIT_USAGE : 0;
}
