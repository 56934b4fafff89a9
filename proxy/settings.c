// SPDX-License-Identifier: MIT
#include "proxy/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/log.h"

#define EACH_MAX 10 /* lines that are told one by one */

static int set_argument(struct config *config, const char *key, const char *value, char *why,
			int size)
{
	char reason[160];
	int err;

	if (!value)
		return 0;
	err = config_set(config, "xsproxy", key, value, reason, sizeof(reason));
	if (err)
		snprintf(why, (size_t)size, "--%s %s: %s", key, value, reason);
	return err;
}

int settings_arguments(const struct settings *settings, struct config *config, char *why, int size)
{
	int err = set_argument(config, "run-dir", settings->run_dir, why, size);

	return err ? err : set_argument(config, "socket", settings->socket, why, size);
}

static void on_wrong(void *arg, const char *what)
{
	struct settings_wrong *wrong = arg;

	if (!wrong->count++)
		snprintf(wrong->first, sizeof(wrong->first), "%s", what);
	if (wrong->each && wrong->count <= EACH_MAX)
		wrong->each(what);
}

int settings_read(const struct settings *settings, struct config *config,
		  struct settings_wrong *wrong)
{
	const char *path = settings->file ? settings->file : CONFIG_FILE;
	char why[SETTINGS_WHY_MAX];
	int err = 0;

	config_defaults(config);
	/* Without a file the defaults hold. */
	if (settings->file || !access(path, F_OK) || errno != ENOENT)
		err = conffile_read(config, path, on_wrong, wrong);
	settings_arguments(settings, config, why, sizeof(why));
	return err == -ENOMEM ? err : wrong->count ? -EINVAL : 0;
}

/* All of it in one line. */
static void summarize(const struct settings_wrong *wrong, char why[SETTINGS_WHY_MAX])
{
	if (wrong->count > 1)
		snprintf(why, SETTINGS_WHY_MAX, "%s; and %u more", wrong->first, wrong->count - 1);
	else
		snprintf(why, SETTINGS_WHY_MAX, "%s", wrong->first);
}

static void log_wrong(const char *what)
{
	log_line(LOG_ERR, "%s", what);
}

int settings_start(struct daemon *daemon)
{
	struct settings_wrong wrong = { .each = log_wrong };
	char why[SETTINGS_WHY_MAX];
	int err = settings_read(daemon->settings, &daemon->config, &wrong);

	log_set_level((int)daemon->config.log_level);
	if (!err || err == -ENOMEM)
		return err;
	log_line(LOG_ERR, "the configuration is wrong, running with the rest of it; mend it and "
			  "reload (xsproxyd --check-config shows all that is wrong)");
	summarize(&wrong, why);
	notify_wrong(&daemon->notify, NOTIFY_FILE, why);
	return 0;
}

bool settings_fall_back(struct daemon *daemon)
{
	struct config defaults;
	char why[320];

	config_defaults(&defaults);
	if (daemon->settings->run_dir || !strcmp(daemon->config.run_dir, defaults.run_dir))
		return false;
	snprintf(why, sizeof(why), "run-dir %s cannot be used, %s is; mend it and restart xsproxyd",
		 daemon->config.run_dir, defaults.run_dir);
	log_line(LOG_ERR, "%s", why);
	notify_wrong(&daemon->notify, NOTIFY_RUN_DIR, why);
	strcpy(daemon->refused_run_dir, daemon->config.run_dir);
	strcpy(daemon->config.run_dir, defaults.run_dir);
	return true;
}

static void changed(void *arg, const char *section, const char *key, bool adopted)
{
	struct settings_reload *reload = arg;

	if (adopted) {
		log_line(LOG_NOTICE, "[%s] %s has changed", section, key);
		return;
	}
	log_line(LOG_WARNING,
		 "[%s] %s has changed, but takes effect only when xsproxyd is restarted", section,
		 key);
	reload->waiting[reload->nr_waiting].section = section;
	reload->waiting[reload->nr_waiting++].key = key;
}

/* What systemd (Type=notify-reload, or a status) wants to know. */
static void notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic() / 1000);
}

/* What could not be done at the start is wrong for as long as the file says it. */
static void look_again(struct daemon *daemon, struct config *next)
{
	bool refused = !strcmp(next->run_dir, daemon->refused_run_dir);

	notify_still(&daemon->notify, NOTIFY_RUN_DIR, refused);
	if (refused)
		strcpy(next->run_dir, daemon->config.run_dir);
	notify_still(&daemon->notify, NOTIFY_SOCKET,
		     next->socket_mode == daemon->config.socket_mode &&
			     next->socket_group.id[0] == daemon->config.socket_group.id[0]);
	notify_still(&daemon->notify, NOTIFY_METRICS,
		     !strcmp(next->metrics_listen, daemon->config.metrics_listen));
}

int settings_reload(struct daemon *daemon, struct settings_reload *reload)
{
	struct settings_wrong wrong = { .count = 0 };
	struct config next;
	int err;

	*reload = (struct settings_reload){ .nr_waiting = 0 };
	notify_reloading();
	err = settings_read(daemon->settings, &next, &wrong);
	if (err) {
		summarize(&wrong, reload->why);
		log_line(LOG_ERR, "the configuration stays as it was: %s", reload->why);
	} else {
		look_again(daemon, &next);
		config_adopt(&daemon->config, &next, changed, reload);
		log_set_level((int)daemon->config.log_level);
		daemon->settings->taken_over(daemon);
		log_line(LOG_NOTICE, "read the configuration again");
	}
	notify_wrong(&daemon->notify, NOTIFY_FILE, err ? reload->why : NULL);
	sd_notify(0, "READY=1");
	return err;
}
