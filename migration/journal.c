// SPDX-License-Identifier: MIT
/*
 * journal - see journal.h. The file: a header, the octets of vm, entries, an END. An entry is a
 * kind, a size, and a node as migration/format/libxl_record encodes it; WANT follows the HAD of the
 * same node.
 */
#include "migration/journal.h"

#include "migration/format/libxl_record.h"
#include "text/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC	   "xsimport"
#define MAGIC_LEN  (sizeof(MAGIC) - 1)
#define VERSION	   1
#define SIZE_LIMIT ((size_t)1 << 30)

enum entry_kind {
	ENTRY_HAD = 1,
	ENTRY_WANT = 2,
	ENTRY_END = 3,
};

struct header {
	char magic[MAGIC_LEN];
	uint32_t version;
	uint32_t session;
	uint32_t has_vm;
	uint32_t vm_len;
};

struct entry {
	uint32_t kind;
	uint32_t size;
};

struct journal {
	int fd;
	bool pending; /* something to be taken back */
	char path[];
};

/* --- writing */

static int put(FILE *file, const void *data, size_t len)
{
	if (len && fwrite(data, len, 1, file) != 1)
		return errno ? -errno : -EIO;
	return 0;
}

static int put_node(FILE *file, struct buffer *buffer, enum entry_kind kind,
		    const struct plan_node *node, const struct plan_state *state)
{
	struct record rec = { .kind = RECORD_NODE, .node = plan_record(node, state) };
	struct entry entry = { .kind = kind, .size = (uint32_t)libxl_record_size(&rec) };
	int r = buffer_reserve(buffer, entry.size);

	if (!r)
		r = libxl_record_encode(&rec, buffer->data, entry.size, NULL);
	if (!r)
		r = put(file, &entry, sizeof(entry));
	return r ? r : put(file, buffer->data, entry.size);
}

static int put_plan(FILE *file, const struct plan *plan)
{
	struct buffer buffer = { 0 };
	struct plan_node *node, *next;
	int r = 0;

	HASH_ITER(hh, plan->nodes, node, next) {
		if (r || node->action == PLAN_LEAVE)
			continue;
		if (node->had.exists)
			r = put_node(file, &buffer, ENTRY_HAD, node, &node->had);
		if (!r)
			r = put_node(file, &buffer, ENTRY_WANT, node, &node->want);
	}
	free(buffer.data);
	return r;
}

static int put_all(FILE *file, const struct journal_head *head, const struct plan *plan)
{
	struct header header = { .magic = MAGIC,
				 .version = VERSION,
				 .session = head->session,
				 .has_vm = head->vm != NULL,
				 .vm_len = (uint32_t)head->vm_len };
	struct entry end = { .kind = ENTRY_END };
	int r = put(file, &header, sizeof(header));

	if (!r)
		r = put(file, head->vm, head->vm_len);
	if (!r)
		r = put_plan(file, plan);
	if (!r)
		r = put(file, &end, sizeof(end));
	if (!r && fflush(file))
		r = -errno;
	return r;
}

/* A file over the same open file; closing it does not unlock that. */
static FILE *dup_file(const struct journal *journal)
{
	int fd = fcntl(journal->fd, F_DUPFD_CLOEXEC, 0);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file && fd >= 0)
		close(fd);
	return file;
}

int journal_write(struct journal *journal, const struct journal_head *head, const struct plan *plan)
{
	FILE *file;
	int r;

	if (ftruncate(journal->fd, 0) || lseek(journal->fd, 0, SEEK_SET) < 0)
		return -errno;
	file = dup_file(journal);
	if (!file)
		return -ENOMEM;
	errno = 0;
	r = put_all(file, head, plan);
	fclose(file);
	journal->pending = !r;
	return r;
}

/* --- reading */

struct cursor {
	const char *at;
	size_t left;
};

static const void *get(struct cursor *cur, size_t len)
{
	const char *at = cur->at;

	if (len > cur->left)
		return NULL;
	cur->at += len;
	cur->left -= len;
	return at;
}

static int get_entry(struct cursor *cur, struct entry *entry, struct record *rec)
{
	const void *body = get(cur, sizeof(*entry));

	if (!body)
		return -ENODATA;
	memcpy(entry, body, sizeof(*entry));
	body = get(cur, entry->size);
	if (!body)
		return -ENODATA;
	return entry->kind == ENTRY_END ? 0 : libxl_record_decode(rec, body, entry->size, NULL);
}

static bool same_path(const struct record_node *a, const struct record_node *b)
{
	return a->path_len == b->path_len && !memcmp(a->path, b->path, a->path_len);
}

/* Entries up to END. -ENODATA: there is none, so nothing was changed yet. */
static int get_plan(struct cursor *cur, struct plan *plan)
{
	struct record rec, had = { 0 };
	struct entry entry;
	int r;

	for (;;) {
		r = get_entry(cur, &entry, &rec);
		if (r || entry.kind == ENTRY_END)
			return r;
		if (rec.kind != RECORD_NODE || entry.kind > ENTRY_END)
			return -EBADMSG;
		if (entry.kind == ENTRY_HAD) {
			had = rec;
			continue;
		}
		if (had.kind && !same_path(&had.node, &rec.node))
			return -EBADMSG;
		r = plan_add(plan, &rec.node, had.kind ? &had.node : NULL);
		if (r)
			return r;
		had = (struct record){ 0 };
	}
}

static int get_all(struct cursor *cur, struct journal_head *head, struct plan *plan)
{
	const void *at = get(cur, sizeof(struct header));
	struct header header;

	if (!at)
		return -ENODATA;
	memcpy(&header, at, sizeof(header));
	if (memcmp(header.magic, MAGIC, MAGIC_LEN) || header.version != VERSION)
		return -EBADMSG;
	at = get(cur, header.vm_len);
	if (!at)
		return -ENODATA;
	head->session = header.session;
	if (header.has_vm) {
		head->vm = malloc(header.vm_len + 1);
		if (!head->vm)
			return -ENOMEM;
		memcpy(head->vm, at, header.vm_len);
		head->vm_len = header.vm_len;
	}
	return get_plan(cur, plan);
}

static int read_file(int fd, char **data, size_t *len)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size < 0 || (size_t)st.st_size > SIZE_LIMIT)
		return -EBADMSG;
	*data = malloc((size_t)st.st_size + 1);
	if (!*data)
		return -ENOMEM;
	*len = 0;
	while (*len < (size_t)st.st_size) {
		ssize_t n = pread(fd, *data + *len, (size_t)st.st_size - *len, (off_t)*len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		*len += (size_t)n;
	}
	return 0;
}

int journal_read(struct journal *journal, struct journal_head *head, struct plan *plan)
{
	char *data = NULL;
	size_t len = 0;
	struct cursor cur;
	int r = read_file(journal->fd, &data, &len);

	*head = (struct journal_head){ 0 };
	cur = (struct cursor){ data, len };
	if (!r)
		r = get_all(&cur, head, plan);
	free(data);
	if (r == -ENODATA) {
		plan_clear(plan);
		return 0;
	}
	journal->pending = true;
	if (r)
		return r;
	plan_sort(plan);
	return 1;
}

/* --- the file */

/* Open and lock it; it may have been removed by who had it locked before. */
static int open_locked(struct journal *journal)
{
	struct stat st;

	for (;;) {
		journal->fd = open(journal->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (journal->fd < 0)
			return -errno;
		if (flock(journal->fd, LOCK_EX | LOCK_NB))
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (fstat(journal->fd, &st))
			return -errno;
		if (st.st_nlink)
			return 0;
		close(journal->fd);
	}
}

int journal_open(struct journal **out, const char *dir, uint16_t domid)
{
	size_t size = strlen(dir) + sizeof("/import-65535");
	struct journal *journal = calloc(1, sizeof(*journal) + size);
	int r;

	if (!journal)
		return -ENOMEM;
	snprintf(journal->path, size, "%s/import-%u", dir, domid);
	r = open_locked(journal);
	if (r) {
		if (journal->fd >= 0)
			close(journal->fd);
		free(journal);
		return r;
	}
	*out = journal;
	return 0;
}

const char *journal_path(const struct journal *journal)
{
	return journal->path;
}

void journal_done(struct journal *journal)
{
	journal->pending = false;
}

void journal_free(struct journal *journal)
{
	if (!journal)
		return;
	if (!journal->pending)
		unlink(journal->path);
	close(journal->fd);
	free(journal);
}
