// SPDX-License-Identifier: MIT
/*
 * load - closed-loop requests of a guest's user space, over its kernel's xenbus.
 *
 * Waits for jobs, for ever. A job is the value of data/load: "OPERATION PROCESSES SECONDS NUMBER",
 * that many processes each have one request under way for that long. The kernel sends what several
 * of them ask one after the other, without waiting for answers. (One process cannot: the kernel
 * keeps a single buffer for what is written to an open file of xenbus.)
 *
 * NUMBER is written to data/ready when they are; they start when it is in data/go, so that guests
 * start together; then it is written to data/done, and a line of JSON is printed.
 */
#include "tests/xen/load.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/clock.h"
#include "tests/bench/times.h"
#include "tests/xen/wire.h"

#define LOAD	      "data/load"
#define READY	      "data/ready"
#define GO	      "data/go"
#define DONE	      "data/done"
#define WRITTEN	      "data/written"
#define PROCESSES_MAX 32

struct operation {
	const char *name;
	enum type type; /* TRANSACTION_START: a whole one */
	int count;
	char *words[2];
};

struct job {
	char operation[16], number[16];
	int processes;
	double seconds;
};

static const struct operation operations[] = {
	{ "read", XS_READ, 1, { "data/small" } },
	{ "write", XS_WRITE, 2, { WRITTEN, "value" } },
	{ "directory", XS_DIRECTORY, 1, { "data/many" } },
	{ "read4000", XS_READ, 1, { "data/large" } },
	{ "transaction", XS_TRANSACTION_START, 0, { 0 } },
};

/* Interrupts of xenbus that the guest has had: the line is "<irq>: <count> ... xenbus". */
static uint64_t wakeups(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	unsigned long long count = 0;
	char line[256];

	if (!file)
		fail("/proc/interrupts");
	while (fgets(line, sizeof(line), file))
		if (strstr(line, "xenbus"))
			sscanf(line, "%*[^:]: %llu", &count);
	fclose(file);
	return count;
}

/* Start, read, write, end; EAGAIN at the end is an answer too. */
static void transaction(int fd, struct message *msg)
{
	char *node = "data/small";
	uint32_t tx_id = start(fd, msg);

	must(ask(fd, msg, XS_READ, tx_id, 1, &node), node, msg);
	put(fd, msg, tx_id, WRITTEN, "v");
	if (!commit(fd, msg, tx_id))
		must(!strcmp(msg->payload, "EAGAIN"), "TRANSACTION_END", msg);
}

static void requests(int fd, const struct operation *op, uint64_t duration, struct times *times)
{
	struct message msg;
	uint64_t now = clock_monotonic(), end = now + duration, sent;

	while ((sent = now) < end) {
		if (op->type == XS_TRANSACTION_START)
			transaction(fd, &msg);
		else
			must(ask(fd, &msg, op->type, 0, op->count, op->words), op->name, &msg);
		now = clock_monotonic();
		times_add(times, now - sent);
	}
}

/* A child: waits until all others of the pipe's writers are gone. */
static _Noreturn void process(int pipe[2], const struct operation *op, uint64_t duration,
			      struct times *times)
{
	int fd = open_xenbus();
	char nothing;

	close(pipe[1]);
	if (read(pipe[0], &nothing, 1) != 0)
		fail("read");
	requests(fd, op, duration, times);
	exit(0);
}

static bool ended_well(int processes)
{
	bool well = true;
	int status;

	while (processes--)
		well = wait(&status) >= 0 && !status && well;
	return well;
}

static void report(const struct times *times, const struct job *job, double seconds, uint64_t woken)
{
	struct times sum = { 0 };
	const char *separator = "";

	for (int i = 0; i < job->processes; i++)
		times_merge(&sum, &times[i]);
	printf("{\"number\": %s, \"requests\": %llu, \"seconds\": %.6f, \"wakeups\": %llu, "
	       "\"times\": [",
	       job->number, (unsigned long long)sum.count, seconds, (unsigned long long)woken);
	for (int b = 0; b < BUCKETS; b++) {
		if (!sum.histogram[b])
			continue;
		printf("%s[%.2f, %llu]", separator, bucket_us(b),
		       (unsigned long long)sum.histogram[b]);
		separator = ", ";
	}
	puts("]}");
	fflush(stdout);
}

static const struct operation *find_operation(const char *name)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	fprintf(stderr, "xs: no operation %s\n", name);
	exit(1);
}

/* Return: the end of the pipe by which they are let go. */
static int start_processes(const struct job *job, struct times *times)
{
	const struct operation *op = find_operation(job->operation);
	int go[2];

	if (pipe(go))
		fail("pipe");
	for (int i = 0; i < job->processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (!pid)
			process(go, op, (uint64_t)(job->seconds * 1e9), &times[i]);
	}
	close(go[0]);
	return go[1];
}

static void run(int fd, struct job *job, struct times *times)
{
	uint64_t before, started, ended;
	struct message msg;
	int go;

	memset(times, 0, sizeof(*times) * (size_t)job->processes);
	go = start_processes(job, times);
	put(fd, &msg, 0, READY, job->number);
	while (!reads(fd, &msg, 0, GO, job->number))
		receive(fd, &msg);
	before = wakeups();
	started = clock_monotonic();
	close(go);
	if (!ended_well(job->processes))
		exit(1);
	ended = clock_monotonic();
	before = wakeups() - before;
	put(fd, &msg, 0, DONE, job->number);
	report(times, job, (double)(ended - started) / 1e9, before);
}

static bool parse(const char *text, struct job *job)
{
	return sscanf(text, "%15s %d %lf %15s", job->operation, &job->processes, &job->seconds,
		      job->number) == 4 &&
	       job->processes > 0 && job->processes <= PROCESSES_MAX;
}

int load(void)
{
	struct times *times = mmap(NULL, sizeof(*times) * PROCESSES_MAX, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char last[PAYLOAD_MAX + 1] = "";
	int fd = open_xenbus();
	struct message msg;
	struct job job;

	if (times == MAP_FAILED)
		fail("mmap");
	put(fd, &msg, 0, GO, "");
	put(fd, &msg, 0, LOAD, "");
	watch(fd, &msg, GO);
	watch(fd, &msg, LOAD);
	for (;;) {
		while (reads(fd, &msg, 0, LOAD, last))
			receive(fd, &msg);
		strcpy(last, msg.payload);
		if (!parse(last, &job)) {
			fprintf(stderr, "xs: no job: %s\n", last);
			return 1;
		}
		run(fd, &job, times);
	}
}
