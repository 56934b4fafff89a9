// SPDX-License-Identifier: MIT
/*
 * dump - see dump.h.
 */
#include "ctl/dump.h"

#include "link/link.h"
#include "link/start.h"
#include "migration/format/state_stream.h"
#include "migration/reading.h"
#include "migration/wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* xsproxyd's EXCHANGE_READS */
#define READS	  "the store is to be read, for this xenstored does not write it down"
#define ANSWER_MS 10000

/* --- reading */

/* What the daemon keeps of them counts for nobody, and no dump can say it. */
static void leave_out_odd(struct record_node *node)
{
	struct record_perm *perms = (struct record_perm *)node->perms;
	size_t nr = 0;

	for (size_t i = 0; i < node->nr_perms; i++)
		if (!(perms[i].pad & STATE_PERM_ODD))
			perms[nr++] = perms[i];
	node->nr_perms = nr;
}

static int write_node(void *arg, struct state_item *item, unsigned int missing)
{
	struct state_writer *writer = arg;

	/* Nothing may get lost that is there, and whoever waits goes on as before. */
	if (missing)
		return -EMSGSIZE;
	leave_out_odd(&item->node.node);
	return state_writer_append(writer, item, NULL);
}

static int write_all(const struct dump *dump, struct wire *wire, FILE *file)
{
	struct state_writer *writer = NULL;
	int r = state_writer_new(&writer, file, STATE_OX);

	if (r)
		return report_fail(dump->report, r, "cannot write the state: %s", report_reason(r));
	r = reading_run(wire, true, NULL, dump->report, write_node, writer);
	if (!r) {
		r = state_writer_finish(writer);
		if (r)
			report_fail(dump->report, r, "cannot write the state: %s",
				    report_reason(r));
	}
	state_writer_free(writer);
	return r;
}

/* Xenstored's own, beside xsproxyd's. Return: 0, or a negative errno, which has been reported. */
static int connect_to_xenstored(const struct dump *dump, const char *dir, struct wire **wire)
{
	char path[PATH_MAX + sizeof(LINK_UPSTREAM) + 1];
	int r;

	snprintf(path, sizeof(path), "%s/%s", dir, LINK_UPSTREAM);
	r = wire_open(wire, path);
	if (r)
		return report_no_connection(dump->report, r, path);
	wire_set_patience(*wire, NULL, ANSWER_MS);
	return 0;
}

/* Return: 0, or a negative errno, which has been reported. */
static int make_state(const struct dump *dump, const char *dir, FILE *file)
{
	struct wire *wire = NULL;
	int r = connect_to_xenstored(dump, dir, &wire);

	if (!r)
		r = write_all(dump, wire, file);
	wire_free(wire);
	return r;
}

/* --- handing over */

/* Return: 0, or a negative errno. */
static int hear(int sock, uint32_t type)
{
	struct pollfd look = { .fd = sock, .events = POLLIN };
	int fds[LINK_FDS_MAX], r;
	struct link_msg msg;

	if (poll(&look, 1, ANSWER_MS) <= 0)
		return -ETIMEDOUT;
	r = link_recv(sock, &msg, fds);
	link_close_fds(fds);
	if (r)
		return r;
	return msg.type == type ? 0 : -ECANCELED;
}

/* What comes of it, and why nothing does, is said over the control socket. */
static int hand_over(int sock, int state)
{
	const struct link_msg come = { .type = START_COME,
				       .value = START_VERSION,
				       .domid = START_READER };
	const struct link_msg msg = { .type = START_STATE };
	int r = link_send(sock, &come, NULL, 0);

	if (!r)
		r = hear(sock, START_WANT);
	if (!r)
		r = link_send(sock, &msg, &state, 1);
	if (!r)
		hear(sock, START_ENOUGH);
	return r == -ECANCELED ? 0 : r;
}

/* Where the control socket is. */
static void find_dir(const struct dump *dump, char dir[PATH_MAX])
{
	char *slash;

	snprintf(dir, PATH_MAX, "%s", dump->options->control);
	slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
}

static int give_state(const struct dump *dump, FILE *file)
{
	char dir[PATH_MAX];
	int sock, r;

	find_dir(dump, dir);
	r = make_state(dump, dir, file);
	if (r)
		return r;
	sock = link_connect(dir, LINK_STARTER);
	r = sock < 0 ? sock : hand_over(sock, fileno(file));
	if (sock >= 0)
		close(sock);
	return r ? report_fail(dump->report, r, "cannot hand over the state: %s", strerror(-r)) : 0;
}

static int give(const struct dump *dump)
{
	int memfd = memfd_create("xsproxy-dump", MFD_CLOEXEC), r;
	FILE *file = memfd < 0 ? NULL : fdopen(memfd, "w");

	if (!file) {
		r = report_fail(dump->report, -errno, "cannot write the state: %s",
				strerror(errno));
		if (memfd >= 0)
			close(memfd);
		return r;
	}
	r = give_state(dump, file);
	fclose(file);
	return r;
}

int dump_at_stage(void *arg, int control, const char *stage)
{
	(void)control;
	return strcmp(stage, READS) ? 0 : give(arg);
}
