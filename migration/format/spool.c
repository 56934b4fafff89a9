// SPDX-License-Identifier: MIT
/*
 * spool - see spool.h.
 */
#include "migration/format/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPOOL_CHUNK 65536

struct spool {
	FILE *file;
	uint64_t size;
	uint64_t pos;
	bool cut;
	char *line;
	size_t line_size;
};

static int spool_put(struct spool *spool, const uint8_t *data, size_t len)
{
	if (fwrite(data, 1, len, spool->file) != len)
		return -errno;
	spool->size += len;
	return 0;
}

static int spool_fill(struct spool *spool, int fd, uint64_t max)
{
	uint8_t chunk[SPOOL_CHUNK];

	while (!spool->cut) {
		ssize_t got = read(fd, chunk, sizeof(chunk));
		uint64_t room = max - spool->size;
		int r;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		spool->cut = (uint64_t)got > room;
		r = spool_put(spool, chunk, spool->cut ? room : (uint64_t)got);
		if (r)
			return r;
	}
	return 0;
}

int spool_rewind(struct spool *spool)
{
	if (fseeko(spool->file, 0, SEEK_SET))
		return -errno;
	spool->pos = 0;
	return 0;
}

int spool_get(struct spool *spool, void *data, size_t len)
{
	if (fread(data, 1, len, spool->file) != len)
		return ferror(spool->file) ? -errno : -EIO;
	spool->pos += len;
	return 0;
}

int spool_line(struct spool *spool, char **line, size_t *len)
{
	ssize_t got = 0;

	errno = 0;
	if (spool_left(spool))
		got = getline(&spool->line, &spool->line_size, spool->file);
	if (got < 0)
		return errno ? -errno : -EIO;
	spool->pos += (uint64_t)got;
	*line = spool->line;
	*len = (size_t)got;
	return 0;
}

int spool_skip(struct spool *spool, uint64_t len)
{
	if (len && fseeko(spool->file, (off_t)len, SEEK_CUR))
		return -errno;
	spool->pos += len;
	return 0;
}

uint64_t spool_pos(const struct spool *spool)
{
	return spool->pos;
}

uint64_t spool_left(const struct spool *spool)
{
	return spool->size - spool->pos;
}

bool spool_cut(const struct spool *spool)
{
	return spool->cut;
}

int spool_fd(const struct spool *spool)
{
	return fileno(spool->file);
}

void spool_free(struct spool *spool)
{
	if (!spool)
		return;
	if (spool->file)
		fclose(spool->file);
	free(spool->line);
	free(spool);
}

static void spool_freep(struct spool **spool)
{
	spool_free(*spool);
}

/* Whether it is memory that nobody can change any more. */
static bool is_sealed(int fd)
{
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & all) == all;
}

static int spool_copy(struct spool *spool, int fd, uint64_t max)
{
	spool->file = tmpfile();
	if (!spool->file)
		return -errno;
	/* tiny records make tiny reads; a smaller buffer is no error */
	setvbuf(spool->file, NULL, _IOFBF, SPOOL_CHUNK);
	return spool_fill(spool, fd, max);
}

static int spool_adopt(struct spool *spool, int fd, uint64_t max)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct stat st;

	if (own < 0)
		return -errno;
	spool->file = fdopen(own, "r");
	if (!spool->file) {
		close(own);
		return -ENOMEM;
	}
	if (fstat(own, &st))
		return -errno;
	setvbuf(spool->file, NULL, _IOFBF, SPOOL_CHUNK);
	spool->cut = (uint64_t)st.st_size > max;
	spool->size = spool->cut ? max : (uint64_t)st.st_size;
	return 0;
}

int spool_new(struct spool **out, int fd, uint64_t max)
{
	__attribute__((cleanup(spool_freep))) struct spool *spool = calloc(1, sizeof(*spool));
	int r;

	if (!spool)
		return -ENOMEM;
	r = is_sealed(fd) ? spool_adopt(spool, fd, max) : spool_copy(spool, fd, max);
	if (!r)
		r = spool_rewind(spool);
	if (r)
		return r;
	*out = spool;
	spool = NULL;
	return 0;
}
