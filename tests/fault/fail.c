// SPDX-License-Identifier: MIT
/*
 * fail - makes one allocation of a program fail, whichever its test wants.
 *
 * Linked into build/xsproxyd-failing and build/xsproxyctl-failing only (-Wl,--wrap, fault.mk). What
 * these programs, libevent and jansson ask for is counted in the file that XSPROXY_FAIL names,
 * which tests/e2e/failing.py maps too: number @at (and as many after it as @more says) fails with
 * ENOMEM, and @site tells where.
 */
#include <errno.h>
#include <event2/event.h>
#include <execinfo.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define SITES 8

struct plan {
	uint64_t count;	      /* of allocations */
	uint64_t at;	      /* which one fails, from 1 on; 0: none */
	uint64_t more;	      /* how many after it do, too */
	uint64_t failed;      /* how many have */
	uint64_t site[SITES]; /* who asked for the first one of these, and who called that */
};

extern char __executable_start, etext;
static struct plan nothing, *plan = &nothing;

/* The program's own functions on the stack, as offsets into the program. */
static void note_site(void)
{
	void *frame[32];
	int n = backtrace(frame, 32), sites = 0;

	/* The first two are ours. */
	for (int i = 2; i < n && sites < SITES; i++) {
		if ((char *)frame[i] > &__executable_start && (char *)frame[i] < &etext)
			plan->site[sites++] = (uint64_t)((char *)frame[i] - &__executable_start);
	}
}

static bool fails(void)
{
	uint64_t n = ++plan->count;

	if (!plan->at || n < plan->at || n > plan->at + plan->more)
		return false;
	if (!plan->failed++)
		note_site();
	errno = ENOMEM;
	return true;
}

/* In place of a function: its value on failure, or what it does. */
#define WRAP(type, name, failure, params, args)                  \
	type __real_##name params;                               \
	type __wrap_##name params;                               \
	type __wrap_##name params                                \
	{                                                        \
		return fails() ? (failure) : __real_##name args; \
	}

WRAP(void *, malloc, NULL, (size_t size), (size))
WRAP(void *, calloc, NULL, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, NULL, (void *old, size_t size), (old, size))
WRAP(void *, reallocarray, NULL, (void *old, size_t n, size_t size), (old, n, size))
WRAP(char *, strdup, NULL, (const char *text), (text))
WRAP(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
WRAP(FILE *, fdopen, NULL, (int fd, const char *mode), (fd, mode))
WRAP(FILE *, open_memstream, NULL, (char **octets, size_t *len), (octets, len))
WRAP(FILE *, fopencookie, NULL, (void *cookie, const char *mode, cookie_io_functions_t functions),
     (cookie, mode, functions))
WRAP(ssize_t, getline, -1, (char **line, size_t *size, FILE *file), (line, size, file))
WRAP(void *, mmap, MAP_FAILED, (void *at, size_t len, int prot, int flags, int fd, off_t off),
     (at, len, prot, flags, fd, off))
WRAP(int, fallocate, -1, (int fd, int mode, off_t off, off_t len), (fd, mode, off, len))
WRAP(xengnttab_handle *, xengnttab_open, NULL, (struct xentoollog_logger * log, unsigned int flags),
     (log, flags))
WRAP(void *, xengnttab_map_grant_ref, NULL,
     (xengnttab_handle * handle, uint32_t domid, uint32_t ref, int prot),
     (handle, domid, ref, prot))
WRAP(xenevtchn_handle *, xenevtchn_open, NULL, (struct xentoollog_logger * log, unsigned int flags),
     (log, flags))
WRAP(xenevtchn_port_or_error_t, xenevtchn_bind_interdomain, -1,
     (xenevtchn_handle * handle, uint32_t domid, evtchn_port_t port), (handle, domid, port))

int __wrap_asprintf(char **text, const char *fmt, ...);

int __wrap_asprintf(char **text, const char *fmt, ...)
{
	va_list args;
	int n;

	if (fails())
		return -1;
	va_start(args, fmt);
	n = vasprintf(text, fmt, args);
	va_end(args);
	return n;
}

/* What the libraries allocate with. */
static void *library_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

static void *library_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

static void __attribute__((constructor)) begin(void)
{
	const char *path = getenv("XSPROXY_FAIL");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = __real_mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		abort();
	plan = map;
	event_set_mem_functions(library_malloc, library_realloc, free);
	json_set_alloc_funcs(library_malloc, free);
}
