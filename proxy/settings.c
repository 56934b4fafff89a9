// SPDX-License-Identifier: MIT
#include "proxy/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "proxy/clock.h"
#include "proxy/daemon.h"
#include "proxy/log.h"

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

int settings_read(const struct settings *settings, struct config *config, char *why, int size)
{
	int err;

	config_defaults(config);
	err = config_read(config, settings->file ? settings->file : CONFIG_FILE, why, size);
	/* Without a file the defaults hold, unless one was asked for. */
	if (err && (err != -ENOENT || settings->file))
		return err;
	err = set_argument(config, "run-dir", settings->run_dir, why, size);
	return err ? err : set_argument(config, "socket", settings->socket, why, size);
}

static void changed(const char *section, const char *key, bool adopted)
{
	if (adopted)
		log_line(LOG_NOTICE, "[%s] %s has changed", section, key);
	else
		log_line(LOG_WARNING,
			 "[%s] %s has changed, but takes effect only when xsproxyd is restarted",
			 section, key);
}

/* What systemd (Type=notify-reload, or a status) wants to know. */
static void notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic() / 1000);
}

void settings_reload(struct daemon *daemon)
{
	struct config next;
	char why[512];

	notify_reloading();
	if (settings_read(daemon->settings, &next, why, sizeof(why))) {
		log_line(LOG_ERR, "the configuration stays as it was: %s", why);
	} else {
		config_adopt(&daemon->config, &next, changed);
		log_set_level((int)daemon->config.log_level);
		log_line(LOG_NOTICE, "read the configuration again");
	}
	sd_notify(0, "READY=1");
}
