// SPDX-License-Identifier: MIT
/*
 * output - see output.h.
 */
#include "migration/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".XXXXXX"

struct output {
	int fd;
	FILE *file;
	const struct interrupt *interrupt;
	char *path; /* NULL: written to directly */
	char *temporary;
	int error; /* the first one of writing, for ever */
};

/*
 * A pipe that is ready takes PIPE_BUF octets without blocking, so all waiting happens where a
 * signal can end it. Files take what there is: images are large. Return: the octets written, or a
 * negative errno.
 */
static ssize_t write_some(const struct output *output, const char *data, size_t len)
{
	struct pollfd pfd = { .fd = output->fd, .events = POLLOUT };
	size_t most = output->temporary ? len : PIPE_BUF;
	int r = interrupt_poll(output->interrupt, &pfd, 1, -1);
	ssize_t n;

	if (r < 0)
		return r;
	n = write(output->fd, data, len < most ? len : most);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n < 0 ? -errno : n;
}

/* For stdio, which takes less than all for a failure, with errno. */
static ssize_t cookie_write(void *cookie, const char *data, size_t len)
{
	struct output *output = cookie;
	size_t done = 0;

	while (!output->error && done < len) {
		ssize_t n = write_some(output, data + done, len - done);

		if (n < 0)
			output->error = (int)n;
		else
			done += (size_t)n;
	}
	if (done < len)
		errno = -output->error;
	return (ssize_t)done;
}

static int open_temporary(struct output *output, const char *path)
{
	output->path = strdup(path);
	if (!output->path || asprintf(&output->temporary, "%s" SUFFIX, path) < 0) {
		output->temporary = NULL;
		return -ENOMEM;
	}
	output->fd = mkostemp(output->temporary, O_CLOEXEC);
	if (output->fd >= 0)
		return 0;
	free(output->temporary);
	output->temporary = NULL;
	return -errno;
}

static int open_fd(struct output *output, const char *path)
{
	struct stat st;

	if (path && (stat(path, &st) || S_ISREG(st.st_mode)))
		return open_temporary(output, path);
	output->fd =
		path ? open(path, O_WRONLY | O_CLOEXEC) : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return output->fd < 0 ? -errno : 0;
}

FILE *output_file(struct output *output)
{
	return output->file;
}

int output_commit(struct output *output)
{
	if (fflush(output->file) && !output->error)
		output->error = -errno;
	if (output->error)
		return output->error;
	if (!output->temporary)
		return 0;
	if (fsync(output->fd) || rename(output->temporary, output->path))
		return -errno;
	free(output->temporary);
	output->temporary = NULL;
	return 0;
}

void output_free(struct output *output)
{
	if (!output)
		return;
	if (output->temporary)
		unlink(output->temporary);
	if (output->file) {
		__fpurge(output->file); /* what a failure left unwritten is of no use */
		fclose(output->file);
	}
	if (output->fd >= 0)
		close(output->fd);
	free(output->temporary);
	free(output->path);
	free(output);
}

static void output_freep(struct output **output)
{
	output_free(*output);
}

static int output_new(struct output **out, const struct interrupt *interrupt)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->fd = -1;
	(*out)->interrupt = interrupt;
	return 0;
}

static int make_file(struct output *output)
{
	output->file = fopencookie(output, "w", (cookie_io_functions_t){ .write = cookie_write });
	return output->file ? 0 : -ENOMEM;
}

int output_open(struct output **out, const char *path, const struct interrupt *interrupt)
{
	__attribute__((cleanup(output_freep))) struct output *output = NULL;
	int r = output_new(&output, interrupt);

	if (!r)
		r = open_fd(output, path);
	if (!r)
		r = make_file(output);
	if (r)
		return r;
	*out = output;
	output = NULL;
	return 0;
}

int output_adopt(struct output **out, int fd, const struct interrupt *interrupt)
{
	__attribute__((cleanup(output_freep))) struct output *output = NULL;
	int r = output_new(&output, interrupt);

	if (r) {
		close(fd);
		return r;
	}
	output->fd = fd;
	r = make_file(output);
	if (r)
		return r;
	*out = output;
	output = NULL;
	return 0;
}
