// SPDX-License-Identifier: MIT
/*
 * device - see device.h.
 */
#include "ctl/device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xenbus.h>
#include <xenstore.h>

struct looking {
	struct xs_handle *xs;
	uint32_t domid;
	int (*fn)(void *arg, const struct device *device);
	void *arg;
};

/* The value of @dir/@name; NULL: there is none, or it cannot be read. */
static char *read_value(struct xs_handle *xs, const char *dir, const char *name)
{
	unsigned int len;
	char *path, *value;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return NULL;
	value = xs_read(xs, XBT_NULL, path, &len);
	free(path);
	return value;
}

static int read_state(struct xs_handle *xs, const char *dir)
{
	char *value = read_value(xs, dir, "state");
	int state = DEVICE_NO_STATE;

	if (value && strlen(value) == 1 && *value >= '0' && *value <= '8')
		state = *value - '0';
	free(value);
	return state;
}

/* What a driver wrote when it failed: xenbus has a tree beside the devices for that. */
static char *read_error(struct xs_handle *xs, uint32_t domid, const char *path)
{
	char *dir, *error;

	if (asprintf(&dir, "/local/domain/%" PRIu32 "/error/%s", domid, path) < 0)
		return NULL;
	error = read_value(xs, dir, "error");
	free(dir);
	return error;
}

/* "/local/domain/0/backend/vif/7/0": the rest behind the home, and whose that is. */
static const char *behind_home(const char *path, uint32_t *domid)
{
	static const char homes[] = "/local/domain/";
	char *end;

	if (strncmp(path, homes, strlen(homes)) != 0)
		return NULL;
	*domid = (uint32_t)strtoul(path + strlen(homes), &end, 10);
	return *end == '/' ? end + 1 : NULL;
}

static void read_backend(struct xs_handle *xs, struct device *device, const char *front)
{
	const char *rest;
	uint32_t domid;
	char *link;

	device->back = read_state(xs, device->backend);
	link = read_value(xs, device->backend, "frontend");
	device->points_back = link && !strcmp(link, front);
	free(link);
	rest = behind_home(device->backend, &domid);
	device->backend_error = rest ? read_error(xs, domid, rest) : NULL;
}

static int look_at(const struct looking *looking, const char *type, const char *id)
{
	struct device device = { .back = DEVICE_NO_STATE };
	struct xs_handle *xs = looking->xs;
	char *front = NULL, *path = NULL;
	int r = -ENOMEM;

	if (asprintf(&device.name, "%s/%s", type, id) < 0)
		device.name = NULL;
	if (asprintf(&path, "device/%s/%s", type, id) < 0)
		path = NULL;
	if (path && asprintf(&front, "/local/domain/%" PRIu32 "/%s", looking->domid, path) < 0)
		front = NULL;
	if (device.name && front) {
		device.front = read_state(xs, front);
		device.backend = read_value(xs, front, "backend");
		device.error = read_error(xs, looking->domid, path);
		if (device.backend)
			read_backend(xs, &device, front);
		r = looking->fn(looking->arg, &device);
	}
	free(device.name);
	free(device.backend);
	free(device.error);
	free(device.backend_error);
	free(front);
	free(path);
	return r;
}

/* Names below @dir, none where it is not. Return: 0 or a negative errno. */
static int list(struct xs_handle *xs, const char *dir, char ***names, unsigned int *nr)
{
	*nr = 0;
	*names = xs_directory(xs, XBT_NULL, dir, nr);
	if (*names)
		return 0;
	*nr = 0;
	return errno == ENOENT || errno == EACCES ? 0 : -errno;
}

static int look_at_type(const struct looking *looking, const char *type)
{
	char **ids = NULL, *dir;
	unsigned int nr;
	int r;

	if (asprintf(&dir, "/local/domain/%" PRIu32 "/device/%s", looking->domid, type) < 0)
		return -ENOMEM;
	r = list(looking->xs, dir, &ids, &nr);
	for (unsigned int i = 0; !r && i < nr; i++)
		r = look_at(looking, type, ids[i]);
	free(ids);
	free(dir);
	return r;
}

int device_each(struct xs_handle *xs, uint32_t domid,
		int (*fn)(void *arg, const struct device *device), void *arg)
{
	const struct looking looking = { xs, domid, fn, arg };
	char **types = NULL, *dir;
	unsigned int nr;
	int r;

	if (asprintf(&dir, "/local/domain/%" PRIu32 "/device", domid) < 0)
		return -ENOMEM;
	r = list(xs, dir, &types, &nr);
	/* No device, but where a balloon or a suspend is asked for. */
	for (unsigned int i = 0; !r && i < nr; i++)
		if (strcmp(types[i], "suspend"))
			r = look_at_type(&looking, types[i]);
	free(types);
	free(dir);
	return r;
}

const char *device_state_name(int state)
{
	static const char *const names[] = {
		[XenbusStateUnknown] = "Unknown",
		[XenbusStateInitialising] = "Initialising",
		[XenbusStateInitWait] = "InitWait",
		[XenbusStateInitialised] = "Initialised",
		[XenbusStateConnected] = "Connected",
		[XenbusStateClosing] = "Closing",
		[XenbusStateClosed] = "Closed",
		[XenbusStateReconfiguring] = "Reconfiguring",
		[XenbusStateReconfigured] = "Reconfigured",
	};

	return state == DEVICE_NO_STATE ? "none" : names[state];
}

const char *device_why(const struct device *device)
{
	int front = device->front, back = device->back;

	if (!device->backend)
		return "it has no backend: the toolstack has not linked one, or the guest has cut "
		       "it off";
	if (back == DEVICE_NO_STATE)
		return "there is no backend: nobody has made it, or it was removed";
	if (!device->points_back)
		return "that backend is another device's: the guest's link is wrong";
	if (device->backend_error)
		return "the backend has failed";
	if (device->error)
		return "the guest's driver has failed";
	if (front == XenbusStateConnected && back == XenbusStateConnected)
		return "connected";
	if (back == XenbusStateClosing || back == XenbusStateClosed)
		return "the backend is closing, or closed: it is being detached";
	if (front == XenbusStateClosing || front == XenbusStateClosed)
		return "the guest's driver has closed it";
	if (back == XenbusStateUnknown || back == XenbusStateInitialising)
		return "it waits for the backend to begin: its driver, or a hotplug script";
	if (front == DEVICE_NO_STATE || front == XenbusStateUnknown ||
	    front == XenbusStateInitialising)
		return "it waits for the guest's driver";
	if (back == XenbusStateInitWait || back == XenbusStateInitialised)
		return "it waits for the backend to connect";
	return "it waits for the guest's driver to connect";
}
