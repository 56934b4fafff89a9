/* SPDX-License-Identifier: MIT */
/*
 * namer - reads the names of domains with libxenstore, and says them over a pipe: a program of its
 * own in all but its file.
 *
 * libxenstore waits for an answer as long as it takes, and while xenstored is exchanged, or is
 * gone, that is without end; who shows names must not. So names.c forks, the child calls this, and
 * can be ended at any time.
 */
#ifndef XSPROXY_CTL_NAMER_H
#define XSPROXY_CTL_NAMER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMER_NAME_MAX	256u /* octets; of a longer one these */

#define NAMER_DOMID_MAX 32751u

/* What domid says where it is none. */
#define NAMER_ALL    UINT32_MAX	      /* all there are have been said; len is 0 */
#define NAMER_FAILED (UINT32_MAX - 1) /* there will be no more; len is an errno: why */

/* What it writes, at once, so that it is there as a whole: only as much of it as there is. */
struct namer_record {
	uint32_t domid;
	uint32_t len; /* of the name; 0: it has none, or is gone */
	char name[NAMER_NAME_MAX];
};

/** namer_size() - of a record that is of a name, or of none. */
static inline uint32_t namer_size(const struct namer_record *record)
{
	return (uint32_t)offsetof(struct namer_record, name) +
	       (record->domid < NAMER_FAILED ? record->len : 0);
}

_Static_assert(sizeof(struct namer_record) <= PIPE_BUF, "it is written as a whole");

/**
 * namer_run() - say the names of all domains that there are.
 * @fd: the pipe
 * @only: of this one alone; NAMER_ALL: of all
 * @follow: then what changes, for as long as there is a xenstored
 *
 * Reads where libxenstore does: XENSTORED_PATH, if that is set.
 */
void namer_run(int fd, uint32_t only, bool follow);

#endif
