// SPDX-License-Identifier: MIT
/*
 * namer - see namer.h.
 */
#include "ctl/namer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

#define DOMAINS	 "/local/domain"
#define COMES	 "@introduceDomain"
#define GOES	 "@releaseDomain"
#define PATH_LEN sizeof(DOMAINS "/4294967295/name")

struct namer {
	struct xs_handle *xs;
	int fd;
	bool follow;
	uint8_t known[NAMER_DOMID_MAX + 1];
};

/* Whoever reads may be gone: then so are we. */
static void say(const struct namer *namer, const struct namer_record *record)
{
	if (write(namer->fd, record, namer_size(record)) != (ssize_t)namer_size(record))
		_exit(1);
}

static void say_name(const struct namer *namer, uint32_t domid, const char *name, size_t len)
{
	struct namer_record record = { .domid = domid };

	record.len = (uint32_t)(len < NAMER_NAME_MAX ? len : NAMER_NAME_MAX);
	if (record.len)
		memcpy(record.name, name, record.len);
	say(namer, &record);
}

static void say_failed(const struct namer *namer, int err)
{
	const struct namer_record record = { .domid = NAMER_FAILED, .len = (uint32_t)err };

	say(namer, &record);
}

static bool parse_domid(const char *text, uint32_t *domid)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*domid = (uint32_t)n;
	return *text >= '0' && *text <= '9' && n <= NAMER_DOMID_MAX && (!*end || *end == '/');
}

static void name_path(char path[PATH_LEN], uint32_t domid)
{
	snprintf(path, PATH_LEN, DOMAINS "/%u/name", domid);
}

/* Return: whether xenstored has answered. */
static bool tell(struct namer *namer, uint32_t domid)
{
	char path[PATH_LEN];
	unsigned int len = 0;
	char *name;

	name_path(path, domid);
	name = xs_read(namer->xs, XBT_NULL, path, &len);
	if (!name && errno != ENOENT && errno != EACCES)
		return false;
	/* Where there is none @len is that of the error's name. */
	say_name(namer, domid, name, name ? len : 0);
	free(name);
	return true;
}

/* One that was not there. Before it is read, so that nothing is missed between. */
static bool meet(struct namer *namer, uint32_t domid)
{
	char path[PATH_LEN];

	name_path(path, domid);
	if (namer->follow && !xs_watch(namer->xs, path, ""))
		return false;
	namer->known[domid] = 1;
	return tell(namer, domid);
}

static bool part(struct namer *namer, uint32_t domid)
{
	char path[PATH_LEN];

	namer->known[domid] = 0;
	name_path(path, domid);
	say_name(namer, domid, NULL, 0);
	return xs_unwatch(namer->xs, path, "");
}

/* Those that came, and those that went. */
static bool look(struct namer *namer)
{
	static uint8_t there[NAMER_DOMID_MAX + 1];
	unsigned int nr;
	char **list = xs_directory(namer->xs, XBT_NULL, DOMAINS, &nr);
	bool good = list || errno == ENOENT;
	uint32_t domid;

	memset(there, 0, sizeof(there));
	for (unsigned int i = 0; list && good && i < nr; i++) {
		if (!parse_domid(list[i], &domid))
			continue;
		there[domid] = 1;
		if (!namer->known[domid])
			good = meet(namer, domid);
	}
	free(list);
	for (domid = 0; good && domid <= NAMER_DOMID_MAX; domid++)
		if (namer->known[domid] && !there[domid])
			good = part(namer, domid);
	return good;
}

static bool take_event(struct namer *namer)
{
	unsigned int nr;
	char **event = xs_read_watch(namer->xs, &nr);
	const char *path = event ? event[XS_WATCH_PATH] : NULL;
	uint32_t domid;
	bool good = event;

	if (good && *path == '@')
		good = look(namer);
	else if (good && !strncmp(path, DOMAINS "/", sizeof(DOMAINS)) &&
		 parse_domid(path + sizeof(DOMAINS), &domid) && namer->known[domid])
		good = tell(namer, domid);
	free(event);
	return good;
}

static bool begin(struct namer *namer, uint32_t only)
{
	const struct namer_record all = { .domid = NAMER_ALL };

	if (only == NAMER_ALL && namer->follow &&
	    (!xs_watch(namer->xs, COMES, "") || !xs_watch(namer->xs, GOES, "")))
		return false;
	if (only == NAMER_ALL ? !look(namer) : !meet(namer, only))
		return false;
	say(namer, &all);
	return true;
}

void namer_run(int fd, uint32_t only, bool follow)
{
	static struct namer namer;

	namer.fd = fd;
	namer.follow = follow;
	namer.xs = xs_open(0);
	if (!namer.xs || !begin(&namer, only)) {
		say_failed(&namer, errno);
		return;
	}
	if (!follow)
		return;
	while (take_event(&namer))
		;
	say_failed(&namer, errno);
}
