// SPDX-License-Identifier: MIT
/*
 * names - see names.h.
 */
#include "ctl/names.h"

#include "ctl/namer.h"
#include "protocol/clock.h"
#include "text/buffer.h"
#include "text/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NS_OF_MS 1000000u

struct names {
	int fd;
	pid_t pid;
	bool all; /* that there are have been read */
	int err;  /* no more will be */
	size_t fill;
	uint8_t octets[4 * sizeof(struct namer_record)]; /* begun */
	char *list[NAMER_DOMID_MAX + 1];		 /* "": it has none */
};

/* --- what the other process says */

static void take_name(struct names *names, const struct namer_record *record)
{
	char *name = strndup(record->name, record->len);

	if (!name) {
		names->err = -ENOMEM;
		return;
	}
	free(names->list[record->domid]);
	names->list[record->domid] = name;
}

static void take(struct names *names, const struct namer_record *record)
{
	if (record->domid == NAMER_ALL)
		names->all = true;
	else if (record->domid == NAMER_FAILED)
		names->err = record->len ? -(int)record->len : -EIO;
	else
		take_name(names, record);
}

/* Whole records, of what has been read. */
static void take_all(struct names *names)
{
	const size_t head = offsetof(struct namer_record, name);
	struct namer_record record;
	size_t at = 0, size;

	while (names->fill - at >= head) {
		memcpy(&record, names->octets + at, head);
		size = namer_size(&record);
		if (size > sizeof(record)) {
			names->err = -EPROTO;
			return;
		}
		if (names->fill - at < size)
			break;
		memcpy(&record, names->octets + at, size);
		take(names, &record);
		at += size;
	}
	names->fill -= at;
	memmove(names->octets, names->octets + at, names->fill);
}

/* All that has been said so far. */
static void drain(struct names *names)
{
	ssize_t n = 1;

	while (!names->err && n > 0) {
		n = read(names->fd, names->octets + names->fill,
			 sizeof(names->octets) - names->fill);
		if (n > 0) {
			names->fill += (size_t)n;
			take_all(names);
		} else if (!n && !names->err) {
			names->err = -EIO;
		}
	}
}

int names_settle(struct names *names, unsigned int ms)
{
	uint64_t until = clock_monotonic() + (uint64_t)ms * NS_OF_MS, now;
	struct pollfd fd = { .fd = names->fd, .events = POLLIN };

	for (;;) {
		drain(names);
		now = clock_monotonic();
		if (names->all)
			return 0;
		if (names->err)
			return names->err;
		if (now >= until)
			return -ETIMEDOUT;
		/* A signal is no reason to look at the clock more than once. */
		poll(&fd, 1, (int)((until - now) / NS_OF_MS) + 1);
	}
}

/* --- what there is */

static const char *find(struct names *names, uint32_t domid)
{
	if (!names)
		return NULL;
	drain(names);
	return domid <= NAMER_DOMID_MAX ? names->list[domid] : NULL;
}

const char *names_text(struct names *names, uint32_t domid, char out[REPORT_OCTETS_MAX])
{
	const char *name = find(names, domid);

	if (!name || !*name)
		return strcpy(out, name ? "(null)" : "-");
	return report_octets(out, name, strlen(name));
}

pid_t names_reader(const struct names *names)
{
	return names ? names->pid : 0;
}

const char *names_get(struct names *names, uint32_t domid)
{
	const char *name = find(names, domid);

	return name && *name ? name : NULL;
}

int names_join(struct names *names, json_t *domain)
{
	json_int_t domid = json_integer_value(json_object_get(domain, "domid"));
	const char *name = names_get(names, (uint32_t)domid);
	struct buffer scratch = { 0 };
	json_t *json = name ? escape_json(&scratch, name, strlen(name)) : json_null();

	free(scratch.data);
	return json_object_set_new(domain, "name", json) ? -ENOMEM : 0;
}

int names_find(struct names *names, const char *name, uint32_t *domid)
{
	int found = -ENOENT;

	drain(names);
	for (uint32_t i = 0; i <= NAMER_DOMID_MAX; i++) {
		if (!names->list[i] || strcmp(names->list[i], name))
			continue;
		if (!found)
			return -ENOTUNIQ;
		*domid = i;
		found = 0;
	}
	return found;
}

/* --- beginning and end */

_Static_assert(NAMES_ALL == NAMER_ALL, "who asks for all gets all");

static void be_namer(int fd, pid_t parent, const char *socket, uint32_t only, bool follow)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(1);
	/* It holds nothing that the other closes; before Linux 5.9 it does, for a moment. */
	if (fd > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned int)fd - 1, 0);
	close_range((unsigned int)fd + 1, UINT_MAX, 0);
	/* libxenstore is told in no other way. */
	if (*socket && setenv("XENSTORED_PATH", socket, 1))
		_exit(1);
	namer_run(fd, only, follow);
	_exit(0);
}

static int begin(struct names *names, const char *socket, uint32_t only, bool follow)
{
	pid_t parent = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	names->fd = fds[0];
	names->pid = fork();
	if (!names->pid)
		be_namer(fds[1], parent, socket, only, follow);
	close(fds[1]);
	if (names->pid < 0)
		return -errno;
	/* Ours alone waits for nothing. */
	return fcntl(names->fd, F_SETFL, O_NONBLOCK) ? -errno : 0;
}

int names_new(struct names **out, const struct options *options, uint32_t only, bool follow,
	      const struct report *report)
{
	struct names *names = calloc(1, sizeof(*names));
	int err;

	if (!names)
		return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	names->fd = -1;
	names->pid = -1;
	err = begin(names, options->socket, only, follow);
	if (err) {
		names_free(names);
		return report_fail(report, err, "cannot read the names of domains: %s",
				   report_local_reason(err));
	}
	*out = names;
	return 0;
}

struct names *names_free(struct names *names)
{
	if (!names)
		return NULL;
	if (names->pid > 0) {
		kill(names->pid, SIGKILL);
		while (waitpid(names->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (names->fd >= 0)
		close(names->fd);
	for (uint32_t i = 0; i <= NAMER_DOMID_MAX; i++)
		free(names->list[i]);
	free(names);
	return NULL;
}

int names_ask(struct names **out, const struct options *options, uint32_t only, bool follow,
	      const struct report *report)
{
	int r = names_new(out, options, only, follow, report);

	if (r)
		return r;
	r = names_settle(*out, NAMES_WAIT_MS);
	/* They may come yet. */
	if (!r || (follow && r == -ETIMEDOUT))
		return 0;
	*out = names_free(*out);
	return r == -ENOMEM ? report_fail(report, r, "%s", report_reason(r)) : 0;
}
