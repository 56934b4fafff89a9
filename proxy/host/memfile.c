// SPDX-License-Identifier: MIT
#include "proxy/host/memfile.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* Another descriptor of it is closed with the file. Return: 0 or a negative errno. */
static int write_all(int fd, int (*write)(FILE *out, void *arg), void *arg)
{
	int copy = dup(fd), err;
	FILE *file = copy < 0 ? NULL : fdopen(copy, "w");

	if (!file) {
		if (copy >= 0)
			close(copy);
		return -ENOMEM;
	}
	err = write(file, arg);
	if (!err && ferror(file))
		err = -ENOSPC;
	if (fclose(file) && !err)
		err = -ENOSPC;
	return err;
}

int memfile_make(const char *name, int (*write)(FILE *out, void *arg), void *arg)
{
	int fd = memfd_create(name, MFD_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, write, arg);
	if (!err && lseek(fd, 0, SEEK_SET))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}
