// SPDX-License-Identifier: MIT
#include "proxy/alarm.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct alarm {
	int fd;
	struct event *event;
	bool set;
	void (*fn)(void *arg);
	void *arg;
};

static void expired_cb(evutil_socket_t fd, short what, void *arg)
{
	struct alarm *alarm = arg;
	uint64_t times;

	(void)what;
	/* It was set anew since. */
	if (read(fd, &times, sizeof(times)) < 0)
		return;
	alarm->set = false;
	alarm->fn(alarm->arg);
}

int alarm_new(struct alarm **out, struct event_base *base, void (*fn)(void *arg), void *arg)
{
	struct alarm *alarm = calloc(1, sizeof(*alarm));
	int err;

	if (!alarm)
		return -ENOMEM;
	alarm->fn = fn;
	alarm->arg = arg;
	alarm->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (alarm->fd < 0) {
		err = -errno;
		alarm_free(alarm);
		return err;
	}
	alarm->event = event_new(base, alarm->fd, EV_READ | EV_PERSIST, expired_cb, alarm);
	if (!alarm->event || event_add(alarm->event, NULL)) {
		alarm_free(alarm);
		return -ENOMEM;
	}
	*out = alarm;
	return 0;
}

struct alarm *alarm_free(struct alarm *alarm)
{
	if (!alarm)
		return NULL;
	if (alarm->event)
		event_free(alarm->event);
	if (alarm->fd >= 0)
		close(alarm->fd);
	free(alarm);
	return NULL;
}

void alarm_set(struct alarm *alarm, uint32_t ms)
{
	/* Of no time at all there would be none. */
	const struct itimerspec in = { .it_value = { .tv_sec = ms / 1000,
						     .tv_nsec = ms ? ms % 1000 * 1000000L : 1 } };

	timerfd_settime(alarm->fd, 0, &in, NULL);
	alarm->set = true;
}

bool alarm_is_set(const struct alarm *alarm)
{
	return alarm->set;
}
