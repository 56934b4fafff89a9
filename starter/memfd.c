// SPDX-License-Identifier: MIT
/*
 * memfd - see memfd.h.
 */
#include "starter/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536

static int write_all(int fd, const char *octets, size_t len)
{
	while (len) {
		ssize_t put = write(fd, octets, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		octets += put;
		len -= (size_t)put;
	}
	return 0;
}

/* Return: octets, 0 at the end, or a negative errno. */
static ssize_t read_at(int fd, char *octets, size_t len, off_t at)
{
	ssize_t got;

	do {
		got = pread(fd, octets, len, at);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static int copy_all(int from, int to)
{
	char chunk[CHUNK];
	off_t at = 0;

	for (;;) {
		ssize_t got = read_at(from, chunk, sizeof(chunk), at);
		int r = got > 0 ? write_all(to, chunk, (size_t)got) : (int)got;

		if (r || !got)
			return r;
		at += got;
	}
}

int memfd_seal(int memfd)
{
	return fcntl(memfd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
		       ? -errno
		       : 0;
}

int memfd_copy(int fd)
{
	int memfd = memfd_create("xenstored-state", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (memfd < 0)
		return -errno;
	r = copy_all(fd, memfd);
	if (!r)
		r = memfd_seal(memfd);
	if (!r)
		return memfd;
	close(memfd);
	return r;
}

int memfd_file(FILE **out)
{
	int memfd = memfd_create("connections", MFD_CLOEXEC | MFD_ALLOW_SEALING), dup, r;

	if (memfd < 0)
		return -errno;
	dup = fcntl(memfd, F_DUPFD_CLOEXEC, 0);
	*out = dup < 0 ? NULL : fdopen(dup, "w");
	if (*out)
		return memfd;
	r = -errno;
	if (dup >= 0)
		close(dup);
	close(memfd);
	return r;
}

bool memfd_is(int memfd, int fd)
{
	char a[CHUNK], b[CHUNK];
	ssize_t got;
	off_t at = 0;

	do {
		got = read_at(memfd, a, sizeof(a), at);
		if (got < 0 || read_at(fd, b, sizeof(b), at) != got || memcmp(a, b, (size_t)got))
			return false;
		at += got;
	} while (got);
	return true;
}

int memfd_put(int memfd, int fd)
{
	return copy_all(memfd, fd);
}

int memfd_text(const char *text)
{
	int memfd = memfd_create("reason", MFD_CLOEXEC), r;

	if (memfd < 0)
		return -errno;
	r = write_all(memfd, text, strlen(text));
	if (!r)
		return memfd;
	close(memfd);
	return r;
}

static int read_all(int fd, char *octets, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t got = read_at(fd, octets + at, len - at, (off_t)at);

		if (got <= 0)
			return got ? (int)got : -EIO;
		at += (size_t)got;
	}
	return 0;
}

int memfd_octets(uint8_t **out, size_t *len, int fd, size_t max)
{
	struct stat st;
	uint8_t *octets;
	int r;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size < 0 || (size_t)st.st_size > max)
		return -EFBIG;
	octets = malloc((size_t)st.st_size + 1);
	if (!octets)
		return -ENOMEM;
	r = read_all(fd, (char *)octets, (size_t)st.st_size);
	if (r) {
		free(octets);
		return r;
	}
	octets[st.st_size] = '\0';
	*out = octets;
	*len = (size_t)st.st_size;
	return 0;
}

int memfd_string(char **out, int fd, size_t max)
{
	uint8_t *octets = NULL;
	size_t len;
	int r = memfd_octets(&octets, &len, fd, max);

	if (!octets)
		return r;
	if (strlen((char *)octets) != len) {
		free(octets);
		return -EBADMSG;
	}
	*out = (char *)octets;
	return 0;
}
