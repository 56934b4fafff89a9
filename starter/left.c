// SPDX-License-Identifier: MIT
/*
 * left - see left.h.
 */
#include "starter/left.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "migration/format/state_stream.h"
#include "starter/memfd.h"

#define RUN_DIR	   "/run/xenstored"
#define PAGE	   4096 /* octets: what is written of a file before a signal is looked at */
#define NEW_SUFFIX ".new"

/* How each daemon's begins, and how oxenstored's of no use goes on. */
#define C_BEGINS   "xenstore"
#define OX_BEGINS  "$xenstored-dump-format\n"
#define OX_ROTATED OX_BEGINS "global,-1\n"

static const enum rings_flavour flavours[] = { RINGS_FLAVOUR_C, RINGS_FLAVOUR_OCAML };

struct left_gift {
	char name[PATH_MAX];
	char new_name[PATH_MAX];
	FILE *file;
	bool put;
};

/* --- where they are */

static const char *environment(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

static void make_name(char name[PATH_MAX], enum rings_flavour flavour, const char *suffix)
{
	const char *dir = environment("XSPROXY_STORED_DIR", RUN_DIR);

	if (flavour == RINGS_FLAVOUR_C)
		snprintf(name, PATH_MAX, "%s/state_dump%s", environment("XENSTORED_RUNDIR", dir),
			 suffix);
	else
		snprintf(name, PATH_MAX, "%s/db%s", dir, suffix);
}

/* --- what was left */

/* Return: whether the file begins so. */
static bool begins(int fd, const char *with)
{
	char octets[sizeof(OX_ROTATED)];
	size_t len = strlen(with);

	return pread(fd, octets, len, 0) == (ssize_t)len && !memcmp(octets, with, len);
}

static bool is_dump(int fd, enum rings_flavour flavour)
{
	return begins(fd, flavour == RINGS_FLAVOUR_C ? C_BEGINS : OX_BEGINS);
}

static bool is_given(const struct stat *st)
{
	return !st->st_mtim.tv_sec && !st->st_mtim.tv_nsec;
}

/* Return: a descriptor of what a daemon of that kind has left, or a negative errno. */
static int open_left(enum rings_flavour flavour, struct stat *st)
{
	char name[PATH_MAX];
	int fd;

	make_name(name, flavour, "");
	fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, st) && S_ISREG(st->st_mode) && st->st_uid == geteuid() && !is_given(st) &&
	    is_dump(fd, flavour) && !begins(fd, OX_ROTATED))
		return fd;
	close(fd);
	return -ENOENT;
}

static bool is_newer(const struct stat *a, const struct stat *b)
{
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
	return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

/* Return: a descriptor of the newest, with @newest, or -ENOENT. */
static int open_newest(struct stat *newest)
{
	int fd = -ENOENT;

	for (size_t i = 0; i < sizeof(flavours) / sizeof(flavours[0]); i++) {
		struct stat st = { 0 };
		int other = open_left(flavours[i], &st);

		if (other < 0)
			continue;
		if (fd >= 0 && !is_newer(&st, newest)) {
			close(other);
			continue;
		}
		if (fd >= 0)
			close(fd);
		fd = other;
		*newest = st;
	}
	return fd;
}

static int check_end(int memfd, struct reason *reason)
{
	off_t size = lseek(memfd, 0, SEEK_END);
	char last = '\0';

	if (size < 0)
		return -errno;
	if (!begins(memfd, OX_BEGINS))
		return 0;
	if (pread(memfd, &last, 1, size - 1) != 1 || last != '\n' || !(size % PAGE))
		return reason_set(reason, -EBADMSG,
				  "the state that oxenstored has left may be cut off");
	return 0;
}

static int check_all(int memfd, struct reason *reason)
{
	struct state_reader *reader = NULL;
	struct record_fault fault;
	int r = check_end(memfd, reason);

	if (r)
		return r;
	r = state_reader_open(&reader, memfd, LIBXL_STREAM_MAX, &fault);
	if (r == -EBADMSG)
		reason_set(reason, r, "the state that was left: record %" PRIu64 ": %s",
			   fault.record, fault.reason);
	state_reader_free(reader);
	return r;
}

static uint32_t age_of(const struct stat *st)
{
	time_t now = time(NULL);

	return now > st->st_mtim.tv_sec ? (uint32_t)(now - st->st_mtim.tv_sec) : 0;
}

/* @fd: of open_left(), or what that failed with; closed. Return: a memfd or a negative errno. */
static int copy(int fd, struct reason *reason)
{
	int memfd;

	if (fd < 0)
		return reason_set(reason, fd, "no xenstored has left a state");
	memfd = memfd_copy(fd);
	close(fd);
	return memfd < 0 ? reason_set(reason, memfd, "cannot read the state: %s", strerror(-memfd))
			 : memfd;
}

int left_take(bool ended, uint32_t *age, struct reason *reason)
{
	struct stat st = { 0 };
	int memfd = copy(open_newest(&st), reason), r;

	if (memfd < 0)
		return memfd;
	*reason->text = '\0';
	r = ended ? check_all(memfd, reason) : 0;
	if (r) {
		close(memfd);
		return *reason->text ? r : reason_set(reason, r, "the state: %s", strerror(-r));
	}
	*age = age_of(&st);
	return memfd;
}

/* --- what goes back */

int left_hold(struct left_held *held, enum rings_flavour flavour, struct reason *reason)
{
	struct stat st = { 0 };
	int memfd = copy(open_left(flavour, &st), reason);

	if (memfd < 0)
		return memfd;
	*held = (struct left_held){ .memfd = memfd,
				    .age = age_of(&st),
				    .mode = st.st_mode & ALLPERMS,
				    .written = st.st_mtim };
	make_name(held->name, flavour, "");
	return 0;
}

static bool is_there(const struct left_held *held)
{
	int fd = open(held->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool is = fd >= 0 && memfd_is(held->memfd, fd);

	if (fd >= 0)
		close(fd);
	return is;
}

/* Return: 0 or a negative errno. */
static int write_back(const struct left_held *held, const char *new_name)
{
	const struct timespec times[] = { held->written, held->written };
	int fd, r;

	unlink(new_name);
	fd = open(new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = memfd_put(held->memfd, fd);
	if (!r && (fchmod(fd, held->mode) || futimens(fd, times) || rename(new_name, held->name)))
		r = -errno;
	close(fd);
	if (r)
		unlink(new_name);
	return r;
}

int left_put_back(const struct left_held *held, struct reason *reason)
{
	char new_name[PATH_MAX + sizeof(NEW_SUFFIX)];
	int r;

	if (is_there(held))
		return 0;
	snprintf(new_name, sizeof(new_name), "%s" NEW_SUFFIX, held->name);
	r = write_back(held, new_name);
	return r ? reason_set(reason, r, "cannot put %s back: %s", held->name, strerror(-r)) : 0;
}

/* --- what is there no more */

static void remove_dump(enum rings_flavour flavour, const char *suffix)
{
	char name[PATH_MAX];
	bool dump;
	int fd;

	make_name(name, flavour, suffix);
	fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	dump = is_dump(fd, flavour);
	close(fd);
	if (dump)
		unlink(name);
}

void left_clear(void)
{
	for (size_t i = 0; i < sizeof(flavours) / sizeof(flavours[0]); i++) {
		remove_dump(flavours[i], "");
		remove_dump(flavours[i], NEW_SUFFIX);
	}
}

/* --- what is given */

static int make_dir(const char *name)
{
	char dir[PATH_MAX];
	char *slash;

	strcpy(dir, name);
	slash = strrchr(dir, '/');
	*slash = '\0';
	return mkdir(dir, 0755) && errno != EEXIST ? -errno : 0;
}

static int open_gift(struct left_gift *gift)
{
	int fd, r = make_dir(gift->name);

	if (r)
		return r;
	unlink(gift->new_name);
	fd = open(gift->new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	gift->file = fdopen(fd, "w");
	if (gift->file)
		return 0;
	close(fd);
	unlink(gift->new_name);
	return -ENOMEM;
}

int left_gift_new(struct left_gift **out, enum rings_flavour flavour, struct reason *reason)
{
	struct left_gift *gift = calloc(1, sizeof(*gift));
	int r;

	if (!gift)
		return reason_set(reason, -ENOMEM, "%s", strerror(ENOMEM));
	make_name(gift->name, flavour, "");
	make_name(gift->new_name, flavour, NEW_SUFFIX);
	r = open_gift(gift);
	if (r) {
		reason_set(reason, r, "cannot write %s: %s", gift->new_name, strerror(-r));
		free(gift);
		return r;
	}
	*out = gift;
	return 0;
}

FILE *left_gift_file(const struct left_gift *gift)
{
	return gift->file;
}

int left_gift_put(struct left_gift *gift, struct reason *reason)
{
	const struct timespec never[] = { { 0, 0 }, { 0, 0 } };

	if (fflush(gift->file) || futimens(fileno(gift->file), never) ||
	    rename(gift->new_name, gift->name))
		return reason_set(reason, -errno, "cannot write %s: %s", gift->name,
				  strerror(errno));
	gift->put = true;
	return 0;
}

void left_gift_free(struct left_gift *gift)
{
	if (!gift)
		return;
	fclose(gift->file);
	unlink(gift->put ? gift->name : gift->new_name);
	free(gift);
}
