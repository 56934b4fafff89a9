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

#include "proxy/client.h"
#include "proxy/daemon.h"
#include "proxy/domain.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/upstream.h"

#define EXIT_USAGE 2

static void usage(FILE *out)
{
	fputs("Usage: xsproxyd [OPTION]...\n"
	      "Stand between Xen guests and an unmodified xenstored.\n"
	      "\n"
	      "  -c, --config FILE   read FILE instead of " CONFIG_FILE "\n"
	      "  -r, --run-dir DIR   where the bridge and our sockets are\n"
	      "  -s, --socket PATH   the public Xenstore socket\n"
	      "  -C, --check-config  check the configuration and exit\n"
	      "  -h, --help          this text\n",
	      out);
}

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "run-dir", required_argument, NULL, 'r' },
	{ "socket", required_argument, NULL, 's' },
	{ "check-config", no_argument, NULL, 'C' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	const char *config;
	const char *run_dir;
	const char *socket;
	bool check;
};

static void parse_arguments(struct arguments *args, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "c:r:s:Ch", long_options, NULL)) >= 0) {
		switch (c) {
		case 'c':
			args->config = optarg;
			break;
		case 'r':
			args->run_dir = optarg;
			break;
		case 's':
			args->socket = optarg;
			break;
		case 'C':
			args->check = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			exit(EXIT_USAGE); /* getopt has said which option */
		}
	}
	if (optind < argc) {
		fprintf(stderr, "xsproxyd: unexpected argument '%s'; see --help\n", argv[optind]);
		exit(EXIT_USAGE);
	}
}

static void set_argument(struct config *config, const char *key, const char *value)
{
	char why[160];

	if (!value || !config_set(config, "xsproxy", key, value, why, sizeof(why)))
		return;
	fprintf(stderr, "xsproxyd: --%s %s: %s\n", key, value, why);
	exit(EXIT_USAGE);
}

static void read_config(struct config *config, const struct arguments *args)
{
	const char *path = args->config ? args->config : CONFIG_FILE;
	char why[512];
	int err;

	config_defaults(config);
	err = config_read(config, path, why, sizeof(why));
	/* Without a file the defaults hold, unless one was asked for. */
	if (err && (err != -ENOENT || args->config)) {
		fprintf(stderr, "xsproxyd: %s\n", why);
		exit(EXIT_USAGE);
	}
	set_argument(config, "run-dir", args->run_dir);
	set_argument(config, "socket", args->socket);
}

/*
 * The run directory is ours alone, for whoever reaches the sockets in it is dom0; its lock says that
 * no other xsproxyd serves it.
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
	if (st.st_uid != geteuid() || (st.st_mode & 077)) {
		log_line(LOG_ERR, "%s must belong to us and have mode 0700, for whoever reaches "
				  "its sockets has dom0's rights", dir);
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

static void signal_cb(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *daemon = arg;

	(void)what;
	log_line(LOG_NOTICE, "ending on signal %d; guests wait for the next xsproxyd", (int)sig);
	loop_stop(daemon->loop);
}

static int run(struct daemon *daemon)
{
	struct event *term, *intr;
	int err;

	daemon->base = event_base_new();
	if (!daemon->base)
		return -ENOMEM;
	err = loop_new(&daemon->loop, daemon);
	if (!err)
		err = domains_new(&daemon->domains, daemon);
	if (!err)
		err = clients_new(&daemon->clients, daemon);
	if (!err)
		err = upstream_new(&daemon->upstream, daemon);
	if (err)
		return err;

	term = evsignal_new(daemon->base, SIGTERM, signal_cb, daemon);
	intr = evsignal_new(daemon->base, SIGINT, signal_cb, daemon);
	if (!term || !intr || event_add(term, NULL) || event_add(intr, NULL))
		return -ENOMEM;

	/* Before xenstored is there: what starts it polls the store through our socket. */
	sd_notify(0, "READY=1");
	loop_run(daemon->loop);
	sd_notify(0, "STOPPING=1");
	event_free(term);
	event_free(intr);
	return 0;
}

static void take_down(struct daemon *daemon)
{
	daemon->clients = clients_free(daemon->clients);
	daemon->domains = domains_free(daemon->domains);
	daemon->upstream = upstream_free(daemon->upstream);
	daemon->loop = loop_free(daemon->loop);
	daemon->xen = xen_free(daemon->xen);
	if (daemon->base)
		event_base_free(daemon->base);
	libevent_global_shutdown();
}

int main(int argc, char **argv)
{
	struct arguments args = { 0 };
	struct daemon daemon = { 0 };
	int lock, err;

	parse_arguments(&args, argc, argv);
	read_config(&daemon.config, &args);
	if (args.check)
		return 0;

	log_open((int)daemon.config.log_level);
	TAILQ_INIT(&daemon.ops);
	signal(SIGPIPE, SIG_IGN);
	lock = lock_run_dir(daemon.config.run_dir);
	if (lock < 0)
		return EXIT_USAGE;

	err = run(&daemon);
	if (err == -ENOMEM)
		log_line(LOG_ERR, "out of memory at start");
	take_down(&daemon);
	close(lock);
	return err ? EXIT_USAGE : 0;
}
