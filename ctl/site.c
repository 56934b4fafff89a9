// SPDX-License-Identifier: MIT
/*
 * site - see site.h.
 */
#include "ctl/site.h"

#include "config/conffile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK "xsproxyctl.lock"

static void on_wrong(void *arg, const char *what)
{
	report_fail(arg, 0, "%s", what);
}

int site_read(struct site *site, const struct options *options, const struct report *report)
{
	struct config *config = &site->config;
	struct report out = *report;
	int r = 0;

	if (geteuid())
		return report_fail(report, -EPERM, "only root may");
	config_defaults(config);
	/* Without a file the defaults hold. */
	if (strcmp(options->config, CONFIG_FILE) != 0 || !access(CONFIG_FILE, F_OK))
		r = conffile_read(config, options->config, on_wrong, &out);
	if (r == -ENOMEM)
		report_fail(report, r, "%s", report_reason(r));
	if (r)
		return r;
	site->options = *options;
	snprintf(site->options.socket, sizeof(site->options.socket), "%s", config->socket);
	snprintf(site->options.control, sizeof(site->options.control), "%s/control",
		 config->run_dir);
	return 0;
}

void site_path(const struct site *site, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", site->config.run_dir, name);
}

/* As its unit would. */
static int make_dir(const struct site *site)
{
	return mkdir(site->config.run_dir, 0700) && errno != EEXIST ? -errno : 0;
}

/* Return: a descriptor, or a negative errno. */
static int open_file(const struct site *site, const char *name)
{
	char path[PATH_MAX];
	int r = make_dir(site), fd;

	if (r)
		return r;
	site_path(site, name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int site_lock(const struct site *site, const struct report *report)
{
	int fd = open_file(site, LOCK);

	if (fd < 0)
		return report_fail(report, fd, "cannot make %s/" LOCK ": %s", site->config.run_dir,
				   report_local_reason(fd));
	/* It stays open as long as we are. */
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	close(fd);
	return report_fail(report, -EBUSY, "another xsproxyctl is just entering or leaving");
}

int site_make(const struct site *site, const char *name)
{
	int fd = open_file(site, name);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int site_link(const struct site *site, const char *name, const char *to)
{
	char path[PATH_MAX];
	int r = make_dir(site);

	if (r)
		return r;
	site_path(site, name, path);
	unlink(path);
	return symlink(to, path) ? -errno : 0;
}

bool site_drop(const struct site *site, const char *name)
{
	char path[PATH_MAX];

	site_path(site, name, path);
	return !unlink(path);
}
